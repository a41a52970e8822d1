// Orders to doors: a dialog asks for the reason, the door's own answers are shown, never a hope.
"use strict";

const HOLD_S = 900;
const ALL = "*"; // every door: the server sends the order to each, side by side
const NO_REASON = new Set(["identify", "diagnostics"]); // they open and close nothing
const answers = {}; // device -> { id, words, tone, facts }

let pending = null;
function askOrder(device, action) {
  pending = { device, action };
  byId("order-title").textContent = say("title_order", say(`a_${action}`), device === ALL ? say("allDoors") : device);
  byId("order-what").textContent = say(`w_${action}`);
  byId("order-needs").hidden = NO_REASON.has(action);
  byId("order-told").textContent = byId("order-reason").value = ""; // of an order that was not given is no reason for this one
  byId("order-yes").textContent = say(`a_${action}`);
  byId("order-yes").className = action === "lock-down" ? "primary danger" : "primary";
  byId("reasons").replaceChildren(...say("reasons").split("|").map((r) => Object.assign(make("option"), { value: r })));
  byId("order").showModal();
  (NO_REASON.has(action) ? byId("order-yes") : byId("order-reason")).focus();
}

function confirmOrder(submitted) {
  submitted.preventDefault();
  const { device, action } = pending, reason = byId("order-reason").value.trim();
  if (!NO_REASON.has(action) && reason.length < 2) {
    byId("order-told").textContent = say("reasonShort");
    byId("order-reason").focus();
    return;
  }
  byId("order").close();
  byId("order-reason").value = "";
  if (device === ALL) orderAll(action, reason);
  else sendOrder(device, action, reason);
}

async function sendOrder(device, action, reason) {
  answers[device] = { words: `${say(`a_${action}`)}: ${say("s_asking")}`, tone: "" };
  showDoors();
  try {
    const more = action === "hold-open" ? { for_s: HOLD_S } : {};
    const told = await askServer(`/api/doors/${device}/orders`, { action, reason, ...more });
    // a later stage may have come over the stream already
    if (!(answers[device].id && answers[device].id === told.id)) noteAnswer(device, told, action);
  } catch (error) {
    answers[device] = { words: error.message, tone: "bad" };
  }
  showDoors();
}

// Every door, and what each of them said; whoever did not answer is named.
async function orderAll(action, reason) {
  const box = byId("all-told"), tell = (tone, ...parts) => {
    box.hidden = false;
    box.className = `card ${tone}-card`;
    box.replaceChildren(...parts.map((text) => make("p", text)));
  };
  tell("quiet", `${say(`a_${action}`)}: ${say("s_asking")}`);
  try {
    const told = Object.entries((await askServer("/api/orders", { action, reason })).answers);
    for (const [device, answer] of told) if (!(answers[device]?.id && answers[device].id === answer.id)) noteAnswer(device, answer, action);
    const missed = told.filter(([, answer]) => answer.stage !== "done"), waits = missed.filter(([, answer]) => answer.waits).map(([device]) => device);
    const lines = [say("allDone", say(`a_${action}`), told.length - missed.length, told.length)];
    const refused = missed.filter(([, answer]) => !answer.waits).map(([device, answer]) => `${device} (${answer.reason ? pick(REASON, answer.reason) : known("s_", answer.stage)})`);
    if (waits.length) lines.push(say("allWait", waits.join(", ")));
    if (refused.length) lines.push(say("allNot", refused.join(", ")));
    tell(missed.length ? "bad" : "good", ...lines);
  } catch (error) {
    tell("bad", error.message);
  }
  showDoors();
}

const GOOD = new Set(["energised", "taken", "done"]), ON_ITS_WAY = new Set(["accepted"]), NO_WORD = new Set(["not-sent", "no-answer"]);
function noteAnswer(device, told, action) {
  const what = action ?? answers[device]?.action;
  const why = told.reason ? `: ${pick(REASON, told.reason)}` : "";
  const words = [what && say(`a_${what}`), known("s_", told.stage) + (NO_WORD.has(told.stage) ? "" : why)].filter(Boolean).join(" – ");
  answers[device] = { id: told.id, action: what, words, facts: told.diagnostics, tone: GOOD.has(told.stage) ? "good" : ON_ITS_WAY.has(told.stage) ? "" : "warn" };
}

// Replies on the stream: of an order of this page, or of a colleague's (shown as well: it is the same door).
function tookReply(entry) {
  noteAnswer(entry.device, entry, answers[entry.device]?.action);
}

byId("order-form").addEventListener("submit", confirmOrder);
byId("order-no").addEventListener("click", () => byId("order").close());
byId("lock-all").addEventListener("click", () => askOrder(ALL, "lock-down"));
byId("release-all").addEventListener("click", () => askOrder(ALL, "release-lock-down"));
