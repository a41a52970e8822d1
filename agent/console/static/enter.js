// Signs in with the one-time secret behind the # of the address. It goes out of the address bar before anything else.
"use strict";

const secret = location.hash.slice(1);
history.replaceState(null, "", location.pathname + location.search);
let failed = "";

async function enter() {
  const reply = await fetch("/api/enter", {
    method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify({ link: secret }),
  });
  if (reply.ok || (await fetch("/api/token")).ok) location.replace(`/${location.search}`); // used already, but by this browser
  else failed = "enterUsed";
}

function speak() {
  speakStatic();
  byId("told").textContent = failed ? say(failed) : secret ? say("entering") : "";
  byId("told").className = failed ? "bad" : "";
}

languageButton(speak);
speak();
if (secret) enter().catch(() => { failed = "away"; }).finally(speak);
