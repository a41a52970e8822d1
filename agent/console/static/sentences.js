// Events in plain words, and the one sentence that says how the door stands.
"use strict";

const BY = {
  face: ["刷脸", "by face"], phone: ["手机", "by phone"], "face+phone": ["刷脸加手机", "by face and phone"],
  "visitor-pass": ["访客码", "with a visitor pass"], remote: ["远程", "from afar"],
};
const REASON = {
  CredentialNotFound: ["不认识", "nobody known here"], CredentialNotEnabled: ["已停用", "switched off"], CredentialNotActive: ["尚未生效", "not valid yet"],
  CredentialExpired: ["已过期", "expired"], NotPermittedAtThisTime: ["不在允许时间", "not at this hour"], Unauthorized: ["无权进此门", "not for this door"],
  ClockNotTrusted: ["时钟未校准", "the clock is not trusted"], LeaseLapsed: ["太久没有联系服务器", "the server was not heard for too long"],
  SecondFactorMissing: ["要刷脸加手机，缺了一样", "face and phone are needed together, one was missing"], Spoof: ["是照片或屏幕，不是本人", "a picture or a screen, not a person"],
  Unclear: ["看不清", "could not be seen well"], LockedDown: ["已封锁", "locked down"], Blocked: ["此门停用", "the door is out of use"],
  Malformed: ["不是通行码", "not a pass"], UnknownKey: ["不认识的手机", "an unknown phone"], Revoked: ["已作废", "revoked"],
  BadSignature: ["签名不对", "forged"], WrongDoor: ["不是这扇门的", "for another door"], NotYetValid: ["尚未生效", "not valid yet"],
  Expired: ["已过期", "expired"], Replayed: ["已经用过", "used before"], UsedUp: ["次数用完", "used up"], TooManyPasses: ["记着的访客码太多", "too many visitor passes are remembered"],
  retained: ["旧的留存指令", "an old stored order"], oversized: ["太长", "too long"], malformed: ["读不懂", "not readable"],
  "unknown-key": ["不认识的签名人", "an unknown signer"], "bad-signature": ["签名不对", "forged"], "wrong-door": ["不是这扇门的", "for another door"],
  "face-needed": ["要人和手机同时在门口", "face and phone needed at the door"], "stale-challenge": ["过时的指令", "too old"], "counter-not-above": ["重复的指令", "out of turn"], repeated: ["重复的指令", "sent twice"],
  "too-many": ["太多指令", "too many orders"], "nothing-to-do": ["已经是这样", "it was so already"],
  "an intermittent-duty lock burns when it is held released": ["这把锁不能长时间通电，会烧坏", "this lock burns when it is held released"],
  TooLate: ["看到得太久了，人可能已经走开", "seen too long ago"], LockedOut: ["暂停识别中", "faces are paused"], Fault: ["设备故障", "a fault of the door"], AgentRestarted: ["程序重启过", "the program restarted meanwhile"],
};
const FAULT = {
  "guard-missing": ["硬件程序没有运行", "the hardware program is not running"], "relay-stuck": ["继电器粘住", "the relay is stuck"],
  "relay-not-energised": ["继电器不吸合", "the relay does not answer"], "lock-power-lost": ["锁没有电", "the lock has no power"],
  "exit-stuck": ["出门按钮卡住", "the exit button is stuck"],
};
const ORDER = {
  "lock-down": ["封锁", "lock-down"], "release-lock-down": ["解除封锁", "end of the lock-down"], block: ["停用", "out of use"], unblock: ["恢复使用", "back in use"],
  "hold-open": ["保持开锁", "hold open"], "end-hold-open": ["结束保持开锁", "end of hold open"], unlock: ["开放", "open hours"], lock: ["上锁", "lock"], identify: ["呼叫此门", "show which door this is"], diagnostics: ["查询各部分状态", "ask how its parts are"], "rotate-keys": ["更换密钥", "other keys of the site"],
  update: ["更新程序", "update"], "cancel-update": ["取消更新", "call the update off"], open: ["开门", "open"],
  done: ["已执行", "done"], accepted: ["已接受", "accepted"], refused: ["被拒绝", "refused"], "nothing-to-do": ["无需改变", "nothing to do"],
};
const UPDATE = {
  "updates-off": ["这扇门没有设置远程更新", "this door is not set up for it"], "no-release-key": ["设备上没有发布公钥", "no release key on the device"],
  "too-large": ["程序包太大", "too large"], "no-room": ["存储空间不够", "not enough room"], busy: ["正在安装另一个", "another one is being installed"],
  "not-fetched": ["下载不到", "could not be fetched"], damaged: ["程序包损坏", "damaged"], unsigned: ["没有签名", "not signed"],
  "bad-signature": ["签名不对", "not signed by this site"], older: ["比现有的旧", "older than what runs"], "other-machine": ["不是这种设备的", "for another machine"],
  "not-well": ["运行不正常", "it was not well"], "not-installed": ["装不上", "could not be installed"], "no-word": ["中途断了，结果不明", "interrupted, nobody knows how it ended"],
  "called-off": ["已取消", "called off"],
};
const STORE = { // what the door's journal says of itself
  Failing: ["磁盘写不进去：记录暂存在内存里", "the disk takes nothing: what happens is kept in memory"], Recovered: ["恢复正常", "works again"], recovered: ["恢复正常", "works again"],
  IntentNotStoredInTime: ["磁盘太慢：先开了门，记录随后写入", "the disk was too slow: the door opened before its row was written"],
  created: ["文件不见了，已新建", "its file was missing, a new one was begun"], quarantined: ["文件损坏，已保留原件并新建", "its file was damaged and is kept aside, a new one was begun"],
  dead: ["记录线程停止，程序将重启", "its thread ended, the program starts again"], stale: ["收到过时的确认", "an old acknowledgement came"],
  "server-went-back": ["服务器丢了已确认的记录，正在重发", "the server lost what it had acknowledged; it is sent again"],
  fork: ["服务器上同名的记录与本门不同", "the server has another history under this door's name"], restored: ["本门的记录比服务器少：被回退过", "the server has rows that are missing here: the journal was rolled back"],
  "quota-ok": ["空间充足", "there is room again"], "quota-70": ["空间已用七成", "70 % of its room is used"], "quota-80": ["空间已用八成，开始合并次要记录", "80 % of its room is used: minor rows are folded"],
  "quota-95": ["空间将满，开始删除次要记录", "its room is nearly used up: minor rows are dropped"],
};
const UNFIT = { // why a sending of the server's roster was not taken
  "other-door": ["是给别的门的", "for another door"], "rolled-back": ["比已有的旧", "older than what is here"], replayed: ["重复发送", "sent before"],
  "no-such-base": ["本门没有它要修改的那一版", "changes a version that is not here"], "bad-digest": ["内容与摘要不符", "not what its digest says"],
  "not-sealed-for-this-door": ["人脸模板不是加密给本门的", "a face sealed for another door"], "face-missing": ["缺人脸模板", "a face did not come"], "not-lawful": ["没有同意记录的人脸", "a face without consent"],
};
const pick = (table, word) => (table[word] ? either(table[word]) : String(word ?? ""));
const who = (b) => (typeof b.name === "string" ? b.name : typeof b.person_id === "string" ? say("resident") : "");
const zh = () => language !== "en";
const list = (words, table) => words.map((w) => pick(table, w)).join(zh() ? "、" : ", ");
const after = (text, more) => (more ? text + (zh() ? "：" : ": ") + more : text);
const times = (b) => (b.detail?.seen_before ? (zh() ? `，之前来过约 ${b.detail.seen_before} 次` : `, about ${b.detail.seen_before} visits before`) : "");

// kind -> [tone, words(body), technical?]
const KINDS = {
  "AccessControl/AccessGranted/Credential": ["good", (b) => {
    if (b.actor === "console") return zh() ? "门口控制台的继电器测试" : "Relay test from the console at the door";
    if (b.credential === "remote") return zh() ? "管理员远程开门" : "Opened by a manager from afar";
    const by = pick(BY, b.credential);
    return zh() ? `${who(b) || "有人"}获准进入（${by}）` : `${who(b) || "Somebody"} may come in, ${by}`;
  }],
  "AccessControl/AccessTaken/Credential": ["good", (b) => (zh() ? `${who(b) || "有人"}进来了` : `${who(b) || "Somebody"} came in`)],
  "AccessControl/AccessNotTaken/Credential": ["quiet", (b) => after(zh() ? `${who(b) || "有人"}没有进来` : `${who(b) || "Somebody"} did not come in`, b.reason && pick(REASON, b.reason))],
  "AccessControl/AccessUnverified": ["warn", (b) => after(zh() ? "开过锁，是否有人进来不知道" : "Unlocked; nothing can tell who came in", b.reason && pick(REASON, b.reason))],
  "AccessControl/Denied/Credential": ["warn", (b) => {
    if (b.reason === "Spoof") return zh() ? "有人举着照片或屏幕，没有开门" : "A picture was held up; not let in";
    return after(zh() ? `${who(b) || "有人"}没有放行` : `${who(b) || "Somebody"} was not let in`, pick(REASON, b.reason));
  }],
  "AccessControl/Denied/CredentialNotFound": ["warn", (b) => (zh() ? `陌生人，没有开门（${pick(BY, b.credential)}）${times(b)}` : `A stranger was not let in, ${pick(BY, b.credential)}${times(b)}`)],
  "AccessControl/Watched": ["bad", () => (zh() ? "布控名单上的人来过，门没有开" : "Somebody on the watch-list was seen; the door did not open")],
  "AccessControl/Duress": ["bad", (b) => (b.opened === false ? (zh() ? "有人被胁迫，门没有开" : "Somebody is under duress; the door did not open") : zh() ? "胁迫开门" : "Opened under duress")],
  "AccessControl/AccessGranted/Anonymous": ["good", () => (zh() ? "按钮出门" : "Somebody left by the exit button")],
  "AccessControl/Lockout": ["warn", (b) => (b.state === "Started" ? (zh() ? "多次拒绝，人脸识别暂停" : "Too many refusals: faces are paused") : zh() ? "人脸识别恢复" : "Faces are looked at again")],
  "Door/State/DoorMode": ["quiet", (b) => after(say("mode"), say(b.state)), true],
  "Door/State/LockPhysicalState": ["quiet", (b) => after(say("lock"), say({ Unlocked: "released", Locked: "secured" }[b.state] ?? "unknown")), true],
  "Door/State/DoorPhysicalState": ["quiet", (b) => ({ Open: zh() ? "门开了" : "The door opened", Closed: zh() ? "门关上了" : "The door closed" })[b.state] ?? after(say("leaf"), say("unknown"))],
  "Door/State/DoorAlarm": ["bad", (b) => ({ DoorForcedOpen: say("sForced"), DoorOpenTooLong: say("sHeld"), Normal: zh() ? "门的警报解除" : "The door's alarm is over" })[b.state] ?? after(say("door"), say(b.state))],
  "Door/State/DoorTamper": ["bad", (b) => (b.state === "TamperDetected" ? say("sTamper") : zh() ? "设备盖好了" : "The device is closed again")],
  "Door/State/DoorFault": ["bad", (b) => ({
    NotInFault: zh() ? "故障排除" : "The door's fault is gone",
    Reported: after(zh() ? "硬件程序报告故障" : "The hardware program reports a fault", b.detail),
  })[b.state] ?? (b.faults?.length ? say("sFault", list(b.faults, FAULT)) : zh() ? "门有故障" : "Something is wrong with the door")],
  "Door/State/Fire": ["bad", (b) => (b.state === "Alarm" ? say("sFire") : zh() ? "消防报警解除" : "The fire alarm is over")],
  "Door/Doorbell": ["quiet", () => (zh() ? "有人按门铃" : "The bell rang")],
  "Agent/Started": ["quiet", (b) => after(zh() ? "门禁程序启动" : "The door's program started", b.release ?? b.version)],
  "Agent/Stopped": ["quiet", () => (zh() ? "门禁程序停止" : "The door's program stopped")],
  "Agent/Vision": ["quiet", (b) => ({ Up: zh() ? "人脸识别开始工作" : "Recognition is working", Down: zh() ? "人脸识别中断，正在重启" : "Recognition stopped and is being restarted",
    EnrolAgain: zh() ? `${b.people} 人的面容认不出：他们是用另一种识别网络录入的` : `${b.people} people are not recognised: they were enrolled with another network`,
    Nonsense: zh() ? "识别程序说了读不懂的话，已忽略" : "Recognition said something that makes no sense; it was left out",
    GalleryRefused: after(zh() ? "识别程序没有接受住户名单" : "Recognition did not take the residents' faces", b.detail),
    EveryoneEnrolled: zh() ? "每个人的面容都能认出来了" : "Everybody enrolled can be recognised again" })[b.state] ?? after(say("pVision"), b.state)],
  "Agent/Camera": ["quiet", (b) => after(say("pCamera"), known("cam_", b.state))],
  "Agent/Link": ["quiet", (b) => ({ Up: zh() ? "与服务器的线路接通" : "The link to the server is up", Down: zh() ? "与服务器的线路断开，门照常工作" : "The link to the server is down; the door goes on",
    CertificateEnds: zh() ? `门的证书还有 ${b.days} 天到期，请重新配置这扇门` : `The door's certificate ends in ${b.days} days: provision it again`,
    Alarm: after(zh() ? "服务器不让这扇门做它该做的事" : "The server does not let this door do what it should", b.detail ?? b.word) })[b.state] ?? after(say("pLink"), b.state)],
  "Agent/Store": ["bad", (b) => after(say("pStore"), pick(STORE, b.state))],
  "Agent/Clock": ["quiet", (b) => after(say("pClock"), known("clock_", b.state)), true],
  "Agent/Roster": ["quiet", (b) => ({
    Changed: zh() ? "住户名单已更新" : "The list of residents changed",
    Applied: zh() ? `收到服务器的名单第 ${b.revision} 版，${b.persons} 人` : `Version ${b.revision} of the server's list came, ${b.persons} people`,
    Refused: after(zh() ? "服务器发来的名单没有采用" : "A list from the server was not taken", pick({ ...REASON, ...UNFIT }, b.reason)),
    RolledBack: zh() ? "这扇门的名单被回退过，等服务器重发" : "This door's list was rolled back; the server sends it again",
    Drift: zh() ? `名单未更新：第 ${b.revision} 版，应为第 ${b.wanted} 版` : `The list is not up to date: version ${b.revision}, should be ${b.wanted}`,
    DriftOver: zh() ? `名单已更新到第 ${b.revision} 版` : `The list is up to date: version ${b.revision}`,
    Stale: zh() ? "太久没有收到服务器的消息：访客暂不放行，住户照常" : "The server was not heard for too long: visitors are refused for now, residents are not",
    Fresh: zh() ? "又收到服务器的消息：访客恢复通行" : "The server is heard again: visitors are let in",
    FacePurged: zh() ? "已撤回同意的人脸模板已从这扇门删除，附签名回执" : "A withdrawn face was purged from this door, with a signed receipt",
    Enrolled: zh() ? "新住户已录入" : "A resident was enrolled",
    VisitAdded: zh() ? "为一位住户补充了人脸模板" : "Pictures of another visit were added for a resident",
    Unreadable: zh() ? `名单里有 ${b.entries} 条读不出来：这些人进不来，其他人照常` : `${b.entries} entries of the list of residents cannot be read: these people are not let in, everybody else is`,
    Readable: zh() ? "名单里每一条都能读出来了" : "Every entry of the list of residents can be read again",
    Unusable: zh() ? "住户名单打不开：已知的人照常进出；重启后谁也不认识，出门不受影响" : "The list of residents cannot be used: whoever is known goes on coming in, after a restart nobody is; exits work",
    Usable: zh() ? "住户名单恢复正常" : "The list of residents can be used again",
  })[b.state] ?? (zh() ? "住户名单已更新" : "The list of residents changed"), true],
  "Agent/CallbackFailed": ["bad", () => (zh() ? "程序内部错误" : "An internal error")],
  "Agent/Command": ["quiet", (b) => {
    const what = pick(ORDER, b.order ?? b.action ?? b.stage ?? "");
    return after(zh() ? "远程指令" : "Order from afar", [what, pick(ORDER, b.outcome), b.reason && pick(REASON, b.reason)].filter(Boolean).join(" · "));
  }],
  "Agent/Update": ["quiet", (b) => after(({
    Ordered: zh() ? "服务器要求更新程序" : "A new release was ordered", Fetched: zh() ? "新程序已下载" : "The new release was fetched",
    Handed: zh() ? "开始安装新程序" : "The new release is being installed", Well: zh() ? "新程序运行正常" : "The new release runs and is well",
    Refused: zh() ? "没有接受新程序" : "The new release was not taken", Failed: zh() ? "更新失败，仍用旧程序" : "The update failed, the old release goes on",
    RolledBack: zh() ? "新程序有问题，已退回旧程序" : "The new release was not well: the old one is back", Cancelled: zh() ? "更新已取消" : "The update was called off",
  })[b.state] ?? (zh() ? "程序更新" : "Update"), [b.release, b.why && pick(UPDATE, b.why)].filter(Boolean).join(" · "))],
  "Agent/Unexpected": ["quiet", (b) => after(zh() ? "没有意义的事件" : "An event without a meaning now", b.event), true],
  "Journal/Epoch": ["quiet", () => (zh() ? "事件日志开始" : "The journal began"), true],
  "Journal/Checkpoint": ["quiet", () => (zh() ? "已送达的旧记录已清理" : "Old rows that the server has were cleared"), true],
  "Journal/Tombstone": ["bad", () => (zh() ? "空间不足，删除了旧的次要记录" : "Out of room: old minor rows were dropped")],
  "Journal/Folded": ["warn", () => (zh() ? "空间不足，合并了旧的次要记录" : "Short of room: old minor rows were folded")],
};
const OVER = new Set(["Normal", "NotInFault", "NotInTamper", "Recovered", "recovered", "Ended", "Readable", "Usable", "EveryoneEnrolled", "DriftOver", "Fresh", "quota-ok"]);

// {text, tone, technical}: an event of a kind nobody described is shown by its name.
function describe(event) {
  const body = event.body ?? {};
  const [tone, words, technical = false] = KINDS[event.kind] ?? ["quiet", () => String(event.kind)];
  let shown = OVER.has(body.state) ? "quiet" : tone;
  if (shown === "quiet" && (event.priority ?? 0) >= 2 && body.state !== undefined && !OVER.has(body.state)) shown = "warn";
  const text = words(body);
  return { text: text.charAt(0).toUpperCase() + text.slice(1), tone: shown, technical: technical && (event.priority ?? 0) < 2 };
}

const SHOWN = { "come-closer": "sCloser", "uncover-face": "sUncover", "more-light": "sLight", "turn-from-light": "sTurn", "look-here": "sLook", "look-again": "sLookAgain", "show-phone": "sPhone", "show-again": "sAgain", refused: "sRefused", identify: "sIdentify" };

// [tone, text] for the banner. `left_s`: how long the lock stays released, null for no known end.
function standing(now, connected, left_s) {
  const d = now.door_state ?? {}, alarms = d.alarms ?? [];
  if (!connected) return ["warn", say("sAway")];
  if (d.fire) return ["bad", say("sFire")];
  if (alarms.includes("DoorForcedOpen")) return ["bad", say("sForced")];
  if (d.tamper) return ["bad", say("sTamper")];
  if (alarms.includes("DoorOpenTooLong")) return ["bad", say("sHeld")];
  if (now.guard?.up === false) return ["warn", say("sGuard")];
  if (d.faults?.length) return ["bad", say("sFault", list(d.faults, FAULT))];
  if (d.mode === "LockedDown") return ["bad", say("sDown")];
  if (d.mode === "Blocked") return ["warn", say("sBlocked")];
  if (d.mode === "Unlocked" || d.mode === "LockedOpen") return ["good", say("sOpenHours")];
  if (d.lock === "released") {
    const name = lastName(now);
    return ["good", (name ? say("sWelcomeName", name) : say("sWelcome")) + (left_s > 0 ? say("sFor", Math.ceil(left_s)) : "")];
  }
  if (d.lockout_for_s > 0) return ["warn", say("sLockout", Math.ceil(d.lockout_for_s))];
  if (SHOWN[d.indication]) return ["warn", say(SHOWN[d.indication])];
  if (d.contact === "open") return ["warn", say("sOpenLeaf")];
  return d.lock === "secured" ? ["", say("sIdle")] : ["warn", say("sIdleUnknown")];
}

// Whom the door is open for: the newest grant, unless somebody left by the button after it.
function lastName(now) {
  const grant = (now.events ?? []).find((e) => e.kind?.startsWith("AccessControl/AccessGranted/"));
  return grant?.body?.name ?? "";
}
