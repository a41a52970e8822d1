// Every word of the console, [zh-CN, en]; `say(key)` of language.js picks by language. Loaded first.
"use strict";

const WORDS = {
  camera: ["摄像头", "Camera"], door: ["门", "Door"], queue: ["事件上传", "Events on their way"], health: ["各部分", "Parts"],
  feed: ["最新动态", "What happened"], all: ["显示技术记录", "show technical rows too"], noEvents: ["还没有动态。", "Nothing yet."],
  details: ["详细数据", "Details"], other: ["English", "中文"],
  live: ["实时", "live"], away: ["门禁程序没有回应，正在重连…", "the door's program does not answer, trying again…"],
  unknown: ["未知", "unknown"],
  enter: ["请先登录", "Please sign in"], entering: ["正在登录…", "signing in…"],
  enterHow: ["本页只给能登录这台设备的人看。在设备上（或者经 SSH）运行下面这条命令，十分钟内打开它给出的链接：", "This page is for whoever may log in to this device. There (over SSH, say) run the command below, and open the link that it prints within ten minutes:"],
  enterUsed: ["这个链接已经用过，或者超过了十分钟：请再运行一次命令。", "This link was used already or is older than ten minutes: run the command again."],

  // the door
  lock: ["锁", "Lock"], leaf: ["门扇", "Leaf"], mode: ["模式", "Mode"], relay: ["继电器", "Relay"], kind: ["锁型", "Lock type"],
  secured: ["已上锁", "locked"], released: ["已开锁", "unlocked"], open: ["开着", "open"], closed: ["关着", "closed"],
  energised: ["吸合", "energised"], dropped: ["断开", "dropped"], tamper: ["防拆", "Tamper"], tampered: ["被拆动", "tampered with"],
  "fail-safe": ["断电开锁（磁力锁、电插锁）", "unlocked without power"], "fail-secure": ["断电锁闭（阴极锁）", "locked without power"],
  Locked: ["正常上锁", "locked"], Unlocked: ["开放时段", "open hours"], Accessed: ["通行中", "passage"], Blocked: ["停用", "out of use"],
  LockedDown: ["封锁", "locked down"], LockedOpen: ["保持开锁", "held unlocked"],
  drawing: ["门{0}，锁{1}", "The leaf is {0}, the lock is {1}"],

  // the one sentence at the top
  sAway: ["看不到这扇门", "This door cannot be seen right now"],
  sFire: ["消防报警：门已开锁", "Fire alarm: the door is unlocked"],
  sForced: ["门被强行打开！", "The door was forced open!"], sHeld: ["门开得太久了，请关门", "The door has been open too long, please close it"],
  sTamper: ["设备被拆动！", "Somebody is tampering with the device!"],
  sGuard: ["硬件程序没有运行：门保持安全状态", "The hardware program is not running: the lock stays in its safe state"],
  sFault: ["门有故障：{0}", "Something is wrong with the door: {0}"],
  sDown: ["已封锁：不放行任何人", "Locked down: nobody is let in"], sBlocked: ["此门停用", "This door is out of use"],
  sLockout: ["多次拒绝，人脸识别暂停 {0} 秒", "Too many refusals: faces wait for {0} s"],
  sWelcome: ["请进，门已开锁", "Come in, the door is unlocked"], sWelcomeName: ["{0}，请进，门已开锁", "Come in, {0}: the door is unlocked"],
  sFor: ["（{0} 秒）", " ({0} s)"],
  sOpenHours: ["门保持开锁", "The door is kept unlocked"], sOpenLeaf: ["门开着，请随手关门", "The door is open, please let it close"],
  sRefused: ["没有放行", "Not let in"], sCloser: ["请走近一点", "Please come closer"],
  sUncover: ["请摘下口罩或墨镜", "Please uncover your face"], sLight: ["太暗，请开灯", "Too dark: more light, please"], sTurn: ["光太强，或在您身后：请转个身", "Too bright, or the light is behind you: turn a little, please"], sLook: ["请正对摄像头", "Please look into the camera"],
  sPhone: ["请再出示手机通行码", "Please show your phone as well"], sAgain: ["这个码刚用过：请拿开 5 秒，再出示一次", "This code was just used: take it away for 5 seconds, then show it again"], sIdentify: ["这就是被呼叫的那扇门", "This is the door that was called"],
  sLookAgain: ["请先离开镜头两秒，再看一次", "To open again: step out of view for two seconds, then look"],
  sIdle: ["门已上锁", "The door is locked"], sIdleUnknown: ["门锁状态未知", "The lock's state is not known"],

  // faces in the picture
  noPicture: ["暂无画面", "no picture yet"], visionAway: ["识别程序正在重启，按钮和手机照常可用", "Recognition is restarting; button, phone and remote go on"],
  nobody: ["画面中没有人", "Nobody in view"], people: ["画面中 {0} 张人脸：{1}", "{0} in view: {1}"],
  resident: ["住户", "resident"], match: ["距离 {0}", "distance {0}"], alive: ["活体 {0}", "live {0}"],
  f_looking: ["正在看", "looking"], f_recognised: ["住户", "resident"], f_doubtful: ["还需要手机", "phone needed too"], f_stranger: ["陌生人", "stranger"], f_spoof: ["照片或屏幕", "a picture, not a person"],
  f_unclear: ["看不清", "unclear"], f_small: ["太远", "too far"], f_blurred: ["模糊", "moving"], f_turned: ["没有正对", "turned away"],
  f_dark: ["太暗", "too dark"], f_covered: ["被遮挡", "covered"], f_backlit: ["背光", "against the light"], f_glaring: ["太亮", "too bright"],

  // queue
  qAll: ["全部 {0} 条事件都已送达服务器。", "All {0} events have reached the server."],
  qWait: ["{0} 条事件在门上等待，不会丢失。", "{0} events wait at the door; none is lost."],
  qSending: ["正在上传，还有 {0} 条。", "Sending, {0} to go."], qAlone: ["没有服务器：事件留在门上。", "There is no server: events stay at the door."],
  qUnknown: ["队列状态未知。", "The queue's state is not known."],
  qNumbers: ["第 {0} 条已写入 · 第 {1} 条已确认 · 占 {2}", "row {0} written · row {1} acknowledged · {2} kept"],
  qDrawing: ["线路{0}，{1} 条等待", "Link {0}, {1} waiting"], up: ["正常", "up"], down: ["断开", "down"], server: ["服务器", "server"],

  // parts
  pGuard: ["硬件", "Lock guard"], pVision: ["识别", "Recognition"], pCamera: ["摄像头", "Camera"], pLink: ["线路", "Link"], pStore: ["存储", "Journal"],
  pClock: ["时钟", "Clock"], pRoster: ["名单", "Residents"], running: ["运行中", "running"], stopped: ["没有运行", "not running"],
  simulated: ["模拟硬件", "simulated hardware"], fps: ["每秒 {0} 帧", "{0} pictures a second"], people_n: ["{0} 人，{1} 个人脸模板", "{0} people, {1} face templates"],
  noLiveness: ["，无活体检测", ", without a check against prints"], since: ["（{0}）", " for {0}"],
  cam_ok: ["正常", "sees well"], cam_dark: ["太暗", "too dark"], cam_frozen: ["画面不动", "frozen"], cam_blind: ["被遮住", "covered or dazzled"],
  link_network: ["连不上服务器", "the server cannot be reached"], link_refused: ["服务器不接受此门", "the server refuses this door"],
  link_clock: ["时钟不对，无法核对证书", "the clock is wrong, no certificate can be checked"], link_off: ["已在此关闭", "switched off here"],
  link_connecting: ["正在连接", "connecting"], "link_no server is configured": ["没有设置服务器", "no server is configured"],
  cam_missing: ["没有接上", "missing"], cam_stalled: ["没有画面", "no pictures come"],
  clock_ntp: ["已同步", "synchronised"], clock_rtc: ["来自时钟芯片", "from the clock chip"], clock_floor: ["只知道不早于", "only known to be later than"],
  clock_none: ["不可信", "not trusted"],

  // relay test, thresholds
  test: ["继电器测试", "Relay test"], testWhat: ["让门开锁一次，量时间，写入日志。封锁或停用时会被拒绝。", "Unlocks the door once, takes the times, is written down. Refused while the door is locked down."],
  testStart: ["测试…", "Test…"], testSure: ["门会真的开锁几秒。", "The door will really unlock for a few seconds."], testYes: ["开锁", "Unlock"],
  t_asked: ["正在写入日志…", "writing it down…"], t_accepted: ["已写入，等待继电器…", "written down, waiting for the relay…"],
  t_energised: ["继电器在 {0} 毫秒后吸合", "the relay energised after {0} ms"], t_dropped: ["，{0} 毫秒后断开", ", dropped after {0} ms"], t_refused: ["被拒绝：{0}", "refused: {0}"],
  t_taken: ["，门开了", ", the leaf was opened"], "t_not-taken": ["，门没有打开", ", nobody opened the leaf"], t_unverified: ["，无门磁，不知是否打开", ", without a contact nobody can tell whether it was opened"],
  why: ["识别门限", "Why a face is let in"], whyMore: ["全部数字：door-agent explain thresholds", "All numbers: door-agent explain thresholds"],
  y_year: ["每年最多误放 {0} 个陌生人，按每天 {1} 个陌生人经过：每次 {2}", "{0} stranger(s) a year may be let in by mistake; with {1} looking in a day that is {2} of them"],
  y_frames: ["至少 {0} 帧画面一致；与第二像的人相差至少 {1}", "at least {0} pictures agree; the next likeliest person is at least {1} further away"],
  y_live: ["先检查是不是真人（至少 {0}）", "it must look alive first ({0} at least, on average)"], y_noLive: ["不检查照片和屏幕", "nothing checks for prints and screens"],
  y_phone: ["只凭人脸不开门，还需要手机", "a face alone does not open: the phone is needed too"], y_alone: ["人脸即可开门", "a face alone opens"],
  y_last: ["最近一次：距离 {0}，上限 {1}（{2} 人），{3} 帧：{4}", "the last look: distance {0}, at most {1} with {2} people, {3} pictures: {4}"],
  "not-enrolled": ["不在名单上", "nobody enrolled"], "not-alive": ["不是真人", "not alive"], "look-alike": ["两人太像", "two people too alike"], "grey-zone": ["不够像，还需要手机", "not near enough without the phone"], changing: ["人在变", "it kept changing"], "too-short": ["时间太短", "too short a look"], match_: ["是住户", "a resident"],

  // enrolment
  enrol: ["录入人脸", "Enrol a face"], enrolName: ["姓名", "Name"], enrolStart: ["开始录入", "Start"], enrolCancel: ["取消", "Cancel"],
  enrolConsent: ["本人同意把人脸模板保存在这扇门上，用于开门；不保存照片，可随时撤回。", "The person agrees that face templates are kept at this door to open it. No photo is kept; consent can be withdrawn at any time."],
  enrolUnder14: ["未满 14 周岁：由监护人同意", "Under 14: a guardian agrees"],
  enrolGuardian: ["监护人姓名（只留在这扇门上）", "The guardian's name (stays at this door)"],
  enrolNeedGuardian: ["未满 14 周岁，没有监护人同意，不能录入。", "Under 14, without a guardian's consent nothing is enrolled."],
  enrolNeedConsent: ["没有本人同意，不能录入人脸。不愿意的人可以用手机开门码进出，登记手机就行。", "Without the person's consent nothing is enrolled. Whoever does not want it comes in by phone: register the phone instead."],
  enrolAgain: ["{0} 人是用另一种识别网络录入的，现在认不出：请重新录入，或换回原来的网络", "{0} people were enrolled with another network and are not recognised now: enrol them again, or go back to that network"],
  enrolLook: ["请看摄像头", "Please look into the camera"], enrolDone: ["录入完成：{0}", "Enrolled: {0}"],
  enrolVisit: ["已录入的人：再补录一次", "Somebody enrolled: add a visit"], enrolVisitDone: ["已补充这次的人脸模板", "The templates of this visit were added"],
  enrolNear: ["这张脸很像 {0}。是同一个人吗？如果是另一个人（双胞胎、父母与子女），以后两人都要人脸加手机才能开门。", "This face is very near to {0}. Is it the same person? If it is somebody else (twins, parent and child), both will need face and phone from now on."],
  enrolNearAgain: ["这张脸像 {0}。是谁？", "This face looks like {0}. Who is it?"],
  enrolSame: ["是 {0}：补充这次的模板", "It is {0}: add these pictures"], enrolOther: ["是另一个人：两人都用人脸加手机", "Somebody else: face and phone for both"],
  enrolFailed: ["没有录入：{0}", "Not enrolled: {0}"],
  withdraw: ["撤回人脸同意", "Withdraw face consent"], withdrawWho: ["谁撤回同意（姓名或编号）", "Who withdraws the consent (name or number)"],
  withdrawSure: ["{0} 撤回同意？这扇门上的人脸模板马上删除，手机照常能用。", "{0} withdraws the consent? The face leaves this door at once, the phone goes on."],
  withdrawDone: ["人脸模板已删除（{0} 个）", "The face is forgotten ({0} templates)"], withdrawReceipt: ["请让本人拍照或抄下这张回执：", "Let the person photograph or copy this receipt:"],
  withdrawFailed: ["没有撤回：{0}", "Not withdrawn: {0}"],
  "nobody with a face here has this name or number": ["这扇门上没有这个姓名或编号的人脸"], "several people have this name: give the number": ["有几个人同名，请写编号"],
  "Look into the camera": ["请看摄像头"], "One person alone, please": ["请一个人单独录入"], "Come closer": ["请走近一点"], "Hold still": ["请不要动"],
  "More light on the face, please": ["脸上光线不够"], "Turn a little: the light is behind you": ["背光：请转个身"], "Step out of the glaring light": ["光太强：请让开一点"], "Take off mask, scarf or sunglasses": ["请摘下口罩、围巾或墨镜"],
  "Come closer, into the light": ["请走近，到亮的地方"], "The face itself is needed, not a picture": ["需要本人，不能用照片"],
  "Only one person at a time": ["一次只能录入一个人"], "Turn the head a little to each side": ["请把头稍微向两边转"],
  "No clear pictures within a minute": ["一分钟内没有清晰画面"], "the camera process is not running": ["识别程序没有运行"],
  "a name and the person's consent are needed": ["需要姓名和本人同意"], "the name holds half a character: type it again": ["姓名里有半个字符，请重新输入"],
  "a person under 14 needs a guardian's consent: who agreed?": ["未满 14 周岁需要监护人同意：是谁同意的？"], "the camera process stopped: begin again": ["识别程序停了，请重新开始"],
  "nobody enrolled looks like this: enrol with name and consent": ["没有录入过像这样的人：请填姓名并征得同意后录入"], "nobody said whose face it is: begin again": ["没有人说明这是谁的脸，请重新开始"],

  // how long openings took
  times: ["开门有多快", "How fast it opened"], timesWhat: ["最近一百次，从摄像头第一次看到人脸或通行码到开锁，单位毫秒。", "The newest hundred: from the first picture of a face or code to the lock, in milliseconds."],
  t_face: ["人脸", "face"], t_pass: ["手机或访客通行码", "phone or visitor pass"], t_caption: ["{0}：中位 {1} 毫秒，共 {2} 次", "{0}: median {1} ms of {2}"],
  t_below: ["不到 {0} 毫秒", "below {0} ms"], t_above: ["{0} 毫秒及以上", "{0} ms and above"],

  // details
  "pol_standard": ["标准", "standard"], "pol_high": ["高安全", "high security"], "pol_convenience": ["方便", "convenience"],
  d_software: ["软件版本", "software"], d_policy: ["识别策略", "face policy"], d_engine: ["识别引擎", "engine"], d_missing: ["可改进", "could be better"],
  d_opening: ["最近一次开门", "last opening"], d_ms: ["从看到人脸或通行码到开锁 {0} 毫秒", "{0} ms from first sight to unlocked"],
  d_epoch: ["事件日志", "journal epoch"], d_roster: ["名单版本", "roster epoch"],
};

function duration(s) {
  if (s < 90) return language === "en" ? `${Math.round(s)} s` : `${Math.round(s)} 秒`;
  if (s < 5400) return language === "en" ? `${Math.round(s / 60)} min` : `${Math.round(s / 60)} 分钟`;
  return language === "en" ? `${Math.round(s / 3600)} h` : `${Math.round(s / 3600)} 小时`;
}

function make(tag, text, className) {
  const element = document.createElement(tag);
  if (text !== undefined) element.textContent = text;
  if (className) element.className = className;
  return element;
}
