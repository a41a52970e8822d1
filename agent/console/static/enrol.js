// Enrolling somebody: consent first, then the camera collects pictures and says what it needs.
"use strict";

async function ask(name, args) {
  const { token } = await answer("/api/token");
  return answer("/api/act", {
    method: "POST", headers: { "Content-Type": "application/json", "X-Door-Console": token }, body: JSON.stringify({ name, args }),
  });
}

async function answer(path, options) {
  const reply = await fetch(path, options).catch(() => { throw new Error(say("away")); });
  if (!reply.ok) throw new Error(reply.status === 401 ? say("enter") : `${reply.status} ${reply.statusText}`);
  return reply.json();
}

let enrolName = "";
let nearShown = "";

const VISIT = "\u0000"; // in place of a name: one more visit of somebody who is enrolled

async function tryAsk(name, args) {
  try {
    const told = await ask(name, args);
    if (told.ok === false) byId("enrol-result").textContent = say("enrolFailed", say(told.why ?? ""));
  } catch (error) {
    byId("enrol-result").textContent = say("enrolFailed", error.message);
  }
}

function startEnrol(submitted) {
  submitted.preventDefault();
  byId("enrol-result").textContent = "";
  if (!byId("enrol-consent").checked) {
    byId("enrol-result").textContent = say("enrolNeedConsent");
    byId("enrol-consent").focus();
    return;
  }
  enrolName = byId("enrol-name").value.trim();
  const child = byId("enrol-under-14").checked, guardian = byId("enrol-guardian").value.trim();
  if (child && !guardian) {
    byId("enrol-result").textContent = say("enrolNeedGuardian");
    byId("enrol-guardian").focus();
    return;
  }
  tryAsk("enrol_start", { name: enrolName, consent: true, ...(child ? { under_14: true, guardian } : {}) });
}

// No news is not a result: what an earlier visitor enrolled is not this page's business.
function showEnrolment(enrolment) {
  const state = enrolment?.state, busy = state === "collecting", wanted = enrolment?.wanted ?? 5;
  byId("enrol-form").hidden = busy || state === "near" || state === "storing";
  showNear(state === "near" ? enrolment : null);
  byId("enrol-progress").hidden = !busy;
  if (busy) {
    const dots = byId("enrol-dots");
    while (dots.children.length < wanted) dots.append(make("li"));
    [...dots.children].forEach((dot, i) => dot.classList.toggle("done", i < (enrolment.collected ?? 0)));
    dots.setAttribute("aria-label", `${enrolment.collected ?? 0} / ${wanted}`);
    const hint = say(enrolment.hint ?? "enrolLook");
    if (byId("enrol-hint").textContent !== hint) byId("enrol-hint").textContent = hint;
  } else if (state === "done" && enrolName) {
    byId("enrol-result").textContent = enrolName === VISIT ? say("enrolVisitDone") : say("enrolDone", enrolName);
    byId("enrol-form").reset();
    enrolName = "";
  } else if (state === "failed" && enrolName) {
    byId("enrol-result").textContent = say("enrolFailed", say(enrolment.hint ?? "unknown"));
    enrolName = "";
  }
}

// Whose face is it? Nothing is stored before somebody has said so.
function showNear(enrolment) {
  byId("enrol-near").hidden = enrolment === null;
  const wanted = enrolment === null ? "" : JSON.stringify([language, enrolment]);
  if (wanted === nearShown) return;
  nearShown = wanted;
  if (enrolment === null) return;
  const people = enrolment.near ?? [];
  byId("enrol-near-what").textContent = say(enrolment.again ? "enrolNearAgain" : "enrolNear", people.map((one) => one.name || one.id).join(" / "));
  const choices = people.map((one) => choice(say("enrolSame", one.name || one.id), "enrol_same", { person: one.id }));
  if (!enrolment.again) choices.push(choice(say("enrolOther"), "enrol_other", {}));
  byId("enrol-near-who").replaceChildren(...choices, choice(say("enrolCancel"), "enrol_cancel", {}));
}

function choice(words, name, args) {
  const button = make("button", words, "plain");
  button.type = "button";
  button.addEventListener("click", () => {
    if (name === "enrol_same") enrolName = VISIT;
    if (name === "enrol_cancel") enrolName = "";
    tryAsk(name, args);
  });
  return button;
}

function startVisit() {
  byId("enrol-result").textContent = "";
  enrolName = VISIT;
  tryAsk("enrol_again", {});
}

function showGuardian() {
  for (const id of ["enrol-guardian", "enrol-guardian-label"]) byId(id).hidden = !byId("enrol-under-14").checked;
}

byId("enrol-under-14").addEventListener("change", showGuardian);
byId("enrol-form").addEventListener("reset", () => setTimeout(showGuardian)); // once the fields are empty
byId("enrol-form").addEventListener("submit", startEnrol);
byId("enrol-visit").addEventListener("click", startVisit);
byId("enrol-cancel").addEventListener("click", () => {
  enrolName = "";
  tryAsk("enrol_cancel", {});
});
