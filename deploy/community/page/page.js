// The manager's page: one snapshot, then a stream of what happens. Text goes in by textContent only.
"use strict";

const TEXT = {
  "zh-CN": {
    title: "小区门禁", doors: "门", events: "最新动态", alarms: "警报", noDoors: "还没有门连接到本服务器。",
    noEvents: "还没有动态。", other: "English", live: "实时", away: "连接中断，正在重连…",
    open: "远程开门", opening: "正在开门…", cannotOpen: "本服务器未设置远程开门",
    lock: "锁", contact: "门扇", mode: "模式", seen: "最后消息", link: "线路",
    online: "在线", offline: "离线", unknown: "未知", secured: "已锁", released: "已开锁", open_: "开着", closed: "关着",
    preview: "（待确认）", person: "人员", time: "时间未校准",
  },
  en: {
    title: "Community doors", doors: "Doors", events: "Latest events", alarms: "Alarms",
    noDoors: "No door has reported to this server yet.", noEvents: "Nothing has happened yet.", other: "中文",
    live: "live", away: "connection lost, trying again…", open: "Open from here", opening: "Opening…",
    cannotOpen: "Remote opening is not set up on this server", lock: "Lock", contact: "Leaf", mode: "Mode",
    seen: "Last word", link: "Link", online: "online", offline: "offline", unknown: "unknown", secured: "locked",
    released: "unlocked", open_: "open", closed: "closed", preview: " (to be confirmed)", person: "person",
    time: "clock not set",
  },
};

// [zh-CN, en] for each kind of event; where the row has a state it is shown after the name
const KIND = {
  "AccessControl/AccessGranted/Credential": ["准许进入", "Access granted"],
  "AccessControl/AccessTaken/Credential": ["已进入", "Went in"],
  "AccessControl/AccessNotTaken/Credential": ["未进入", "Did not go in"],
  "AccessControl/AccessUnverified": ["已开锁，是否进入未知", "Released; nobody can tell who went in"],
  "AccessControl/Denied/Credential": ["拒绝", "Refused"],
  "AccessControl/Denied/CredentialNotFound": ["陌生人，未开门", "Stranger, not let in"],
  "AccessControl/Duress": ["胁迫开门", "Opened under duress"],
  "AccessControl/AccessGranted/Anonymous": ["按钮出门", "Exit button"],
  "AccessControl/Lockout": ["多次拒绝后暂停", "Paused after refusals"],
  "Door/State/DoorMode": ["模式", "Mode"],
  "Door/State/DoorPhysicalState": ["门扇", "Leaf"],
  "Door/State/LockPhysicalState": ["锁", "Lock"],
  "Door/State/DoorAlarm": ["门警报", "Door alarm"],
  "Door/State/DoorTamper": ["防拆", "Tamper"],
  "Door/State/DoorFault": ["故障", "Fault"],
  "Door/State/Fire": ["消防", "Fire"],
  "Door/Doorbell": ["门铃", "Doorbell"],
  "Agent/Started": ["门禁启动", "Door agent started"],
  "Agent/Stopped": ["门禁停止", "Door agent stopped"],
  "Agent/Vision": ["人脸识别", "Face recognition"],
  "Agent/Camera": ["摄像头", "Camera"],
  "Agent/Link": ["线路", "Link"],
  "Agent/Store": ["存储", "Store"],
  "Agent/Clock": ["时钟", "Clock"],
  "Agent/Roster": ["名单", "Roster"],
  "Agent/Command": ["远程指令", "Remote command"],
  "Agent/CallbackFailed": ["内部错误", "Internal fault"],
  "Agent/Unexpected": ["意外事件", "Unexpected event"],
  "Journal/Epoch": ["日志开始", "Journal begun"],
  "Journal/Checkpoint": ["日志：已送达的旧记录已清理", "Journal: delivered rows pruned"],
  "Journal/Tombstone": ["日志：记录被删除", "Journal: rows dropped"],
  "Journal/Folded": ["日志：记录被合并", "Journal: rows folded"],
};
const STATE = {
  Normal: ["正常", "normal"], Alarm: ["报警", "alarm"], DoorForcedOpen: ["被强行打开", "forced open"],
  DoorOpenTooLong: ["开得太久", "held open"], Open: ["开着", "open"], Closed: ["关着", "closed"],
  Locked: ["已锁", "locked"], Unlocked: ["已开锁", "unlocked"], Accessed: ["通行中", "passage"],
  Blocked: ["停用", "blocked"], LockedDown: ["封锁", "locked down"], LockedOpen: ["常开", "held unlocked"],
  TamperDetected: ["被拆动", "tampered"], NotInTamper: ["正常", "normal"],
  FaultDetected: ["有故障", "fault"], NotInFault: ["正常", "normal"], Started: ["开始", "started"], Ended: ["结束", "ended"],
};
const ALARM = {
  "rows-lost": ["记录丢失", "Events lost"], fork: ["记录被篡改或复制", "History forked"],
  restored: ["记录被回退", "Door's store was rolled back"], damaged: ["记录损坏", "Damaged event"],
  malformed: ["无法读懂的消息", "Malformed message"], silence: ["门没有消息", "Door is silent"],
  database: ["数据库无法写入", "The database does not take anything"],
  poison: ["无法处理的消息", "Message could not be handled"],
};

const byId = (id) => document.getElementById(id);
const asked = new URLSearchParams(location.search).get("lang"); // the demo shows this page in its own language
const stored = asked ?? (() => { try { return localStorage.getItem("language"); } catch { return null; } })();
let language = stored in TEXT ? stored : navigator.language.startsWith("zh") ? "zh-CN" : "en";
let now = { doors: {}, entries: [], number: 0, can_open: false };
let live = false;
const answers = {};

const say = (key) => TEXT[language][key] ?? key;
const either = (table, key) => (table[key] ? table[key][language === "en" ? 1 : 0] : key);

function make(tag, text, className) {
  const e = document.createElement(tag);
  if (text !== undefined) e.textContent = text;
  if (className) e.className = className;
  return e;
}

function clock(ms) {
  const t = new Date(ms), today = new Date().toDateString() === t.toDateString();
  const hours = t.toLocaleTimeString(language, { hour12: false });
  return today ? hours : `${t.toLocaleDateString(language, { month: "numeric", day: "numeric" })} ${hours}`;
}

function timeOf(ms, trusted) {
  const e = make("time", clock(ms) + (trusted ? "" : " ≈"));
  if (!trusted) e.title = say("time");
  return e;
}

function describe(entry) {
  const b = entry.body ?? {}, words = [either(KIND, entry.kind)];
  if (typeof b.state === "string") words.push(either(STATE, b.state));
  if (typeof b.reason === "string") words.push(b.reason);
  if (typeof b.credential === "string") words.push(b.credential);
  if (typeof b.person_id === "string") words.push(`${say("person")} ${b.person_id}`);
  return words.join(" · ") + (entry.type === "preview" ? say("preview") : "");
}

function drawDoors() {
  const box = byId("doors");
  box.replaceChildren();
  const names = Object.keys(now.doors).sort();
  byId("no-doors").hidden = names.length > 0;
  for (const name of names) box.append(doorCard(name, now.doors[name]));
}

function doorCard(name, door) {
  const card = make("article", undefined, "door"), facts = door.state.door ?? {}, up = door.online;
  card.append(make("h3", name));
  const list = make("dl");
  const add = (label, value, className) => list.append(make("dt", say(label)), make("dd", value, className));
  add("link", say(up ? "online" : "offline"), up ? "good" : "bad");
  // what an absent door last said is not what it is now
  add("lock", up ? say(facts.lock ?? "unknown") : say("unknown"), up && facts.lock === "released" ? "warn" : "");
  const leaf = { open: "open_", closed: "closed" }[facts.contact] ?? "unknown";
  add("contact", up ? say(leaf) : say("unknown"), up && leaf === "open_" ? "warn" : "");
  add("mode", up && facts.mode ? either(STATE, facts.mode) : say("unknown"));
  if (door.heard_ms) add("seen", clock(door.heard_ms), "quiet");
  card.append(list);
  const button = make("button", say("open"), "primary");
  button.type = "button";
  button.disabled = !now.can_open || !up;
  button.addEventListener("click", () => openDoor(name, button));
  card.append(button, make("p", now.can_open ? (answers[name] ?? "") : say("cannotOpen"), "answer quiet"));
  return card;
}

async function openDoor(name, button) {
  button.disabled = true;
  button.textContent = say("opening");
  try {
    const reply = await fetch(`/api/doors/${name}/open`, {
      method: "POST", headers: { "X-Requested-By": "community-page" },
    });
    const told = await reply.json();
    answers[name] = told.error ?? [told.stage, told.reason].filter(Boolean).join(": ");
  } catch (e) {
    answers[name] = String(e);
  }
  drawDoors();
}

function drawEntries() {
  const events = byId("events"), alarms = byId("alarms");
  events.replaceChildren();
  alarms.replaceChildren();
  for (const entry of [...now.entries].reverse()) {
    const item = make("li");
    if (entry.type === "alarm") {
      if (alarms.children.length >= 10) continue;
      item.append(timeOf(entry.at_ms, true), make("span", `${either(ALARM, entry.word)} · ${entry.detail}`));
      item.append(make("span"), make("span", entry.device, "where"));
      alarms.append(item);
    } else if (entry.type === "event" || entry.type === "preview") {
      const trusted = entry.clock === "ntp" || entry.clock === "rtc";
      item.className = entry.priority === 3 ? "high" : "";
      item.append(timeOf(entry.wall_ms, trusted), make("span", describe(entry)), make("span"));
      item.append(make("span", `${entry.device} #${entry.seq}`, "where"));
      events.append(item);
    }
  }
  byId("alarm-box").hidden = alarms.children.length === 0;
  byId("no-events").hidden = events.children.length > 0;
}

function draw() {
  document.documentElement.lang = language;
  for (const e of document.querySelectorAll("[data-text]")) e.textContent = say(e.dataset.text);
  byId("language").textContent = say("other");
  byId("link").textContent = say(live ? "live" : "away");
  byId("link").className = `pill ${live ? "good" : "bad"}`;
  drawDoors();
  drawEntries();
}

let waiting = false;
function drawSoon() { // many rows at once are one picture
  if (waiting) return;
  waiting = true;
  setTimeout(() => { waiting = false; draw(); }, 60);
}

function take(entry) {
  now.number = entry.number;
  const own = entry.device === "server", door = own ? {} : (now.doors[entry.device] ??= { online: true, state: {} });
  if (entry.type === "state") {
    Object.assign(door, { online: entry.online, state: entry.state, heard_ms: entry.heard_ms });
  } else {
    door.heard_ms = entry.received_ms ?? door.heard_ms;
    // the row itself takes the place of the copy that ran ahead of it
    now.entries = now.entries.filter((e) => !(e.type === "preview" && e.device === entry.device
      && e.epoch === entry.epoch && e.seq === entry.seq));
    now.entries.push(entry);
    now.entries = now.entries.slice(-200);
  }
  drawSoon();
}

async function begin() {
  try {
    now = await (await fetch("/api/now")).json();
  } catch {
    setTimeout(begin, 2000);
    return;
  }
  const source = new EventSource(`/api/stream?after=${now.number}`);
  source.onopen = () => { live = true; draw(); };
  source.onmessage = (m) => take(JSON.parse(m.data));
  source.onerror = () => { // start over with a snapshot: what was missed is in it
    live = false;
    source.close();
    draw();
    setTimeout(begin, 2000);
  };
}

byId("language").addEventListener("click", () => {
  language = language === "en" ? "zh-CN" : "en";
  try { localStorage.setItem("language", language); } catch { /* private window */ }
  draw();
});
draw();
begin();
