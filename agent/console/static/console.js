// The console: one stream of changed sections, merged into `now` and shown. Text goes in by textContent only.
"use strict";

const now = {};
let connected = false;
let heardMs = 0; // when the door's program last said something
const SILENT_MS = 10000; // it speaks twice a second; a tunnel that went away brings no error for minutes
let releasedUntil = null; // performance.now() of the end of the present release
let lastRelease = "";
let announced = null; // the newest event that was spoken

function follow() {
  const stream = new EventSource("/api/stream");
  window.addEventListener("pagehide", () => stream.close()); // kept for the Back button it would keep its connection
  stream.onmessage = (message) => {
    const told = JSON.parse(message.data), signOfLife = connected && Object.keys(told).length === 1; // only `now_s`
    connected = true;
    heardMs = Date.now();
    Object.assign(now, told);
    if (signOfLife) return;
    noteRelease();
    show();
  };
  const lose = () => {
    if (connected) {
      connected = false;
      show();
    }
    if (stream.readyState !== EventSource.CLOSED) return;
    clearInterval(watch);
    setTimeout(again, 2000);
  };
  const watch = setInterval(() => {
    if (!connected || Date.now() - heardMs < SILENT_MS) return;
    stream.close();
    lose();
  }, 1000);
  stream.onerror = lose;
}

// A stream does not say why it was refused: without a session only the way in is left.
async function again() {
  const reply = await fetch("/api/token").catch(() => null);
  if (reply?.status === 401) location.replace(`/enter${location.search}`);
  else follow();
}

function noteRelease() {
  const d = now.door_state ?? {}, mark = JSON.stringify(d);
  if (mark === lastRelease) return;
  lastRelease = mark;
  releasedUntil = typeof d.released_for_s === "number" ? performance.now() + d.released_for_s * 1000 : null;
}

const leftS = () => (releasedUntil === null ? null : (releasedUntil - performance.now()) / 1000);

function show() {
  const door = connected ? now.door_state ?? {} : {};
  byId("name").textContent = now.site ? `${now.site} / ${now.door}` : say("door");
  document.title = byId("name").textContent;
  byId("live").textContent = say(connected ? "live" : "away");
  byId("live-dot").className = `dot ${connected ? "good" : "bad"}`;
  showBanner();
  showDoor(door);
  showFacts(byId("door-facts"), doorFacts(door));
  showQueue(now.queue, connected ? now.link : {});
  showQueueWords();
  showHealth();
  showFaces(connected ? now.vision : {}, now.events);
  showEvents();
  showEnrolment(now.enrolment);
  showWithdrawal(now.withdrawal);
  showTest(now.relay_test);
  showWhy(now.thresholds, now.last_look);
  showFacts(byId("details"), details());
  showTimes(now.openings ?? []);
}

function showBanner() {
  const [tone, text] = standing(now, connected, leftS());
  const banner = byId("sentence");
  banner.className = `banner ${tone}`;
  if (banner.textContent !== text) banner.textContent = text;
}

function doorFacts(d) {
  const rows = [["lock", say(d.lock ?? "unknown"), d.lock === "released" ? "good" : ""], ["leaf", say(d.contact ?? "unknown"), d.contact === "open" ? "warn" : ""]];
  rows.push(["mode", say(d.mode ?? "unknown")], ["relay", say(d.relay ?? "unknown"), "installer"]);
  if (d.tamper) rows.push(["tamper", say("tampered"), "bad"]);
  rows.push(["kind", say(now.lock_type ?? "unknown"), "installer"]);
  return rows;
}

function showFacts(box, rows) {
  box.replaceChildren(...rows.flatMap(([label, value, tone]) => [make("dt", say(label), tone === "installer" && tone), make("dd", String(value), tone)]));
}

function kib(bytes) { return bytes < 1048576 ? `${Math.ceil(bytes / 1024)} KiB` : `${(bytes / 1048576).toFixed(1)} MiB`; }

function showQueueWords() {
  const q = now.queue, up = now.link?.up === true;
  const words = byId("queue-sentence"), numbers = byId("queue-numbers");
  if (!q || q.head_seq === undefined) {
    words.textContent = say("qUnknown");
    numbers.textContent = "";
    return;
  }
  const alone = now.link === undefined || now.link.reason === "no server is configured";
  words.textContent = alone ? say("qAlone") : q.depth === 0 ? say("qAll", q.head_seq) : say(up ? "qSending" : "qWait", q.depth);
  numbers.textContent = say("qNumbers", q.head_seq, q.acked_seq ?? 0, kib(q.bytes ?? 0));
}

function showHealth() {
  const v = now.vision ?? {}, g = now.guard ?? {}, l = now.link ?? {}, r = now.roster ?? {};
  const running = (up) => (up === undefined ? say("unknown") : say(up ? "running" : "stopped"));
  const since = typeof l.since_s === "number" && now.now_s ? say("since", duration(Math.max(0, now.now_s - l.since_s))) : "";
  const tone = (up) => (up === undefined ? "" : up ? "good" : "bad");
  const camera = v.up ? v.camera_state : undefined;
  const fps = camera === "ok" && v.fps !== undefined ? ` · ${say("fps", v.fps)}` : "";
  const [cause, ...detail] = l.up === false && l.reason ? l.reason.split(": ") : [];
  const parts = [ // label, tone, words in the page's language, the program's own words for whoever mends it
    ["pGuard", tone(g.up), running(g.up) + (g.backend === "simulated" ? ` · ${say("simulated")}` : "")],
    ["pVision", v.up && v.liveness === false ? "warn" : tone(v.up), running(v.up) + (v.up && v.liveness === false ? say("noLiveness") : "")],
    ["pCamera", camera === undefined ? "" : camera === "ok" ? "good" : "bad", camera === undefined ? say("unknown") : known("cam_", camera) + fps, camera !== "ok" && v.up && v.camera_detail],
    ["pLink", l.up === undefined ? "" : l.up ? "good" : "warn", (l.up === undefined ? say("unknown") : say(l.up ? "up" : "down")) + since + (cause ? ` · ${known("link_", cause)}` : ""), detail.join(": ")],
    ["pStore", storeTone(), say(storeTone() === "bad" ? "stopped" : storeTone() ? "running" : "unknown"), storeTone() === "bad" && now.store?.detail],
    ["pClock", { ntp: "good", rtc: "good" }[now.clock?.quality] ?? (now.clock ? "warn" : ""), now.clock ? known("clock_", now.clock.quality) : say("unknown")],
    ["pRoster", r.persons === undefined ? "" : r.enrol_again > 0 || r.usable === false || r.unreadable > 0 ? "bad" : r.ready === false ? "warn" : "good", r.persons === undefined ? say("unknown") : say("people_n", r.persons, r.templates ?? 0) + (r.enrol_again > 0 ? ` · ${say("enrolAgain", r.enrol_again)}` : ""), r.ready === false && r.refused],
  ];
  byId("health").replaceChildren(...parts.map(([label, dot, said, own]) => {
    const row = make("li"), mark = make("span", undefined, `dot ${connected ? dot : ""}`);
    const words = make("span", connected ? said : say("unknown"), "said");
    if (connected && own) {
      const more = make("small", ` · ${own}`);
      more.lang = "en";
      words.append(more);
    }
    row.append(mark, make("span", say(label)), words);
    return row;
  }));
}

function storeTone() {
  const state = now.store?.state ?? now.queue?.state;
  return state === undefined ? "" : /fail|damag|full/i.test(state) ? "bad" : "good";
}

const keyOf = (event) => `${event.at_utc} ${event.kind} ${JSON.stringify(event.body)}`;

function timeOf(at) {
  const time = make("time"), date = new Date(at);
  if (Number.isNaN(date.getTime())) return time;
  time.dateTime = date.toISOString();
  const inZone = (when, form) => when.toLocaleString(language, { timeZone: now.timezone, hourCycle: "h23", ...form }); // the door's, not the reader's
  const hours = inZone(date, { hour: "2-digit", minute: "2-digit", second: "2-digit" }), day = { month: "numeric", day: "numeric" };
  time.textContent = inZone(date, { ...day, year: "numeric" }) === inZone(new Date(), { ...day, year: "numeric" }) ? hours : `${inZone(date, day)} ${hours}`;
  time.title = inZone(date);
  return time;
}

function eventRow(event) {
  const said = describe(event), row = make("li", undefined, said.tone), more = make("details"), summary = make("summary");
  row.dataset.key = keyOf(event);
  summary.append(make("span", undefined, `dot ${said.tone}`), timeOf(event.at_utc), make("span", said.text));
  const facts = make("dl", undefined, "facts");
  const rows = [["kind_", event.kind], ...Object.entries(event.body ?? {}).map(([k, v]) => [k, typeof v === "object" ? JSON.stringify(v) : v])];
  facts.append(...rows.flatMap(([k, v]) => [make("dt", k === "kind_" ? "kind" : k), make("dd", String(v))]));
  more.append(summary, facts);
  row.append(more);
  return row;
}

// Rows that are there stay (an opened one must not shut under the reader's eyes).
function showEvents() {
  const wanted = (now.events ?? []).filter((e) => byId("all").checked || !describe(e).technical);
  const list_ = byId("events"), there = new Map([...list_.children].map((row) => [row.dataset.key, row]));
  const rows = wanted.map((event) => there.get(keyOf(event)) ?? eventRow(event));
  if (rows.length !== list_.children.length || rows.some((row, i) => row !== list_.children[i])) list_.replaceChildren(...rows);
  byId("no-events").hidden = rows.length > 0;
  const newest = wanted[0] && keyOf(wanted[0]);
  if (newest && announced !== null && newest !== announced) byId("heard").textContent = describe(wanted[0]).text;
  announced = newest ?? announced ?? "";
}

function details() {
  const v = now.vision ?? {}, rows = [];
  const add = (key, value) => { if (value !== undefined && value !== null && value !== "") rows.push([`d_${key}`, value]); };
  add("software", now.software);
  add("policy", now.policy && known("pol_", now.policy));
  add("engine", v.engine);
  add("missing", v.missing);
  if (now.last_opening) add("opening", say("d_ms", Math.round(now.last_opening.ms)));
  add("roster", now.roster?.epoch);
  add("epoch", now.queue?.epoch);
  return rows;
}

function speak() {
  speakStatic();
  byId("events").replaceChildren();
  show();
}

languageButton(speak);
byId("all").addEventListener("change", show);
window.addEventListener("pageshow", (shown) => { if (shown.persisted) location.reload(); });
document.body.classList.toggle("embed", asked.has("embed"));
document.body.classList.toggle("can-enrol", asked.has("enrol"));
drawDoorOnce();
drawQueueOnce();
speak();
follow();
followPicture();
setInterval(() => { if (releasedUntil !== null) showBanner(); }, 500);
