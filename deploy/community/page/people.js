// Residents. Names are on this server only; a door gets ids.
"use strict";

let edited = null; // the person in the form as it was shown, null: somebody new
let everybody = { people: [], withdrawals: [] };
let peopleKnown = false;
const PEOPLE_AT_ONCE = 50; // five hundred rows are a minute of scrolling past what stands below
let peopleShown = PEOPLE_AT_ONCE;
let reading = 0; // which question is the newest: an answer to an earlier one comes too late

async function loadNames() {
  if (!mayOrder()) return;
  const mine = ++reading, told = await askServer("/api/people");
  if (mine !== reading) return;
  everybody = told;
  peopleKnown = true;
  for (const p of told.people) me.names[p.id] = p.name;
}

async function showPeople() {
  try {
    await loadNames();
  } catch (error) {
    tellPerson(error.message);
  }
  findPeople();
}

const byName = new Intl.Collator("zh", { numeric: true }); // by pinyin

// Searching asks nobody: whoever types fast must not see the answer to an earlier letter.
function found() {
  const wanted = byId("people-find").value.trim().toLowerCase();
  return everybody.people.filter((p) => `${p.name} ${p.groups.join(" ")}`.toLowerCase().includes(wanted)).sort((a, b) => byName.compare(a.name, b.name));
}

function findPeople() {
  const shown = found();
  redraw(byId("people"), shown.slice(0, peopleShown).map(personRow));
  byId("people-count").textContent = !peopleKnown ? "" : shown.length ? say("found_n", shown.length) : say(everybody.people.length ? "noPeople" : "nobodyYet");
  byId("people-more").hidden = shown.length <= peopleShown;
  byId("withdrawn").replaceChildren(...everybody.withdrawals.map(withdrawalRow));
  byId("withdrawn-box").hidden = everybody.withdrawals.length === 0;
}

// Namesakes are told apart before one of them loses something.
const calledHow = (p) => (p.name || p.id) + (p.groups.length ? say("inBrackets", p.groups.join(say("comma"))) : "");

function personRow(p) {
  const row = make("li"), marks = make("span", undefined, "marks"), buttons = make("span", undefined, "buttons");
  const mark = (text, tone = "") => marks.append(make("span", text, `badge ${tone}`));
  if (p.kind !== "resident") mark(say(`k_${p.kind}`));
  for (const group of p.groups) mark(group);
  mark(p.faces ? say("hasFace") : p.consent === "withdrawn" ? say("faceWithdrawn") : say("noFace"), p.faces ? "good" : "");
  mark(say("phones_n", p.phones), p.phones ? "good" : p.second_factor ? "warn" : "");
  if (p.second_factor) mark(say("faceAndPhone"));
  if (!p.enabled) mark(say("disabled"), "warn");
  if (p.valid_until_utc_s) mark(say("until", inZone(p.valid_until_utc_s * 1000, { ...DATE, year: "numeric" })));
  buttons.append(buttonOf(say("edit"), "plain", () => edit(p)));
  if (p.faces) buttons.append(buttonOf(say("withdraw"), "plain", () => sure(say("withdrawSure", calledHow(p)), `/api/people/${encodeURIComponent(p.id)}/withdraw`, "POST")));
  buttons.append(buttonOf(say("remove"), "plain danger", () => sure(say("personSure", calledHow(p)), `/api/people/${encodeURIComponent(p.id)}`, "DELETE")));
  row.dataset.id = p.id;
  row.append(make("strong", p.name || p.id), marks, buttons);
  return row;
}

function withdrawalRow(w) {
  const row = make("li"), got = w.receipts.map((r) => r.device).join(", ");
  const words = [got && say("receipts", got), w.waiting.length && say("waitingFor", w.waiting.join(", "))].filter(Boolean).join(" · ");
  row.append(make("span", undefined, `dot ${w.waiting.length ? "warn" : "good"}`), make("strong", me.names[w.person_id] ?? w.person_id), make("span", `${say("withdrawn")} · ${words}`));
  return row;
}

function edit(p) {
  edited = p ?? null;
  byId("person-title").textContent = say(p ? "personEdit" : "personNew");
  byId("person-name").value = p?.name ?? "";
  byId("person-kind").replaceChildren(...["resident", "staff", "visitor", "contractor"].map((k) => Object.assign(make("option", say(`k_${k}`)), { value: k })));
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
  const gone = async () => { await sure(say("phoneSure", calledHow(p), n + 1), path, "DELETE"); byId("person").close(); };
  row.append(make("span", say("phoneNamed", n + 1, name.slice(0, 8))), buttonOf(say("remove"), "plain danger", gone));
  return row;
}

// What was changed here, nothing else: a colleague may have changed the rest since the form was opened.
function changes() {
  const groups = byId("person-groups").value.split(/[,，、\s]+/).filter(Boolean), code = byId("person-phone").value.trim();
  const shown = {
    name: byId("person-name").value.trim(), kind: byId("person-kind").value, groups,
    second_factor: byId("person-factor").checked, extended_release: byId("person-slow").checked, enabled: byId("person-enabled").checked,
  };
  const wanted = Object.entries(shown).filter(([field, value]) => JSON.stringify(value) !== JSON.stringify(edited?.[field]));
  return { ...Object.fromEntries(wanted), ...(code && { phone_code: code }) };
}

async function save() {
  const body = changes();
  let saved = edited;
  try {
    if (Object.keys(body).length) saved = await askServer("/api/people", edited ? { ...body, id: edited.id } : body);
    byId("person").close();
  } catch (error) {
    byId("person-told").textContent = error.message;
    showPeople(); // a colleague may have removed them; the form can be sent again meanwhile
    return;
  }
  showPeople().then(() => saved && showSaved(saved));
}

// Whoever was saved is in sight, also among five hundred, and the keyboard goes on from there: then the list is searched
// for the name, so that the next of the family is added from the top of it.
function showSaved(saved) {
  const place = found().findIndex((p) => p.id === saved.id);
  if (place < 0 || place >= peopleShown) byId("people-find").value = saved.name;
  findPeople();
  byId("people-done").textContent = say("saved", calledHow(saved));
  byId("people").querySelector(`[data-id="${CSS.escape(saved.id)}"] button`)?.focus();
}

async function sure(question, path, method, then = showPeople) {
  if (!window.confirm(question)) return;
  try {
    await askServer(path, {}, method);
    tellPerson("");
  } catch (error) {
    tellPerson(error.message);
  }
  then();
}

function tellPerson(text) { byId("people-told").textContent = text; byId("people-done").textContent = ""; }

byId("people-find").addEventListener("input", () => { peopleShown = PEOPLE_AT_ONCE; findPeople(); });
byId("people-more").addEventListener("click", () => { peopleShown += PEOPLE_AT_ONCE; findPeople(); });
byId("people-new").addEventListener("click", () => edit(null));
byId("person-form").addEventListener("submit", once(save));
byId("person-no").addEventListener("click", () => byId("person").close());
