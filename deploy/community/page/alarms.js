// Alarms of the server itself: what nobody has seen to stands above, the rest is kept below with who saw to it and when.
"use strict";

let alarms = { alarms: [], more: false, before: null };
let asking = 0;

async function loadAlarms() {
  const mine = ++asking, told = await askServer("/api/alarms").catch(() => null);
  if (told === null || mine !== asking) return;
  alarms = told;
  showAlarms();
}

async function earlierAlarms() {
  const mine = asking, told = await askServer(`/api/alarms?before=${alarms.before}`);
  if (mine !== asking) return;
  alarms = { ...told, alarms: [...alarms.alarms, ...told.alarms] };
  showAlarms();
}

function alarmRow(alarm) {
  const seen = alarm.seen_ms !== undefined, silent = alarm.word === "duress", row = make("li", undefined, seen || silent ? "" : "bad");
  row.append(make("span", undefined, `dot ${seen ? "" : silent ? "warn" : "bad"}`), timeOf(alarm.at_ms));
  row.append(silent ? silentWords(`alarm ${alarm.id ?? alarm.at_ms}`, say("silentPhone", whoIn(alarm.detail))) : make("span", `${say(alarm.word)} · ${detailWords(alarm)}`), make("span", alarm.device === "server" ? say("server") : alarm.device, "where"));
  if (seen) row.append(make("span", say("seenBy", alarm.seen_by || "?", clock(alarm.seen_ms)), "quiet small seen"));
  else if (mayOrder() && alarm.id !== undefined) row.append(buttonOf(say("acknowledge"), "plain seen", () => acknowledge(alarm.id)));
  return row;
}

// The server's own words, for whoever mends it; how long a door has been silent is for everybody.
function detailWords(alarm) {
  const silent = alarm.detail.match(/^nothing heard for (\d+) s$/);
  return silent ? say("silentFor", duration(Number(silent[1]))) : alarm.detail;
}

// Ids become names here: a door and the server's record have ids only.
const whoIn = (detail) => me.names[detail.split(" ")[0]] ?? detail.split(" ")[0];

async function acknowledge(id) {
  await askServer(`/api/alarms/${id}/acknowledge`, {}).catch(() => null);
  await loadAlarms();
}

// The ledger's, and what could not be stored while it took nothing.
function showAlarms() {
  const lost = [...now.entries].reverse().filter((e) => e.type === "alarm" && e.id === undefined);
  const open = [...lost, ...alarms.alarms.filter((a) => a.seen_ms === undefined)], seen = alarms.alarms.filter((a) => a.seen_ms !== undefined);
  redraw(byId("alarms"), open.map(alarmRow));
  redraw(byId("alarms-seen"), seen.map(alarmRow));
  byId("alarm-past").hidden = !seen.length && !alarms.more;
  byId("alarms-more").hidden = !alarms.more;
  byId("alarm-box").hidden = !open.length && byId("alarm-past").hidden;
  byId("alarm-box").classList.toggle("bad-card", open.some((a) => a.word !== "duress"));
}

byId("alarms-more").addEventListener("click", earlierAlarms);
