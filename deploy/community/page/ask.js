// Asking the server: every change carries the session's token; a session that is over leads to the sign-in page.
"use strict";

let me = { name: "", role: "viewer", csrf: "", can_order: false, names: {} };

async function askServer(path, body, method) {
  const options = body === undefined && !method ? {} : {
    method: method ?? "POST", headers: { "Content-Type": "application/json", "X-CSRF-Token": me.csrf }, body: JSON.stringify(body ?? {}),
  };
  const reply = await fetch(path, options);
  if (reply.status === 401) location.replace("/enter");
  const told = await reply.json();
  if (!reply.ok) throw Object.assign(new Error(told.error ?? `${reply.status}`), { unknown: reply.status === 404 });
  return told;
}

const mayOrder = () => me.role !== "viewer";
const zone = Intl.DateTimeFormat().resolvedOptions().timeZone;

function clock(ms) {
  const t = new Date(ms), hours = t.toLocaleTimeString(language, { hour12: false });
  if (new Date().toDateString() === t.toDateString()) return hours;
  return `${t.toLocaleDateString(language, { month: "numeric", day: "numeric" })} ${hours}`;
}

function timeOf(ms, trusted = true) {
  const e = make("time", clock(ms) + (trusted ? "" : " ≈"));
  e.dateTime = new Date(ms).toISOString();
  if (!trusted) e.title = say("notSet");
  return e;
}

function buttonOf(text, className, act) {
  const e = make("button", text, className);
  e.type = "button";
  e.addEventListener("click", act);
  return e;
}
