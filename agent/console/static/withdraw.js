// Withdrawing the consent for a face at this door: asked twice, then what came of it and the receipt.
"use strict";

// What an earlier visitor withdrew is not this page's business.
let withdrawing = false, numberBefore = 0;

async function startWithdrawal(submitted) {
  submitted.preventDefault();
  const who = byId("withdraw-who").value.trim();
  byId("withdraw-receipt").hidden = true;
  byId("withdraw-result").textContent = "";
  if (!who || !window.confirm(say("withdrawSure", who))) return;
  numberBefore = now.withdrawal?.number ?? 0;
  withdrawing = true;
  try {
    const told = await ask("withdraw", { person: who });
    if (told.ok === false) tellWithdrawal("withdrawFailed", say(told.why ?? ""));
  } catch (error) {
    tellWithdrawal("withdrawFailed", error.message);
  }
}

function showWithdrawal(withdrawal) {
  if (!withdrawing || (withdrawal?.number ?? 0) === numberBefore) return;
  if (withdrawal?.state === "failed") tellWithdrawal("withdrawFailed", say(withdrawal.why));
  if (withdrawal?.state !== "done") return;
  tellWithdrawal("withdrawDone", withdrawal.templates);
  byId("withdraw-form").reset();
  if (!withdrawal.receipt) return;
  byId("withdraw-result").append(` ${say("withdrawReceipt")}`);
  byId("withdraw-receipt").textContent = JSON.stringify(withdrawal.receipt);
  byId("withdraw-receipt").hidden = false;
}

function tellWithdrawal(word, what) {
  withdrawing = false;
  byId("withdraw-result").textContent = say(word, what);
}

byId("withdraw-form").addEventListener("submit", startWithdrawal);
