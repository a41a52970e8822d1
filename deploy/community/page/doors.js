// Doors at a glance, and the orders to them: a dialog asks for the reason, the door's own answers are shown, never a hope.
"use strict";

const ORDERS = ["open", "lock-down", "release-lock-down", "hold-open", "end-hold-open", "block", "unblock", "identify"];
const HOLD_S = 900;
const answers = {}; // device -> { id, words, tone }
const opened = new Set(); // which doors are unfolded

function badges(door) {
  if (!door.online) return [["warn", say("offline")]];
  const s = door.state, h = s.health ?? {}, found = [];
  if (h.queue > 0) found.push(["warn", say("queue_n", h.queue)]);
  if (s.clock !== undefined && !["ntp", "rtc"].includes(s.clock)) found.push(["warn", say("clockBad")]);
  if (h.vision === false) found.push(["warn", say("visionDown")]);
  else if (h.camera && h.camera !== "ok") found.push(["warn", `${say("camera")}: ${known("cam_", h.camera)}`]);
  if (h.store && h.store !== "ok") found.push(["bad", `${say("pStore")}: ${h.store}`]);
  if (s.roster?.drift) found.push(["warn", say("drift", s.roster.revision ?? 0, s.roster.wanted)]);
  if (s.roster?.usable === false) found.push(["bad", say("rosterUnusable")]);
  if (s.roster?.unreadable > 0) found.push(["bad", say("rosterUnreadable", s.roster.unreadable)]);
  if (s.roster?.enrol_again > 0) found.push(["bad", say("enrolAgain", s.roster.enrol_again)]);
  const u = s.update;
  if (["fetching", "waiting", "installing"].includes(u?.stage)) found.push(["", say(`u_${u.stage}`, u.release ?? "", u.percent ?? 0)]);
  else if (["refused", "failed", "rolled-back"].includes(u?.stage)) found.push(["bad", say(`u_${u.stage}`, u.release ?? "", u.why ? pick(UPDATE, u.why) : "")]);
  if (s.roster?.stale) found.push(["warn", say("stale")]);
  return found;
}

function doorRow(name, door) {
  const facts = door.state.door ?? {}, row = make("li", undefined, "card door"), more = make("details"), summary = make("summary");
  const [tone, words] = standing({ door_state: facts, guard: { up: door.state.health?.guard !== false }, events: [] }, door.online, null);
  const marks = make("span", undefined, "marks");
  marks.append(...badges(door).map(([t, text]) => make("span", text, `badge ${t}`)));
  summary.append(make("span", undefined, `dot ${tone || "good"}`), make("strong", name), make("span", words, `said ${tone}`), marks);
  more.open = opened.has(name);
  more.addEventListener("toggle", () => { if (more.open) opened.add(name); else opened.delete(name); });
  more.append(summary, factsOf(door, facts), orderButtons(name, door, facts));
  row.append(more);
  row.append(make("p", answers[name]?.words ?? "", `answer ${answers[name]?.tone ?? ""}`));
  row.lastChild.setAttribute("role", "status");
  return row;
}

function factsOf(door, f) {
  const list = make("dl", undefined, "facts"), up = door.online;
  const add = (label, value) => list.append(make("dt", say(label)), make("dd", value));
  add("lock", say(up ? f.lock ?? "unknown" : "unknown")); // what an absent door last said is not what it is now
  add("contact", say(up ? f.contact ?? "unknown" : "unknown"));
  add("mode", up && f.mode ? say(f.mode) : say("unknown"));
  const r = door.state.roster;
  add("pRoster", r ? say("residents_n", r.persons) : say("unknown"));
  add("release", door.state.release ?? say("unknown"));
  add("seen", door.heard_ms ? clock(door.heard_ms) : say("unknown"));
  return list;
}

function orderButtons(name, door, facts) {
  const box = make("div", undefined, "orders");
  if (!mayOrder() || !me.can_order) {
    box.append(make("p", say(mayOrder() ? "noKey" : "notManager"), "quiet"));
    return box;
  }
  const down = facts.mode === "LockedDown", held = facts.mode === "LockedOpen", blocked = facts.mode === "Blocked";
  const shown = ["open", down ? "release-lock-down" : "lock-down", held ? "end-hold-open" : "hold-open", blocked ? "unblock" : "block", "identify"];
  for (const action of shown) {
    const b = buttonOf(say(`a_${action}`), action === "open" ? "primary" : action === "lock-down" ? "danger" : "", () => askOrder([name], action));
    b.disabled = !door.online;
    box.append(b);
  }
  return box;
}

let pending = null;
function askOrder(devices, action) {
  pending = { devices, action };
  byId("order-title").textContent = say("title_order", say(`a_${action}`), devices.length > 1 ? say("allDoors") : devices[0]);
  byId("order-what").textContent = say(`w_${action}`);
  byId("order-needs").hidden = action === "identify";
  byId("order-told").textContent = "";
  byId("order-yes").textContent = say(`a_${action}`);
  byId("order-yes").className = action === "lock-down" ? "primary danger" : "primary";
  byId("reasons").replaceChildren(...say("reasons").split("|").map((r) => Object.assign(make("option"), { value: r })));
  byId("order").showModal();
  (action === "identify" ? byId("order-yes") : byId("order-reason")).focus();
}

function confirmOrder(submitted) {
  submitted.preventDefault();
  const { devices, action } = pending, reason = byId("order-reason").value.trim();
  if (action !== "identify" && reason.length < 3) {
    byId("order-told").textContent = say("reasonShort");
    byId("order-reason").focus();
    return;
  }
  byId("order").close();
  byId("order-reason").value = "";
  for (const device of devices) sendOrder(device, action, reason);
}

async function sendOrder(device, action, reason) {
  answers[device] = { words: `${say(`a_${action}`)}: ${say("s_asking")}`, tone: "" };
  showDoors();
  try {
    const more = action === "hold-open" ? { for_s: HOLD_S } : {};
    const told = await askServer(`/api/doors/${device}/orders`, { action, reason, ...more });
    // a later stage may have come over the stream already
    if (!(answers[device].id && answers[device].id === told.id)) noteAnswer(device, told, action);
  } catch (error) {
    answers[device] = { words: error.message, tone: "bad" };
  }
  showDoors();
}

const GOOD = new Set(["energised", "taken", "done"]), ON_ITS_WAY = new Set(["accepted"]), NO_WORD = new Set(["not-sent", "no-answer"]);
function noteAnswer(device, told, action) {
  const what = action ?? answers[device]?.action;
  const why = told.reason ? `: ${pick(REASON, told.reason)}` : "";
  const words = [what && say(`a_${what}`), known("s_", told.stage) + (NO_WORD.has(told.stage) ? "" : why)].filter(Boolean).join(" – ");
  answers[device] = { id: told.id, action: what, words, tone: GOOD.has(told.stage) ? "good" : ON_ITS_WAY.has(told.stage) ? "" : "warn" };
}

// Replies on the stream: of an order of this page, or of a colleague's (shown as well: it is the same door).
function tookReply(entry) {
  noteAnswer(entry.device, entry, answers[entry.device]?.action);
}

function showDoors() {
  const names = Object.keys(now.doors).sort(), list = byId("doors"), held = document.activeElement?.closest?.("#doors li") ? document.activeElement : null;
  const place = held && [[...list.children].indexOf(held.closest("li")), [...held.closest("li").querySelectorAll("summary,button")].indexOf(held)];
  list.replaceChildren(...names.map((name) => doorRow(name, now.doors[name])));
  if (place) list.children[place[0]]?.querySelectorAll("summary,button")[place[1]]?.focus(); // a redraw must not lose the keyboard
  byId("no-doors").hidden = names.length > 0;
  byId("lock-all").hidden = names.length < 2 || !mayOrder() || !me.can_order;
}

byId("order-form").addEventListener("submit", confirmOrder);
byId("order-no").addEventListener("click", () => byId("order").close());
byId("lock-all").addEventListener("click", () => askOrder(Object.keys(now.doors).filter((n) => now.doors[n].online), "lock-down"));
