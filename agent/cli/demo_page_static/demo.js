// The demo's buttons. A button that is not ready says why instead of pretending. Text goes in by textContent only.
"use strict";

const GROUPS = [
  ["people", ["resident", "stranger", "print", "two_people", "dark", "phone_pass", "phone_again", "phone_duress", "visitor_pass", "face_and_phone"]],
  ["door", ["exit_button", "door_open", "door_close", "doorbell", "tamper_on", "tamper_off", "power_lost", "power_back"]],
  ["house", ["remote_open", "hold_open", "end_hold_open", "lock_down", "release_lock_down", "block", "unblock", "hours_on", "hours_off", "fire_on", "fire_off", "uplink_cut", "uplink_restore"]],
  ["people_list", ["list_add", "list_phone", "list_remove", "withdraw", "enrol_again", "enrol_here", "enrol_forget"]],
  ["faults", ["kill_vision", "kill_agent", "kill_guard", "kill_broker", "kill_server", "edit_journal"]],
];
const DANGER = /^kill_|^fire_on$|^tamper_on$|^power_lost$|^edit_journal$/;

let capabilities = null;
let addresses = {};

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
  speakStatic();
  document.querySelectorAll("iframe").forEach((element) => { element.title = say(element.dataset.title); });
  drawButtons();
  frame();
}

languageButton(() => { tell(""); speak(); });
tell(say("starting"));
speak();
look();
