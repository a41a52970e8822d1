// Visitors' passes: made, drawn, sent, revoked.
"use strict";

let passesAsked = 0; // which question is the newest

async function showPasses() {
  choices("pass-door", [["", say("allDoors")], ...inOrder(Object.keys(now.doors)).map((d) => [d, d])]);
  choices("pass-for", [[7200, say("h2")], [43200, say("h12")], [86400, say("d1")], [604800, say("d7")]]);
  const mine = ++passesAsked;
  try {
    const told = await askServer("/api/passes");
    if (mine !== passesAsked) return;
    byId("pass-honest").textContent = told.honest[language];
    byId("passes").replaceChildren(...told.passes.map(passRow));
    tellPass("");
  } catch (error) {
    if (mine !== passesAsked) return;
    if (!error.unknown) return tellPass(error.message);
    byId("pass-form").hidden = true;
    byId("no-passes").hidden = false;
  }
}

// What somebody has chosen already stays chosen.
function choices(id, pairs) {
  const list = byId(id), chosen = list.value, wanted = JSON.stringify(pairs);
  if (list.dataset.shown === wanted) return; // a list that somebody has open must not be made anew under the finger
  list.dataset.shown = wanted;
  list.replaceChildren(...pairs.map(([value, text]) => Object.assign(make("option", text), { value })));
  if (pairs.some(([value]) => String(value) === chosen)) list.value = chosen;
}

function passRow(p) {
  const row = make("li"), buttons = make("span", undefined, "buttons");
  const words = [say("until", inZone(p.until_utc_s * 1000, { ...DATE, year: "numeric", hour: "2-digit", minute: "2-digit" })), p.doors.join(", ") || say("allDoors"), p.uses ? say("uses_n", p.uses) : say("usesAny")];
  if (p.revoked_utc_s) words.push(say("revoked"));
  else buttons.append(buttonOf(say("revoke"), "plain danger", () => sure(say("revokeSure", p.note || p.pass_id), `/api/passes/${p.pass_id}`, "DELETE", showPasses)));
  row.append(make("strong", p.note || p.pass_id), make("span", words.join(" · ")), buttons);
  return row;
}

async function issue() {
  const door = byId("pass-door").value;
  try {
    const made = await askServer("/api/passes", {
      doors: door ? [door] : [], for_s: Number(byId("pass-for").value), uses: Number(byId("pass-uses").value), note: byId("pass-note").value.trim(),
    });
    byId("pass-link").textContent = made.link;
    byId("pass-copied").textContent = "";
    byId("pass-picture").src = `/api/passes/${made.pass_id}/picture.svg`;
    byId("pass-made").hidden = false;
    byId("pass-form").reset();
    tellPass("");
  } catch (error) {
    return tellPass(error.message);
  }
  showPasses();
}

function tellPass(text) { byId("passes-told").textContent = text; }

byId("pass-form").addEventListener("submit", once(issue));
copyFrom("pass-link", "pass-copy", "pass-copied");
