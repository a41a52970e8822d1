// The words that only the manager's page has, [zh-CN, en]; the rest is the console's (words.js, sentences.js).
"use strict";

Object.assign(WORDS, {
  title: ["小区门禁", "Community doors"], doors: ["门", "Doors"], events: ["动态", "What happened"], alarms: ["服务器警报", "Server alarms"],
  noDoors: ["还没有门连接到本服务器。", "No door has reported to this server yet."], views: ["页面", "Pages"],
  live: ["实时", "live"], away: ["连接中断，正在重连…", "connection lost, trying again…"], leave: ["退出", "Sign out"],
  noBroker: ["服务器收不到门的消息", "server does not hear the doors"],
  noBrokerSince: ["从 {0} 起，本服务器与消息中转断开，下面显示的是之前的状态。门照常工作，记录会补传。（{1}）", "Since {0} this server has been without its broker: what is shown below is from before. The doors go on, and what they recorded will follow. ({1})"],
  v_now: ["门与动态", "Doors"], v_people: ["住户与访客", "People"], v_managers: ["管理记录", "Managers"],
  seen: ["最后消息", "Last word"], offline: ["离线", "offline"], queue_n: ["{0} 条待上传", "{0} events still to come"],
  clockBad: ["时钟未校准", "clock not set"], visionDown: ["人脸识别没有运行", "face recognition is not running"], camera: ["摄像头", "camera"],
  drift: ["名单未更新（第 {0} 版，应为第 {1} 版）", "list of residents not up to date (version {0}, should be {1})"], lock: ["锁", "Lock"],
  rosterUnusable: ["住户名单打不开，见 door-agent doctor", "the list of residents cannot be used, see door-agent doctor"],
  rosterUnreadable: ["名单里有 {0} 条读不出来，见 door-agent doctor", "{0} entries of the list of residents cannot be read, see door-agent doctor"],
  enrolAgain: ["{0} 人的面容认不出（录入时用的是另一种识别网络）", "{0} faces are not recognised (enrolled with another network)"],
  residents_n: ["{0} 人", "{0} people"], stale: ["太久没有收到服务器的消息", "the server was not heard for too long"], contact: ["门扇", "Leaf"],
  release: ["程序版本", "Release"], u_fetching: ["正在下载 {0}（{1}%）", "fetching {0} ({1} %)"], u_waiting: ["{0} 已下载，等门口没人时安装", "{0} is fetched, waits until nobody is at the door"],
  u_installing: ["正在安装 {0}", "installing {0}"], u_refused: ["没有接受 {0}：{1}", "did not take {0}: {1}"], u_failed: ["{0} 没有装上：{1}", "{0} was not installed: {1}"],
  "u_rolled-back": ["{0} 有问题，已退回旧版本", "{0} was not well, the old release is back"],

  // orders
  lockAll: ["封锁全部门", "Lock down all doors"], releaseAll: ["全部解除封锁", "End lock-down everywhere"],
  allDone: ["{0}：{2} 扇门中 {1} 扇已执行。", "{0}: {1} of {2} doors have carried it out."],
  allWait: ["没有应答，恢复联系后自动封锁（解除封锁即取消）：{0}", "Did not answer, and will be locked down as soon as they are back (ending the lock-down takes it back): {0}"],
  allNot: ["没有执行：{0}", "Not carried out: {0}"], waits: ["等待执行：{0}", "waits: {0}"],
  a_update: ["更新程序", "Update"], "a_cancel-update": ["取消更新", "Call the update off"], a_open: ["远程开门", "Open"], "a_lock-down": ["封锁", "Lock down"],
  "a_release-lock-down": ["解除封锁", "End lock-down"], "a_hold-open": ["保持开锁 15 分钟", "Keep unlocked for 15 min"],
  "a_end-hold-open": ["结束保持开锁", "End keeping unlocked"], a_block: ["停用这扇门", "Take out of use"], a_unblock: ["恢复使用", "Back into use"], a_identify: ["让门发出提示", "Let it show itself"], a_diagnostics: ["查问各部分状态", "Ask how its parts are"],
  w_open: ["开锁一次，几秒后自动上锁。", "Unlocks once, for a few seconds."],
  "w_lock-down": ["不再放行任何人（人脸、手机、远程都不行）。出门按钮和消防不受影响。", "Nobody is let in, by face, phone or from afar. Everybody can still leave: exit button and fire alarm work."],
  "w_release-lock-down": ["恢复正常。", "Back to normal."], "w_hold-open": ["15 分钟内谁都可以进入。", "For 15 minutes anybody can walk in."],
  "w_end-hold-open": ["门重新上锁。", "The door locks again."],
  w_block: ["这扇门停用（例如检修）：不再放行任何人，直到恢复使用。出门按钮和消防不受影响。", "For a door under repair: nobody is let in until it is back in use. Exit button and fire alarm work."],
  w_unblock: ["恢复正常。", "Back to normal."], w_diagnostics: ["门会回答各部分的状态（英文），不含任何住户信息；门锁不动。", "It answers how each part is, with nothing of residents; the lock does not move."], w_identify: ["门口的灯和蜂鸣器会响一下，用来确认是哪扇门。", "Its light and buzzer show which door this is."],
  title_order: ["{0}：{1}", "{0}: {1}"], allDoors: ["全部门", "all doors"], reason: ["原因（必填）", "Reason (required)"], cancel: ["取消", "Cancel"],
  reasonWhy: ["原因会和您的名字一起保存在管理记录里。", "Kept with your name in the managers' record."],
  reasonShort: ["请写明原因，至少两个字。", "Please give a reason, two characters at least."],
  reasons: ["忘带手机|送货|维修|老人小孩|紧急情况", "forgot the phone|delivery|repair|child or elderly person|emergency"],
  noKey: ["本服务器没有签名密钥，不能远程操作。", "This server has no key for orders (command_key_file)."],
  notManager: ["您的角色只能查看。", "Your role may look only."],
  s_asking: ["正在发送…", "sending…"], "s_not-sent": ["门没有应答：指令没有发出", "the door did not answer: no order was sent"], "s_no-answer": ["指令已发出，没有回音：是否执行不知道，请看门的状态", "sent, and no answer: whether it was carried out is not known, look at the door's state"], s_accepted: ["门已接受", "the door accepted"],
  s_energised: ["已开锁", "unlocked"], s_taken: ["有人进入", "somebody went in"], "s_not-taken": ["无人进入", "nobody went in"],
  s_unverified: ["已开锁，是否有人进入不知道", "unlocked; nobody can tell who went in"], s_refused: ["门拒绝了", "the door refused"], s_done: ["已执行", "done"],

  // events
  day: ["日期", "Day"], csv: ["导出…", "Export…"], csvTitle: ["导出记录（CSV 表格）", "Export as a table (CSV)"], csvFrom: ["从", "From"], csvTo: ["到（含）", "To (included)"],
  csvSave: ["下载", "Download"], csvWrong: ["开始日期不能晚于结束日期，最多 {0} 天。", "The first day must not be after the last; {0} days at most."], earlier: ["更早的", "Earlier"], filters: ["筛选", "Filter"], f_all: ["全部", "All"], f_people: ["进出", "Comings and goings"],
  f_refused: ["陌生人与拒绝", "Strangers and refusals"], f_alarms: ["警报", "Alarms"], f_technical: ["技术记录", "Technical"],
  preview: ["（待确认）", " (to be confirmed)"], notSet: ["时间未校准", "clock not set"],
  reckoned: ["门的时钟当时显示 {0}，时间已按开机时长推算", "the door's clock said {0}; placed by how long it had been up"], more_n: ["只显示最近 {0} 条；更早的请选日期。", "The newest {0}; choose a day for the others."],
  silent: ["静默警报", "Silent alarm"], silentPhone: ["{0} 被胁迫时用手机按了开门，门没有开", "{0} pressed open under duress, and the door did not open"], silentDo: ["请先报警（110），不要打电话或对讲询问本人。", "Call the police first; do not ring or ask the person."],

  // alarms of the server
  "rows-lost": ["记录丢失", "Events lost"], fork: ["记录被篡改或复制", "History forked"], cloned: ["门禁卡片被复制：两台设备用同一身份", "Copied card: two devices under one name"], restored: ["记录被回退", "The door's store was rolled back"],
  damaged: ["记录损坏", "Damaged event"], malformed: ["无法读懂的消息", "Malformed message"], silence: ["门没有消息", "Door is silent"],
  gap: ["缺少一条记录，反复索要未到", "A row does not come"], contradicted: ["抢先上报的警报与记录不符", "An alarm that ran ahead is not in the record"],
  link: ["服务器与消息中转断开", "This server lost its broker"], refused: ["消息中转拒收本服务器的消息", "The broker refuses this server"],
  roster: ["住户名单或门的密钥有问题", "A file of people, or a door's key or receipt, is not right"], "roster-drift": ["门没有拿到最新名单", "A door does not get its list of residents"], duress: ["静默警报", "Silent alarm"],
  alarmsPast: ["以前的警报", "Earlier alarms"], acknowledge: ["已处理", "Seen to"], seenBy: ["{0} 已处理，{1}", "seen to by {0}, {1}"], "acknowledge-alarm": ["处理警报", "saw to an alarm"],
  rollout: ["推送更新已停止", "The roll-out was stopped"], database: ["数据库无法写入", "The database takes nothing"], poison: ["无法处理的消息", "A message could not be stored"],

  // people
  residents: ["住户", "Residents"], personNew: ["添加住户", "Add a person"], personEdit: ["修改", "Change"], edit: ["修改", "Change"], find: ["查找", "Find"], save: ["保存", "Save"],
  noPeople: ["没有找到。", "Nobody found."], k_resident: ["住户", "resident"], k_staff: ["员工", "staff"], k_visitor: ["访客", "visitor"], k_contractor: ["外包人员", "contractor"],
  facesWhere: ["人脸在门口的控制台录入（须本人在场并同意），或在服务器上用命令录入（python -m deploy.community.manage enrol）。", "Faces are enrolled at a door's console, with the person there and agreeing, or on the server: python -m deploy.community.manage enrol."],
  hasFace: ["人脸", "face"], noFace: ["无人脸", "no face"], faceWithdrawn: ["已撤回同意", "consent withdrawn"], phones_n: ["{0} 部手机", "{0} phones"], disabled: ["已停用", "switched off"],
  until: ["至 {0}", "until {0}"], withdraw: ["撤回人脸同意", "Withdraw face consent"], withdrawSure: ["{0} 撤回同意？所有门上的人脸模板都会删除。", "{0} withdraws the consent? The face leaves every door."],
  personSure: ["{0} 搬走？将从所有门上删除。", "{0} moved out? They leave every door."], personKind: ["身份", "Kind"], personGroups: ["门组（用逗号分开）", "Groups of doors, comma between"],
  personPhone: ["手机登记码（可空）", "Phone's registration code (may be empty)"], personFactor: ["刷脸须同时出示手机通行码", "the face opens only together with the phone"], faceAndPhone: ["人脸加手机", "face and phone"],
  phoneNamed: ["第 {0} 部手机（{1}）", "phone {0} ({1})"], phoneSure: ["删除 {0} 的第 {1} 部手机？它的通行码将不再有效，其他手机不受影响。", "Remove phone {1} of {0}? Its codes stop working, the other phones go on."],
  personSlow: ["走得慢：开锁时间更长", "walks slowly: the door stays unlocked longer"], personEnabled: ["可以进门", "may come in"],
  listsMissing: ["这些门还没有收到住户名单，名单上的人在那里进不去：{0}", "These doors do not get the list of residents yet, and nobody on it is let in there: {0}"],
  listsGo: ["选择谁可以用", "Say who may use them"], listNone: ["没有收到名单：名单上的人进不去", "does not get the list: nobody on it is let in"], listSet: ["谁可以用", "Who may use it"],
  listAll: ["所有人", "everybody"], listNobody: ["没有人", "nobody"], listGroups: ["门组（用逗号分开）", "Groups, comma between"], "set-door": ["设定谁可以用这扇门", "said who may use a door"],
  listWhat: ["保存后一分钟内发到门上。在门口录入的人不受影响。", "Goes to the door within a minute. Whoever was enrolled at the door itself stays."],
  heldWhat: ["每扇门只收到允许用它的人。新接上的门先要在这里选择谁可以用。", "A door gets the people who may use it. For a new door, say here who that is."], withdrawals: ["撤回的同意", "Withdrawn consents"],
  held: ["各门的名单", "The doors' lists"], upToDate: ["最新（第 {0} 版）", "up to date (version {0})"], withdrawn: ["已撤回同意", "consent withdrawn"],
  receipts: ["已确认删除：{0}", "purged, with receipt: {0}"], waitingFor: ["等待：{0}", "not heard of yet: {0}"],
  visitors: ["访客通行码", "Visitor passes"], passNote: ["给谁（只保存在服务器上）", "For whom (stays on this server)"], passFor: ["有效时间", "Valid for"], passUses: ["每扇门可用次数（0 为不限）", "Openings at each door (0: no limit)"],
  passIssue: ["生成通行码", "Make a pass"], passSend: ["把链接只发给访客本人，或让访客拍下二维码：", "Send this link to the visitor only, or let them photograph the code:"], noPassKey: ["本服务器没有访客码密钥（pass_key_file）。", "This server has no key for visitor passes (pass_key_file)."],
  h2: ["2 小时", "2 hours"], h12: ["12 小时", "12 hours"], d1: ["1 天", "1 day"], d7: ["7 天", "7 days"], uses_n: ["每门 {0} 次", "openings at each door: {0}"], usesAny: ["不限次数", "no limit of openings"],
  revoked: ["已作废", "revoked"], revoke: ["作废", "Revoke"], revokeSure: ["作废 {0} 的通行码？", "Revoke the pass of {0}?"],
  "put-person": ["修改住户", "changed a person"], "remove-phone": ["删除手机", "removed a phone"], "remove-person": ["删除住户", "removed a person"], "withdraw-consent": ["登记撤回同意", "withdrew a consent"], "issue-pass": ["生成访客码", "made a visitor pass"], "revoke-pass": ["作废访客码", "revoked a visitor pass"],

  // managers
  managers: ["管理员", "Managers"], managerName: ["姓名", "Name"], managerRole: ["角色", "Role"], managerAdd: ["添加并生成登录链接", "Add and make a sign-in link"],
  viewer: ["只看", "viewer"], manager: ["管理员", "manager"], owner: ["负责人", "owner"], newLink: ["新登录链接", "New link"], remove: ["删除", "Remove"],
  removeSure: ["删除 {0}？其登录立即失效。", "Remove {0}? Their pages end at once."],
  linkOnce: ["请本人在 30 分钟内打开此链接，只能用一次：", "They open this once, within 30 minutes, on their own device:"], copy: ["复制", "Copy"], copied: ["已复制", "Copied"],
  acts: ["管理员操作记录", "What the managers did"], actsWhat: ["只能追加，不能修改；每条都与前一条相连。", "Rows are only added, never changed; each is chained to the one before."],
  actsCut: ["记录的末尾被删掉了：这个浏览器见过第 {0} 条，现在不在了。请与备份核对。", "The end of the record was cut off: this browser saw row {0}, and it is no longer there. Compare with a backup."],
  actsMark: ["最后一条的记号（可抄下来，日后核对）：{0}", "Mark of the last row (keep it to compare later): {0}"],
  actsBroken: ["第 {0} 条被改动或删除！", "Row {0} was changed or removed!"], commandLine: ["服务器命令行", "server's command line"], asked: ["已要求", "asked"],
  "sign-in": ["登录", "signed in"], "sign-out": ["退出", "signed out"], export: ["导出", "exported"], "add-manager": ["添加管理员", "added a manager"],
  "rollout-start": ["开始推送更新", "began a roll-out"], "rollout-stop": ["停止推送更新", "stopped a roll-out"],
  "sign-in-link": ["生成登录链接", "made a sign-in link"], "remove-manager": ["删除管理员", "removed a manager"],

  // signing in
  enter: ["登录", "Sign in"], entering: ["正在登录…", "Signing in…"],
  enterHow: ["本页没有密码。请打开负责人发给您的一次性链接。", "There is no password here. Open the one-time link that an owner gave you."],
  enterOwner: ["负责人在“管理记录”里生成链接；第一位负责人在服务器上运行：", "An owner makes links under “Managers”; the first one runs this on the server:"],
  enterAgain: ["已有负责人、只是链接过期了：", "An owner whose link is too old gets a new one:"],
  linkUsed: ["此链接已用过或超过 30 分钟，请索取新链接。", "This link was used already or is older than 30 minutes. Ask for a new one."],
  tooMany: ["尝试次数过多，请稍等一分钟。", "Too many attempts; wait a minute."], noServer: ["服务器没有回应。", "The server does not answer."],
  toPhone: ["住户手机通行码", "Resident's phone pass"],
});

function speakStatic() {
  document.documentElement.lang = language;
  document.querySelectorAll("[data-text]").forEach((e) => { e.textContent = say(e.dataset.text); });
  document.querySelectorAll("[data-label]").forEach((e) => { e.setAttribute("aria-label", say(e.dataset.label)); });
  byId("language").textContent = say("other");
}

function languageButton(then) {
  byId("language").addEventListener("click", () => {
    language = language === "en" ? "zh-CN" : "en";
    try { localStorage.setItem("language", language); } catch { /* a private window */ }
    then();
  });
}
