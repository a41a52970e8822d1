// What happened: live, or a day of the past; strangers are rows like others, there are no pictures anywhere.
"use strict";

const FILTERS = {
  all: (e, said) => !said.technical,
  people: (e) => /^AccessControl\/(AccessGranted|AccessTaken|AccessNotTaken|AccessUnverified)/.test(e.kind),
  refused: (e) => /^AccessControl\/(Denied|Lockout)/.test(e.kind),
  alarms: (e, said) => e.priority >= 3 || said.tone === "bad",
  technical: () => true,
};
const SHOWN_MOST = 300;
let filter = "all";
let past = null; // events of a chosen day, null: live

// The console's sentences, with the names that only this server has.
function described(entry) {
  const body = { ...entry.body };
  if (me.names[body.person_id]) body.name = me.names[body.person_id];
  const said = describe({ kind: entry.kind, priority: entry.priority, body });
  const by = body.actor && me.names[body.actor] ? ` (${me.names[body.actor]})` : "";
  return { ...said, text: said.text + by + (entry.type === "preview" ? say("preview") : "") };
}

function eventRow(entry, said) {
  const row = make("li", undefined, said.tone), trusted = ["ntp", "rtc", "reckoned"].includes(entry.at_clock);
  row.append(make("span", undefined, `dot ${said.tone}`), timeOf(entry.at_ms, trusted), make("span", said.text), make("span", entry.device, "where"));
  const reckoned = entry.at_clock === "reckoned" ? ` · ${say("reckoned", new Date(entry.wall_ms).toLocaleString(language))}` : "";
  row.title = `${entry.kind} #${entry.seq}${reckoned}`;
  return row;
}

let spoken = null;
function showEvents() {
  const source = past?.events ?? [...now.entries].reverse().filter((e) => e.type === "event" || e.type === "preview");
  const wanted = source.map((e) => [e, described(e)]).filter(([e, said]) => FILTERS[filter](e, said)).slice(0, SHOWN_MOST);
  byId("events").replaceChildren(...wanted.map(([e, said]) => eventRow(e, said)));
  byId("no-events").hidden = wanted.length > 0;
  if (past?.more || wanted.length === SHOWN_MOST) byId("events").append(make("li", say("more_n", wanted.length), "quiet"));
  const newest = wanted[0] && `${wanted[0][0].device} ${wanted[0][0].seq}`;
  if (!past && spoken !== null && newest && newest !== spoken) byId("heard").textContent = `${wanted[0][1].text}, ${wanted[0][0].device}`;
  if (!past) spoken = newest ?? "";
}

function showAlarms() {
  const alarms = [...now.entries].reverse().filter((e) => e.type === "alarm").slice(0, 10);
  byId("alarms").replaceChildren(...alarms.map((a) => {
    const row = make("li", undefined, "bad");
    row.append(make("span", undefined, "dot bad"), timeOf(a.at_ms), make("span", `${say(a.word)} · ${a.detail}`), make("span", a.device, "where"));
    return row;
  }));
  byId("alarm-box").hidden = alarms.length === 0;
}

function showFilters() {
  byId("filters").replaceChildren(...Object.keys(FILTERS).map((name) => {
    const b = buttonOf(say(`f_${name}`), "plain", () => { filter = name; showFilters(); showEvents(); byId(`filter-${name}`).focus(); });
    b.id = `filter-${name}`;
    b.setAttribute("aria-pressed", String(filter === name));
    return b;
  }));
  const chosen = byId("day").value || new Date(Date.now() - new Date().getTimezoneOffset() * 60000).toISOString().slice(0, 10);
  byId("csv").hidden = me.role === "viewer";
  byId("csv").href = `/api/events.csv?from=${chosen}&zone=${encodeURIComponent(zone)}`;
}

async function chooseDay() {
  const day = byId("day").value;
  try {
    past = day ? await askServer(`/api/day?from=${day}&zone=${encodeURIComponent(zone)}`) : null;
    past?.events.reverse();
  } catch (error) {
    byId("heard").textContent = error.message;
  }
  showFilters();
  showEvents();
}

byId("day").addEventListener("change", chooseDay);
