// Who may use this page (owners), and what each of them did (owners and managers).
"use strict";

async function showManagers() {
  byId("manager-box").hidden = me.role !== "owner";
  byId("manager-role").replaceChildren(...["viewer", "manager", "owner"].map((r) => Object.assign(make("option", say(r)), { value: r, selected: r === "manager" })));
  try {
    if (me.role === "owner") byId("managers").replaceChildren(...(await askServer("/api/managers")).map(managerRow));
    const told = await askServer("/api/acts");
    byId("acts").replaceChildren(...told.acts.map(actRow));
    byId("acts-broken").hidden = told.broken === null;
    byId("acts-broken").textContent = say("actsBroken", told.broken);
  } catch (error) {
    tellManager(error.message);
  }
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
  const target = act.target === "all doors" ? say("allDoors") : act.target;
  const outcome = act.outcome.split(": ").map((w) => (WORDS[`s_${w}`] ? say(`s_${w}`) : WORDS[w] ? say(w) : pick(REASON, w))).join(": ");
  const what = WORDS[`a_${act.action}`] ? say(`a_${act.action}`) : say(act.action);
  words.append(make("strong", act.name || say("commandLine")), ` ${[what, target, act.reason && `“${act.reason}”`, outcome].filter(Boolean).join(" · ")}`);
  row.append(timeOf(act.at_ms), words);
  return row;
}

async function withLink(promise) {
  try {
    byId("link-text").textContent = (await promise).link;
    byId("manager-link").hidden = false;
    tellManager("");
  } catch (error) {
    tellManager(error.message);
  }
  showManagers();
}

function tellManager(text) { byId("manager-told").textContent = text; }

byId("manager-form").addEventListener("submit", (submitted) => {
  submitted.preventDefault();
  withLink(askServer("/api/managers", { name: byId("manager-name").value, role: byId("manager-role").value }));
  byId("manager-form").reset();
});
byId("link-copy").addEventListener("click", async () => {
  await navigator.clipboard.writeText(byId("link-text").textContent);
  tellManager(say("copied"));
});
