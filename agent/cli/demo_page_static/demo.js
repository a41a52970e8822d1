// The demo's buttons. A button that is not ready says why instead of pretending. Text goes in by textContent only.
"use strict";

const WORDS = {
  title: ["door-agent 演示", "door-agent, acted out"],
  what: ["一扇模拟的门、它的控制台和小区的服务器，都在这台电脑上运行。按一个按钮，看会发生什么。",
    "One simulated door, its console and the community's server, all on this machine. Press a button and watch."],
  scenes: ["演示按钮", "What to act"], console: ["门上的控制台", "At the door"], server: ["管理员看到的", "What the manager sees"],
  alone: ["单独打开", "open alone"], other: ["English", "中文"], other_: ["其他", "Other"],
  people: ["走到门前", "Somebody walks up"], door: ["在门上", "At the door"], house: ["楼里和线路", "Building and line"], faults: ["拔掉插头", "Pull the plug on"],
  resident: ["住户", "Resident"], stranger: ["陌生人", "Stranger"], print: ["举着住户照片的人", "Print of the resident"],
  two_people: ["两个人", "Two people"], phone_pass: ["手机通行码", "Phone pass"], remote_open: ["管理员远程开门", "Open from afar"],
  exit_button: ["按出门按钮", "Exit button"], door_open: ["推开门", "Open the leaf"], door_close: ["关上门", "Close the leaf"],
  tamper_on: ["拆设备外壳", "Open the case"], tamper_off: ["盖好外壳", "Close the case"],
  fire_on: ["消防报警", "Fire alarm"], fire_off: ["解除报警", "Alarm over"], uplink_cut: ["拔网线", "Cut the line"], uplink_restore: ["接回网线", "Restore the line"],
  kill_vision: ["识别程序", "Recognition"], kill_agent: ["门禁程序", "Agent"], kill_guard: ["硬件程序", "Lock guard"],
  kill_server: ["服务器", "Server"], kill_broker: ["消息中转", "Broker"], lock_down: ["封锁", "Lock down"], release_lock_down: ["解除封锁", "End lock-down"],
  visitor_pass: ["访客通行码", "Visitor pass"], phone_duress: ["被胁迫出示手机", "Phone, under duress"], phone_again: ["再出示同一个码", "The same code again"],
  hold_open: ["保持开锁", "Keep unlocked"], end_hold_open: ["结束保持开锁", "End keeping unlocked"], block: ["停用此门", "Out of use"], unblock: ["恢复使用", "Back into use"],
  hours_on: ["进入开放时段", "Open hours begin"], hours_off: ["结束开放时段", "Open hours end"], doorbell: ["按门铃", "Ring the bell"],
  power_lost: ["门锁断电", "Lock loses its power"], power_back: ["门锁来电", "Lock has power again"], dark: ["走廊没灯", "Dark hallway"],
  people_list: ["名单", "The list"], list_add: ["名单加一个人", "Add somebody"], list_phone: ["新住户出示手机", "The newcomer's phone"], list_remove: ["从名单删除", "Remove them again"],
  withdraw: ["住户撤回人脸同意", "Resident withdraws the face"], enrol_again: ["住户重新同意并录入", "Resident is enrolled again"], edit_journal: ["篡改日志", "Edit the journal"], phone: ["住户的手机页面", "A resident's phone page"],
  counted: ["门上写了 {0} 条 · 服务器有 {1} 条 · {2}", "The door wrote {0} events · the server has {1} · {2}"],
  allThere: ["一条不少", "nothing lost"], onTheWay: ["{0} 条在路上", "{0} on their way"], kills: ["已强行终止 {0} 个程序", "{0} processes killed so far"],
  notYet: ["{0}：{1}", "{0}: {1}"], failed: ["{0}：没有做成。{1}", "{0}: did not work. {1}"], done: ["{0}……", "{0}…"],
  starting: ["演示正在启动…", "The demo is starting…"], gone: ["演示已停止。重新运行 make demo。", "The demo has stopped. Run make demo again."],
  unbuilt: ["后续版本提供。", "It comes with a later release."],
};
const GROUPS = [
  ["people", ["resident", "stranger", "print", "two_people", "dark", "phone_pass", "phone_again", "phone_duress", "visitor_pass"]],
  ["door", ["exit_button", "door_open", "door_close", "doorbell", "tamper_on", "tamper_off", "power_lost", "power_back"]],
  ["house", ["remote_open", "hold_open", "end_hold_open", "lock_down", "release_lock_down", "block", "unblock", "hours_on", "hours_off", "fire_on", "fire_off", "uplink_cut", "uplink_restore"]],
  ["people_list", ["list_add", "list_phone", "list_remove", "withdraw", "enrol_again"]],
  ["faults", ["kill_vision", "kill_agent", "kill_guard", "kill_broker", "kill_server", "edit_journal"]],
];
const DANGER = /^kill_|^fire_on$|^tamper_on$|^power_lost$|^edit_journal$/;

const stored = (() => { try { return localStorage.getItem("language"); } catch { return null; } })();
const wantedLanguage = new URLSearchParams(location.search).get("lang") ?? stored ?? navigator.language;
let language = wantedLanguage.startsWith("zh") ? "zh-CN" : "en";
let capabilities = null;
let addresses = {};

const byId = (id) => document.getElementById(id);
const say = (key, ...values) => {
  const pair = WORDS[key] ?? [key, key];
  return (language === "en" ? pair[1] : pair[0]).replace(/\{(\d)\}/g, (_, i) => values[i]);
};

// A text, or [zh-CN, en].
const either = (told) => (Array.isArray(told) ? told[language === "en" ? 1 : 0] : told ?? "");

function tell(text, tone = "") {
  byId("told").className = tone;
  byId("told").textContent = text;
}

function drawButtons() {
  const others = Object.keys(capabilities ?? {}).filter((name) => !GROUPS.some(([, names]) => names.includes(name)));
  const groups = others.length ? [...GROUPS, ["other_", others]] : GROUPS;
  byId("groups").replaceChildren(...groups.map(([title, names]) => {
    const box = document.createElement("fieldset"), legend = document.createElement("legend");
    legend.textContent = say(title);
    box.append(legend, ...names.map(button));
    return box;
  }));
  showReady();
}

function button(name) {
  const element = document.createElement("button");
  element.type = "button";
  element.id = `act-${name}`;
  element.textContent = say(name);
  element.classList.toggle("danger", DANGER.test(name));
  element.addEventListener("click", () => act(name));
  return element;
}

const why = (name) => (capabilities === null ? say("starting") : capabilities[name] === undefined ? say("unbuilt") : capabilities[name].ready ? null : either(capabilities[name].why) || say("unbuilt"));

// aria-disabled, not disabled: a button that cannot be pressed could not say why
function showReady() {
  document.querySelectorAll("#groups button").forEach((element) => {
    const reason = why(element.id.slice(4));
    element.setAttribute("aria-disabled", String(reason !== null));
    element.title = reason ?? "";
  });
}

async function act(name) {
  const reason = why(name);
  if (reason !== null) {
    tell(say("notYet", say(name), reason), "warn");
    return;
  }
  const element = byId(`act-${name}`);
  element.classList.add("busy");
  tell(say("done", say(name)));
  try {
    const reply = await fetch(`/api/act/${name}`, { method: "POST", headers: { "X-Requested-By": "demo-page" } });
    const told = await reply.json();
    if (told.ok === false) tell(say("failed", say(name), either(told.why)), "bad");
    else if (told.told) tell(say("notYet", say(name), either(told.told)));
  } catch (error) {
    tell(say("failed", say(name), error.message), "bad");
  }
  element.classList.remove("busy");
}

// What the door wrote against what the server holds of the same journal; while the door is away its last word stands.
function showCounters(c) {
  if (!c || c.written == null) return;
  const held = c.held[c.epoch] ?? 0, missing = c.written - held;
  const words = [say("counted", c.written, held, missing > 0 ? say("onTheWay", missing) : say("allThere"))];
  if (c.kills) words.push(say("kills", c.kills));
  byId("counters").textContent = words.join(" · ");
  byId("counters").className = missing > 0 ? "" : "good";
}

async function look() {
  try {
    const fresh = await (await fetch("/api/state")).json();
    const known = JSON.stringify(Object.keys(capabilities ?? {})) === JSON.stringify(Object.keys(fresh.capabilities));
    if (capabilities === null) tell("");
    capabilities = fresh.capabilities;
    if (JSON.stringify(addresses) !== JSON.stringify(fresh.addresses)) {
      addresses = fresh.addresses;
      frame();
    }
    if (known) showReady();
    else drawButtons();
    showCounters(fresh.counters);
  } catch {
    tell(capabilities === null ? say("starting") : say("gone"), "warn");
  }
  setTimeout(look, 1000);
}

// With a real camera nobody acts the resident: whoever sits here enrols from the console in the frame.
function frame() {
  const real = capabilities?.resident?.ready === false;
  if (!addresses.console) return;
  // each signs this browser in on its way
  byId("console").src = `/console?lang=${language}&embed=1${real ? "&enrol=1" : ""}`;
  byId("console-link").href = `/console?lang=${language}`;
  byId("phone-link").href = `${addresses.phone}?lang=${language}`;
  byId("server").src = byId("server-link").href = `/server?lang=${language}`;
}

function speak() {
  document.documentElement.lang = language;
  document.querySelectorAll("[data-text]").forEach((element) => { element.textContent = say(element.dataset.text); });
  document.querySelectorAll("iframe").forEach((element) => { element.title = say(element.dataset.title); });
  byId("groups").setAttribute("aria-label", say("scenes"));
  byId("language").textContent = say("other");
  drawButtons();
  frame();
}

byId("language").addEventListener("click", () => {
  language = language === "en" ? "zh-CN" : "en";
  try { localStorage.setItem("language", language); } catch { /* a private window */ }
  tell("");
  speak();
});
tell(say("starting"));
speak();
look();
