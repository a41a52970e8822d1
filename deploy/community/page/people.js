// Residents, visitors' passes, and what the doors hold of both. Names are on this server only; a door gets ids.
"use strict";

let edited = null; // id of the person in the form, null: somebody new
let passesPossible = true;

async function loadNames() {
  if (!mayOrder()) return;
  const told = await askServer("/api/people");
  for (const p of told.people) me.names[p.id] = p.name;
  return told;
}

async function showPeople() {
  try {
    const told = await loadNames(), wanted = byId("people-find").value.trim().toLowerCase();
    const shown = told.people.filter((p) => `${p.name} ${p.groups.join(" ")}`.toLowerCase().includes(wanted));
    byId("people").replaceChildren(...shown.map(personRow));
    byId("no-people").hidden = shown.length > 0;
    byId("held").replaceChildren(...told.doors.map(heldRow), ...told.withdrawals.map(withdrawalRow));
    byId("held-box").hidden = byId("held").children.length === 0;
  } catch (error) {
    tellPerson(error.message);
  }
  showPasses();
}

function personRow(p) {
  const row = make("li"), marks = make("span", undefined, "marks"), buttons = make("span", undefined, "buttons");
  const mark = (text, tone = "") => marks.append(make("span", text, `badge ${tone}`));
  if (p.kind !== "resident") mark(say(`k_${p.kind}`));
  for (const group of p.groups) mark(group);
  mark(p.faces ? say("hasFace") : p.consent === "withdrawn" ? say("faceWithdrawn") : say("noFace"), p.faces ? "good" : "");
  mark(say("phones_n", p.phones), p.phones ? "good" : p.second_factor ? "warn" : "");
  if (p.second_factor) mark(say("faceAndPhone"));
  if (!p.enabled) mark(say("disabled"), "warn");
  if (p.valid_until_utc_s) mark(say("until", new Date(p.valid_until_utc_s * 1000).toLocaleDateString(language)));
  buttons.append(buttonOf(say("edit"), "plain", () => edit(p)));
  if (p.faces) buttons.append(buttonOf(say("withdraw"), "plain", () => sure(say("withdrawSure", p.name), `/api/people/${encodeURIComponent(p.id)}/withdraw`, "POST")));
  buttons.append(buttonOf(say("remove"), "plain danger", () => sure(say("personSure", p.name), `/api/people/${encodeURIComponent(p.id)}`, "DELETE")));
  row.append(make("strong", p.name || p.id), marks, buttons);
  return row;
}

function heldRow(d) {
  const row = make("li");
  row.append(make("span", undefined, `dot ${d.drift ? "warn" : "good"}`), make("strong", d.device), make("span", d.drift ? say("drift", d.held, d.wanted) : say("upToDate", d.held)));
  return row;
}

function withdrawalRow(w) {
  const row = make("li"), got = w.receipts.map((r) => r.device).join(", ");
  const words = [got && say("receipts", got), w.waiting.length && say("waitingFor", w.waiting.join(", "))].filter(Boolean).join(" · ");
  row.append(make("span", undefined, `dot ${w.waiting.length ? "warn" : "good"}`), make("strong", me.names[w.person_id] ?? w.person_id), make("span", `${say("withdrawn")} · ${words}`));
  return row;
}

function edit(p) {
  edited = p?.id ?? null;
  byId("person-title").textContent = say(p ? "personEdit" : "personNew");
  byId("person-name").value = p?.name ?? "";
  byId("person-kind").value = p?.kind ?? "resident";
  byId("person-groups").value = p?.groups.join(", ") ?? "";
  byId("person-phone").value = "";
  byId("person-phones").replaceChildren(...(p?.phone_names ?? []).map((name, n) => phoneRow(p, name, n)));
  byId("person-factor").checked = p?.second_factor ?? false;
  byId("person-slow").checked = p?.extended_release ?? false;
  byId("person-enabled").checked = p?.enabled ?? true;
  byId("person-told").textContent = "";
  byId("person").showModal();
  byId("person-name").focus();
}

function phoneRow(p, name, n) {
  const row = make("li"), path = `/api/people/${encodeURIComponent(p.id)}/phones/${name}`;
  const gone = async () => { await sure(say("phoneSure", p.name, n + 1), path, "DELETE"); byId("person").close(); };
  row.append(make("span", say("phoneNamed", n + 1, name.slice(0, 8))), buttonOf(say("remove"), "plain danger", gone));
  return row;
}

async function save(submitted) {
  submitted.preventDefault();
  const groups = byId("person-groups").value.split(/[,，、\s]+/).filter(Boolean);
  const body = {
    name: byId("person-name").value.trim(), kind: byId("person-kind").value, groups, phone_code: byId("person-phone").value,
    second_factor: byId("person-factor").checked, extended_release: byId("person-slow").checked, enabled: byId("person-enabled").checked, ...(edited === null ? {} : { id: edited }),
  };
  try {
    await askServer("/api/people", body);
    byId("person").close();
  } catch (error) {
    byId("person-told").textContent = error.message;
  }
  showPeople();
}

async function sure(question, path, method) {
  if (!window.confirm(question)) return;
  try {
    await askServer(path, {}, method);
    tellPerson("");
  } catch (error) {
    tellPerson(error.message);
  }
  showPeople();
}

function tellPerson(text) { byId("people-told").textContent = text; }

async function showPasses() {
  byId("pass-door").replaceChildren(Object.assign(make("option", say("allDoors")), { value: "" }), ...Object.keys(now.doors).sort().map((d) => Object.assign(make("option", d), { value: d })));
  byId("pass-for").replaceChildren(...[[7200, "h2"], [43200, "h12"], [86400, "d1"], [604800, "d7"]].map(([s, key]) => Object.assign(make("option", say(key)), { value: s, selected: s === 7200 })));
  try {
    const told = await askServer("/api/passes");
    byId("pass-honest").textContent = told.honest[language];
    byId("passes").replaceChildren(...told.passes.map(passRow));
  } catch {
    passesPossible = false;
  }
  byId("pass-form").hidden = !passesPossible;
  byId("no-passes").hidden = passesPossible;
}

function passRow(p) {
  const row = make("li"), buttons = make("span", undefined, "buttons");
  const words = [say("until", new Date(p.until_utc_s * 1000).toLocaleString(language)), p.doors.join(", ") || say("allDoors"), p.uses ? say("uses_n", p.uses) : say("usesAny")];
  if (p.revoked_utc_s) words.push(say("revoked"));
  else buttons.append(buttonOf(say("revoke"), "plain danger", () => sure(say("revokeSure", p.note || p.pass_id), `/api/passes/${p.pass_id}`, "DELETE")));
  row.append(make("strong", p.note || p.pass_id), make("span", words.join(" · ")), buttons);
  return row;
}

async function issue(submitted) {
  submitted.preventDefault();
  const door = byId("pass-door").value;
  try {
    const made = await askServer("/api/passes", {
      doors: door ? [door] : [], for_s: Number(byId("pass-for").value), uses: Number(byId("pass-uses").value), note: byId("pass-note").value.trim(),
    });
    byId("pass-link").textContent = made.link;
    byId("pass-picture").src = `/api/passes/${made.pass_id}/picture.svg`;
    byId("pass-made").hidden = false;
    byId("pass-form").reset();
    tellPerson("");
  } catch (error) {
    tellPerson(error.message);
  }
  showPasses();
}

byId("people-find").addEventListener("input", showPeople);
byId("people-new").addEventListener("click", () => edit(null));
byId("person-form").addEventListener("submit", save);
byId("person-no").addEventListener("click", () => byId("person").close());
byId("pass-form").addEventListener("submit", issue);
byId("pass-copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(byId("pass-link").textContent);
  tellPerson(say("copied"));
});
