// Asking the server: every change carries the session's token; a session that is over leads to the sign-in page.
"use strict";

let me = { name: "", role: "viewer", csrf: "", can_order: false, names: {} };

// A sign-in that ends while somebody is typing must not take away what they typed: the page stays, and goes on once
// this browser is signed in again (the link opened in another tab).
const typing = () => document.querySelector("dialog[open]") !== null || [...document.querySelectorAll("main form input[type=text]")].some((field) => field.value.trim() !== "");
let signedOut = false;
const PATIENCE_MS = 60000; // longer than the server waits for all of its doors

async function askServer(path, body, method) {
  const options = body === undefined && !method ? {} : {
    method: method ?? "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": me.csrf }, body: JSON.stringify(body ?? {}),
  };
  const reply = await fetch(path, { ...options, signal: AbortSignal.timeout(PATIENCE_MS) }).catch(() => { throw new Error(say(options.method ? "noAnswer" : "noServer")); });
  if (reply.status === 401) {
    signedOut = true;
    if (!typing()) location.replace("/enter?over=1");
    throw new Error(say("signInOver"));
  }
  const said = await reply.json().catch(() => ({ error: `${reply.status} ${reply.statusText}` })); // a proxy's page
  if (reply.ok) return said;
  if (said.error === "not from this page" && await signedInAnew()) return askServer(path, body, method);
  throw Object.assign(new Error(inWords(said.error ?? String(reply.status))), { unknown: reply.status === 404 });
}

// Another tab signed in: the same browser, another session, so another token.
async function signedInAnew() {
  const fresh = await askServer("/api/me"), old = me.csrf;
  if (fresh.name !== me.name) throw new Error(say("otherManager", fresh.name));
  me.csrf = fresh.csrf;
  return fresh.csrf !== old;
}

// What the server says in English for every program, in the words of this page; ids become names.
function inWords(text) {
  for (const [pattern, words] of ANSWERS) {
    const found = pattern.exec(text);
    if (found) return fill(either(words), found.slice(1).map((part) => me.names[part] ?? part));
  }
  return language === "en" ? text : say("notTaken", text);
}

// One press, one request: a second press while the answer is on its way would make a second pass, a second person.
function once(act) {
  return async (event) => {
    event.preventDefault();
    const pressed = event.currentTarget;
    if (pressed.ariaBusy) return;
    pressed.ariaBusy = "true";
    try { await act(event); } finally { pressed.ariaBusy = null; }
  };
}

function copyFrom(source, button, told) {
  byId(button).addEventListener("click", async () => {
    const done = await navigator.clipboard.writeText(byId(source).textContent).then(() => true, () => false);
    byId(told).textContent = say(done ? "copied" : "copyFailed");
  });
}

const mayOrder = () => me.role !== "viewer";
// Times are the doors' own wherever the reader's device believes to be. `form` as for Intl.DateTimeFormat.
let zone = Intl.DateTimeFormat().resolvedOptions().timeZone; // until the server has said its own
const inZone = (ms, form) => new Date(ms).toLocaleString(language, { timeZone: zone, hourCycle: "h23", ...form });
const dayOf = (ms) => new Date(ms).toLocaleDateString("sv", { timeZone: zone }); // 2026-11-23
const HOURS = { hour: "2-digit", minute: "2-digit", second: "2-digit" }, DATE = { month: "numeric", day: "numeric" };

function clock(ms) {
  const day = dayOf(ms), today = dayOf(Date.now());
  if (day === today) return inZone(ms, HOURS);
  return `${inZone(ms, day.slice(0, 4) === today.slice(0, 4) ? DATE : { ...DATE, year: "numeric" })} ${inZone(ms, HOURS)}`;
}

// gate-2 before gate-10.
const inOrder = (names) => [...names].sort(new Intl.Collator("zh", { numeric: true }).compare);

function timeOf(ms, trusted = true) {
  const e = make("time", clock(ms) + (trusted ? "" : " ≈"));
  e.dateTime = new Date(ms).toISOString();
  if (!trusted) e.title = say("notSet");
  return e;
}

// A list drawn anew must not lose the keyboard that stood in it.
function redraw(list, rows) {
  const reached = () => [...list.querySelectorAll("summary, button")], place = reached().indexOf(document.activeElement);
  list.replaceChildren(...rows);
  if (place >= 0) reached().at(Math.min(place, reached().length - 1))?.focus();
}

function buttonOf(text, className, act) {
  const e = make("button", text, className);
  e.type = "button";
  e.addEventListener("click", once(act));
  return e;
}
