// The manager's page: one snapshot, then a stream of what happens. Text goes in by textContent only.
"use strict";

let now = { doors: {}, entries: [], number: 0, link: { up: true } };
let connected = false;
let loaded = false; // before that nothing is known: an empty list is no answer
let heardMs = 0; // when the server last said something
let lost = false; // it was there and is not any more
const KEPT = 300;
const SILENT_MS = 45000; // it speaks every 15 s; a network that went away brings no error for minutes

const VIEWS = { now: () => true, people: mayOrder, managers: () => me.role !== "viewer" };
let view = "now";

function showViews() {
  const names = Object.keys(VIEWS).filter((name) => VIEWS[name]());
  byId("views").replaceChildren(...names.map((name) => {
    const b = buttonOf(say(`v_${name}`), "tab", () => { location.hash = name; });
    if (name === view) b.setAttribute("aria-current", "page");
    return b;
  }));
  byId("views").hidden = names.length < 2;
  for (const name of Object.keys(VIEWS)) byId(`view-${name}`).hidden = name !== view;
}

function chooseView() {
  const wanted = location.hash.slice(1);
  view = VIEWS[wanted]?.() ? wanted : "now";
  showViews();
  if (view === "managers") showManagers();
  if (view === "people") { showPeople(); showPasses(); loadLists(); }
}

function showAll() {
  speakStatic();
  byId("me").textContent = me.name && `${me.name} · ${say(me.role)}`;
  showViews();
  showFilters();
  showNews();
}

// What is shown of the doors is how they are now; otherwise it is how they were.
const current = () => !lost && now.link.up;

function showLive() {
  const deaf = connected && !now.link.up; // the page hears its server, the server does not hear its doors
  byId("live").textContent = say(deaf ? "noBroker" : connected ? "live" : lost ? "away" : "connecting");
  byId("live-dot").className = `dot ${connected && !deaf ? "good" : lost || deaf ? "bad" : ""}`;
  const words = deaf ? say("noBrokerSince", clock(now.link.since_ms), now.link.why) : lost && signedOut ? say("signInOver") : lost ? say("awaySince", clock(heardMs)) : "";
  byId("deaf").hidden = !words;
  if (byId("deaf").textContent !== words) byId("deaf").textContent = words;
}

function showNews() {
  showLive();
  showDoors();
  showAlarms();
  if (!past) showEvents();
}

let waiting = false;
function showSoon() { // many rows at once are one picture
  if (waiting) return;
  waiting = true;
  setTimeout(() => { waiting = false; showNews(); }, 60);
}

function take(entry) {
  heardMs = Date.now();
  if (entry.type === "still") return; // only a sign of life
  now.number = entry.number;
  const about = ["link", "alarm", "acknowledged"].includes(entry.type); // of the server's own making: no word of a door
  const door = about ? {} : (now.doors[entry.device] ??= { online: true, state: {} });
  if (entry.type === "link") {
    now.link = entry;
  } else if (entry.type === "state") {
    Object.assign(door, entry);
  } else if (entry.type === "reply") {
    tookReply(entry);
  } else if (entry.type === "acknowledged") {
    loadAlarms();
  } else {
    door.heard_ms = entry.received_ms ?? door.heard_ms;
    // the row itself takes the place of the copy that ran ahead of it
    now.entries = now.entries.filter((e) => !(e.type === "preview" && e.device === entry.device && e.epoch === entry.epoch && e.seq === entry.seq));
    now.entries.push(entry); // by when it happened: what a door catches up on does not push out what is of now
    now.entries = now.entries.sort((a, b) => a.order_ms - b.order_ms || a.number - b.number).slice(-KEPT);
    if (entry.type === "alarm") loadAlarms();
  }
  showSoon();
}

// A page that the browser keeps for its Back button must not keep its stream: a browser has six connections to a host.
let source = null;
window.addEventListener("pagehide", () => source?.close());
window.addEventListener("pageshow", (shown) => { if (shown.persisted) location.reload(); });

async function begin() {
  try {
    me = await askServer("/api/me");
    signedOut = false;
    zone = me.zone;
    now = await askServer("/api/now");
    loaded = true;
  } catch {
    lost = true;
    heardMs ||= Date.now();
    showLive();
    setTimeout(begin, 2000);
    return;
  }
  chooseView();
  await loadNames().catch(() => {}); // without them events say "resident"
  loadAlarms();
  loadLists();
  showAll();
  source = new EventSource(`/api/stream?after=${now.number}`);
  source.onopen = () => { connected = true; lost = false; heardMs = Date.now(); showAll(); };
  source.onmessage = (message) => take(JSON.parse(message.data));
  source.onerror = lose;
}

function lose() { // start over with a snapshot: what was missed is in it
  if (!source) return;
  source.close();
  source = null;
  connected = false;
  lost = true;
  showAll();
  setTimeout(begin, 2000);
}

window.addEventListener("offline", lose);
let day = dayOf(Date.now());
setInterval(() => {
  if (connected && Date.now() - heardMs > SILENT_MS) lose();
  if (day === dayOf(Date.now())) return;
  day = dayOf(Date.now()); // what stood there without a date is of yesterday now
  showNews();
}, 1000);

languageButton(() => { showAll(); if (past) showEvents(); chooseView(); });
byId("leave").addEventListener("click", async () => {
  source?.close(); // it ends with the session: that is no connection lost
  await askServer("/api/leave", {}).catch(() => {});
  location.replace("/enter");
});
window.addEventListener("hashchange", chooseView);
showAll();
begin();
