// What happened: live, or a day of the past page by page; strangers are rows like others, there are no pictures anywhere.
"use strict";

const FILTERS = {
  all: (e, said) => !said.technical,
  people: (e) => /^AccessControl\/(AccessGranted|AccessTaken|AccessNotTaken|AccessUnverified)/.test(e.kind),
  refused: (e) => /^AccessControl\/(Denied|Lockout)/.test(e.kind),
  alarms: (e, said) => e.priority >= 3 || said.tone === "bad",
  technical: () => true,
};
const SHOWN_MOST = 300; // live; a day has all of its rows, as far as they were asked for
const ENOUGH = 60; // matching rows of a day: then whoever reads asks for more
const SILENT = "AccessControl/Duress";
let filter = "all";
let past = null; // {events, more, before} of a chosen day, the newest first; null: live
let choice = 0; // which choice of a day is the newest: an answer to an earlier one comes too late

// The console's sentences, with the names that only this server has.
function described(entry) {
  const body = { ...entry.body };
  if (me.names[body.person_id]) body.name = me.names[body.person_id];
  const said = describe({ kind: entry.kind, priority: entry.priority, body });
  if (entry.kind === SILENT) return { ...said, text: say("silent"), more: said.text, tone: "warn", silent: true };
  const by = body.actor && me.names[body.actor] ? say("inBrackets", me.names[body.actor]) : "";
  return { ...said, text: said.text + by + (entry.type === "preview" ? say("preview") : "") };
}

const trustedTime = (entry) => ["ntp", "rtc", "reckoned"].includes(entry.at_clock);

function eventRow(entry, said) {
  const row = make("li", undefined, said.tone);
  row.append(make("span", undefined, `dot ${said.tone}`), timeOf(entry.at_ms, trustedTime(entry)), said.silent ? silentWords(`${entry.device} ${entry.epoch} ${entry.seq}`, said.more, entry.body.person_id) : make("span", said.text), make("span", entry.device, "where"));
  const reckoned = entry.at_clock === "reckoned" ? ` · ${say("reckoned", inZone(entry.wall_ms))}` : "";
  row.title = `${entry.kind} #${entry.seq}${reckoned}`;
  return row;
}

// A silent alarm looks like any other row; what it is about is unfolded by whoever reads it.
const unfolded = new Set(); // a redraw must not fold what somebody is reading
function silentWords(key, what, personId) {
  const e = make("details");
  e.open = unfolded.has(key);
  e.addEventListener("toggle", () => { if (e.open) unfolded.add(key); else unfolded.delete(key); });
  e.append(make("summary", say("silent")), make("p", [what, me.names[personId]].filter(Boolean).join(" · ")), make("p", say("silentDo"), "small"));
  return e;
}

const oneDoor = () => byId("event-door").value; // "": every door
const wantedOf = (source) => source.filter((e) => !oneDoor() || e.device === oneDoor()).map((e) => [e, described(e)]).filter(([e, said]) => FILTERS[filter](e, said));

let spoken = null;
function showEvents() {
  const live = () => [...now.entries].reverse().filter((e) => e.type === "event" || e.type === "preview");
  const wanted = past ? wantedOf(past.events) : wantedOf(live()).slice(0, SHOWN_MOST);
  redraw(byId("events"), wanted.map(([e, said]) => eventRow(e, said)));
  byId("no-events").hidden = wanted.length > 0 || !loaded;
  byId("no-events").textContent = say(filter !== "all" || (oneDoor() && !past) ? "noneFound" : past ? "noneThatDay" : "noEvents");
  byId("events-more").hidden = !past?.more;
  const marks = [wanted.some(([e]) => !trustedTime(e)) && say("notSetMeans"), wanted.some(([e]) => e.type === "preview") && say("previewMeans")];
  byId("marks").textContent = marks.filter(Boolean).join(" ");
  byId("day-live").hidden = !byId("day").value;
  if (!past && now.entries.length >= SHOWN_MOST) byId("events").append(make("li", say("more_n", SHOWN_MOST), "quiet"));
  const newest = wanted[0] && `${wanted[0][0].device} ${wanted[0][0].seq}`;
  if (!past && spoken !== null && newest && newest !== spoken && !wanted[0][1].silent) byId("heard").textContent = `${wanted[0][1].text}, ${wanted[0][0].device}`;
  if (!past) spoken = newest ?? "";
}

function showFilters() {
  byId("filters").replaceChildren(...Object.keys(FILTERS).map((name) => {
    const b = buttonOf(say(`f_${name}`), "plain", () => { filter = name; showFilters(); showEvents(); byId(`filter-${name}`).focus(); fillDay(); });
    b.id = `filter-${name}`;
    b.setAttribute("aria-pressed", String(filter === name));
    return b;
  }));
  byId("csv-open").hidden = me.role === "viewer";
}

const askDay = (before) => askServer(`/api/day?from=${byId("day").value}&zone=${encodeURIComponent(zone)}${oneDoor() ? `&door=${encodeURIComponent(oneDoor())}` : ""}${before ? `&before=${before}` : ""}`);

async function chooseDay() {
  const mine = ++choice;
  try {
    const found = byId("day").value ? await askDay() : null;
    if (mine !== choice) return;
    past = found;
  } catch (error) {
    byId("heard").textContent = error.message;
  }
  showEvents();
  await fillDay();
}

async function earlier() {
  const mine = choice, found = await askDay(past.before);
  if (mine === choice) past = { ...found, events: [...past.events, ...found.events] };
  return mine === choice;
}

// A filter that finds little looks further back by itself.
async function fillDay() {
  while (past?.more && wantedOf(past.events).length < ENOUGH && await earlier().catch(() => false)) showEvents();
}

// ---------------------------------------------------------------- a span as CSV

const today = () => dayOf(Date.now());
const DAY_MS = 86400000, DAYS_MOST = 400;

function openExport() {
  const chosen = byId("day").value || today();
  byId("export-from").value = byId("export-to").value = chosen;
  byId("export-from").max = byId("export-to").max = today();
  byId("export-door").replaceChildren(...[["", say("allDoors")], ...inOrder(Object.keys(now.doors)).map((d) => [d, d])].map(([value, text]) => Object.assign(make("option", text), { value })));
  byId("export-door").value = oneDoor();
  showExport();
  byId("export").showModal();
}

function showExport() {
  const from = byId("export-from").value, to = byId("export-to").value;
  const days = from && to ? (Date.parse(to) - Date.parse(from)) / DAY_MS + 1 : 0, fits = days >= 1 && days <= DAYS_MOST;
  byId("export-told").textContent = fits ? "" : say("csvWrong", DAYS_MOST);
  byId("csv").hidden = !fits;
  const door = byId("export-door").value;
  byId("csv").href = `/api/events.csv?from=${from}&days=${days}&zone=${encodeURIComponent(zone)}${door ? `&door=${encodeURIComponent(door)}` : ""}`;
}

byId("day").addEventListener("change", chooseDay);
byId("day-live").addEventListener("click", () => { byId("day").value = ""; byId("day").focus(); chooseDay(); });
byId("event-door").addEventListener("change", () => (past ? chooseDay() : showEvents()));
byId("events-more").addEventListener("click", async () => { if (await earlier()) showEvents(); });
byId("csv-open").addEventListener("click", openExport);
for (const id of ["export-from", "export-to", "export-door"]) byId(id).addEventListener("change", showExport);
byId("export-no").addEventListener("click", () => byId("export").close());
byId("csv").addEventListener("click", () => byId("export").close());
