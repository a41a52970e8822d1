// Doors at a glance.
"use strict";

const opened = new Set(); // which doors are unfolded

// [tone, words, what it means and what to do]
function badges(door) {
  const found = door.waits ? [["bad", say("waits", say(`a_${door.waits}`))]] : [];
  if (now.site_keys && !newKeys(door)) found.push(["warn", keyWords(door)]);
  if (!door.online) return [["warn", door.heard_ms ? say("offlineSince", clock(door.heard_ms)) : say("offline"), "whyOffline"], ...found];
  const s = door.state, h = s.health ?? {};
  if (h.queue > 0) found.push(["warn", say("queue_n", h.queue), "whyQueue"]);
  if (s.clock !== undefined && !["ntp", "rtc"].includes(s.clock)) found.push(["warn", say("clockBad"), "whyClock"]);
  if (h.vision === false) found.push(["warn", say("visionDown"), "whyVision"]);
  else if (h.camera && h.camera !== "ok") found.push(["warn", after(say("camera"), known("cam_", h.camera)), "whyCamera"]);
  if (h.store && h.store !== "ok") found.push(["bad", after(say("pStore"), h.store)]);
  if (s.roster?.drift) found.push(["warn", say("drift", s.roster.revision ?? 0, s.roster.wanted), "whyDrift"]);
  if (s.roster?.usable === false) found.push(["bad", say("rosterUnusable")]);
  if (s.roster?.unreadable > 0) found.push(["bad", say("rosterUnreadable", s.roster.unreadable)]);
  if (s.roster?.enrol_again > 0) found.push(["bad", say("enrolAgain", s.roster.enrol_again)]);
  const u = s.update;
  if (["fetching", "waiting", "installing"].includes(u?.stage)) found.push(["", say(`u_${u.stage}`, u.release ?? "", u.percent ?? 0)]);
  else if (["refused", "failed", "rolled-back"].includes(u?.stage)) found.push(["bad", say(`u_${u.stage}`, u.release ?? "", u.why ? pick(UPDATE, u.why) : "")]);
  if (s.roster?.stale) found.push(["warn", say("stale"), "whyStale"]);
  return found;
}

// Which of the site's keys a door believes: what a thief took opens it until it has the new ones.
const newKeys = (door) => door.keys >= now.site_keys;

function keyWords(door) {
  if (Number.isInteger(door.keys)) return say("keysOld", clock(now.site_keys * 1000));
  return say(door.online ? "keysNever" : "keysUnknown", clock(now.site_keys * 1000));
}

// While nothing is heard it is how the door was, without the colours of what is known.
function standingOf(door, facts) {
  const [tone, words] = standing({ door_state: facts, guard: { up: door.state.health?.guard !== false }, events: [] }, door.online, null);
  return current() ? [tone, words, tone || "good"] : ["quiet", say("before", words), ""];
}

function doorRow(name, door) {
  const facts = door.state.door ?? {}, row = make("li", undefined, "card door"), more = make("details"), summary = make("summary");
  const [tone, words, light] = standingOf(door, facts);
  const marks = make("span", undefined, "marks");
  const told = badges(door), meaning = make("div", undefined, "small");
  marks.append(...told.map(([t, text]) => make("span", text, `badge ${t}`)));
  meaning.append(...told.filter(([, , why]) => why).map(([, text, why]) => make("p", after(text, say(why)))));
  summary.append(make("span", undefined, `dot ${light}`), make("strong", name), make("span", words, `said ${tone}`), marks);
  more.open = opened.has(name);
  more.addEventListener("toggle", () => { if (more.open) opened.add(name); else opened.delete(name); });
  more.append(summary, meaning, factsOf(door, facts), orderButtons(name, door, facts));
  row.append(more);
  row.append(make("p", answers[name]?.words ?? "", `answer ${answers[name]?.tone ?? ""}`));
  row.lastChild.setAttribute("role", "status");
  if (answers[name]?.facts) row.append(diagnosticsOf(answers[name].facts));
  return row;
}

// In words for the manager; the installer on the telephone hears the door's own name of what is not as usual.
function diagnosticsOf(facts) {
  const list = make("dl", undefined, "facts small diagnostics");
  for (const [fact, value] of Object.entries(facts)) list.append(make("dt", known("g_", fact)), make("dd", factWords(fact, value)));
  return list;
}

const WORDS_OF = { "clock.quality": "clock_", "vision.camera_state": "cam_", "door_state.indication": "i_", policy: "pol_", "store.state": "st_", "queue.state": "st_" };

function factWords(fact, value) {
  if (typeof value === "boolean") return say(fact.endsWith(".up") ? (value ? "running" : "stopped") : value ? "yes" : "no");
  if (typeof value === "number") return String(value);
  if (fact === "link.reason") return value.split(": ").map((word) => known("link_", word)).join(": ");
  return known(WORDS_OF[fact] ?? "", value);
}

function factsOf(door, f) {
  const list = make("dl", undefined, "facts"), up = door.online && current();
  const add = (label, value) => list.append(make("dt", say(label)), make("dd", value));
  add("lock", say(up ? f.lock ?? "unknown" : "unknown")); // what an absent door last said is not what it is now
  add("contact", say(up ? f.contact ?? "unknown" : "unknown"));
  add("mode", up && f.mode ? say(f.mode) : say("unknown"));
  const r = door.state.roster;
  add("pRoster", r ? say("residents_n", r.persons) : say("unknown"));
  if (now.site_keys && newKeys(door)) add("siteKeys", say("keysNew", clock(now.site_keys * 1000)));
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
  const down = facts.mode === "LockedDown" || door.waits === "lock-down", held = facts.mode === "LockedOpen", blocked = facts.mode === "Blocked";
  const shown = ["open", down ? "release-lock-down" : "lock-down", held ? "end-hold-open" : "hold-open", blocked ? "unblock" : "block", "identify", "diagnostics"];
  for (const action of shown) {
    const b = buttonOf(say(`a_${action}`), action === "open" ? "primary" : action === "lock-down" ? "danger" : "", () => askOrder(name, action));
    b.disabled = lost || (!door.online && action !== "release-lock-down"); // what waits for a door can be taken back
    box.append(b);
  }
  return box;
}

function showDoors() {
  const names = inOrder(Object.keys(now.doors)), list = byId("doors"), held = document.activeElement?.closest?.("#doors li") ? document.activeElement : null;
  const place = held && [[...list.children].indexOf(held.closest("li")), [...held.closest("li").querySelectorAll("summary,button")].indexOf(held)];
  list.replaceChildren(...names.map((name) => doorRow(name, now.doors[name])));
  if (place) list.children[place[0]]?.querySelectorAll("summary,button")[place[1]]?.focus(); // a redraw must not lose the keyboard
  choices("event-door", [["", say("allDoors")], ...names.map((name) => [name, name])]);
  byId("event-door-box").hidden = names.length < 2;
  byId("no-doors").hidden = names.length > 0 || !loaded;
  byId("lock-all").hidden = names.length < 2 || !mayOrder() || !me.can_order;
  byId("release-all").hidden = byId("lock-all").hidden || !names.some((n) => now.doors[n].waits || now.doors[n].state.door?.mode === "LockedDown");
}
