// Who may use this page (owners), and what each of them did (owners and managers).
"use strict";

async function showManagers() {
  byId("manager-box").hidden = me.role !== "owner";
  byId("manager-role").replaceChildren(...["viewer", "manager", "owner"].map((r) => Object.assign(make("option", say(r)), { value: r, selected: r === "manager" })));
  try {
    if (me.role === "owner") byId("managers").replaceChildren(...(await askServer("/api/managers")).map(managerRow));
    const seen = keptMark();
    const told = await askServer(`/api/acts?seen=${encodeURIComponent(seen)}`);
    byId("acts").replaceChildren(...told.acts.map(actRow));
    goesOn(told);
    const words = [told.broken === null ? "" : say("actsBroken", told.broken), told.cut ? say("actsCut", seen.split(":")[0]) : ""];
    byId("acts-broken").hidden = !words.some(Boolean);
    byId("acts-broken").textContent = words.filter(Boolean).join(" ");
    byId("acts-mark").textContent = say("actsMark", told.mark);
    if (!told.cut) keepMark(told.mark);
  } catch (error) {
    tellManager(error.message);
  }
}

let oldestAct = null; // the number to go on before

function goesOn(told) {
  oldestAct = told.acts.at(-1)?.number ?? null;
  byId("acts-more").hidden = !told.more;
}

async function earlierActs() {
  try {
    const told = await askServer(`/api/acts?before=${oldestAct}`);
    byId("acts").append(...told.acts.map(actRow));
    goesOn(told);
  } catch (error) {
    tellManager(error.message);
  }
}

// The end of the record as this browser last saw it. A chain does not show that its end was cut off; whoever saw that end does.
function keptMark() {
  try { return localStorage.getItem("acts-mark") ?? ""; } catch { return ""; }
}

function keepMark(mark) {
  try { localStorage.setItem("acts-mark", mark); } catch { /* a private window */ }
}

function managerRow(m) {
  const row = make("li"), buttons = make("span", undefined, "buttons");
  buttons.append(buttonOf(say("newLink"), "plain", () => withLink(askServer(`/api/managers/${m.id}/link`, {}))));
  buttons.append(buttonOf(say("remove"), "plain danger", () => removeManager(m)));
  row.append(make("strong", m.name), make("span", say(m.role), "quiet"), buttons);
  return row;
}

async function removeManager(m) {
  if (!window.confirm(say("removeSure", m.name))) return;
  try {
    await askServer(`/api/managers/${m.id}`, {}, "DELETE");
  } catch (error) {
    tellManager(error.message);
  }
  showManagers();
}

function actRow(act) {
  const row = make("li"), words = make("span");
  const target = act.target === "all doors" ? say("allDoors") : me.names[act.target] ?? act.target; // the record has ids
  const reason = act.action === "put-person" ? act.reason.split(", ").map((field) => known("field_", field)).join(language === "en" ? ", " : "、") : act.reason && `“${act.reason}”`;
  const outcome = act.outcome.split(": ").map((w) => (WORDS[`s_${w}`] ? say(`s_${w}`) : WORDS[w] ? say(w) : pick(REASON, w))).join(": ");
  const what = WORDS[`a_${act.action}`] ? say(`a_${act.action}`) : say(act.action);
  words.append(make("strong", act.name || say("commandLine")), ` ${[what, target, reason, outcome].filter(Boolean).join(" · ")}`);
  row.append(timeOf(act.at_ms), words);
  return row;
}

async function withLink(promise) {
  try {
    byId("link-text").textContent = (await promise).link;
    byId("manager-link").hidden = false;
    byId("link-copied").textContent = "";
    tellManager("");
    showManagers();
    return true;
  } catch (error) {
    tellManager(error.message);
    return false;
  }
}

function tellManager(text) { byId("manager-told").textContent = text; }

byId("manager-form").addEventListener("submit", once(async () => {
  if (await withLink(askServer("/api/managers", { name: byId("manager-name").value, role: byId("manager-role").value }))) byId("manager-form").reset();
}));
byId("acts-more").addEventListener("click", once(earlierActs));
copyFrom("link-text", "link-copy", "link-copied");
