// Signs in with the one-time secret behind the # of the address. It goes out of the address bar before anything else.
"use strict";

const secret = location.hash.slice(1);
history.replaceState(null, "", location.pathname + location.search);
let failed = "";

async function enter() {
  const reply = await fetch("/api/enter", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ token: secret }),
  });
  if (reply.ok || (await fetch("/api/me")).ok) location.replace(`/${location.search}`); // used already, but by this browser
  else failed = { 429: "tooMany" }[reply.status] ?? "linkUsed";
}

function show() {
  speakStatic();
  byId("told").textContent = failed ? say(failed) : secret ? say("entering") : asked.has("over") ? say("signInEnded") : "";
  byId("told").className = failed ? "bad" : "";
}

languageButton(show);
show();
if (secret) enter().catch(() => { failed = "noServer"; }).finally(show);
