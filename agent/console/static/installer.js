// For the installer: the relay test, which asks twice, and why a face is let in.
"use strict";

function showTest(test) {
  const words = [];
  if (test?.energised_ms !== undefined) words.push(say("t_energised", test.energised_ms));
  if (test?.dropped_ms !== undefined) words.push(say("t_dropped", test.dropped_ms));
  if (test?.stage === "refused") words.push(say("t_refused", pick(REASON, test.reason)));
  else if (test?.stage && !(test.stage === "energised")) words.push(say(`t_${test.stage}`));
  const text = words.join("");
  if (byId("test-told").textContent !== text) byId("test-told").textContent = text;
}

function askTest(shown) {
  byId("test-sure").hidden = !shown;
  byId("test-start").hidden = shown;
  byId(shown ? "test-yes" : "test-start").focus();
}

function showWhy(t, last) {
  const rows = [];
  if (t) {
    rows.push(say("y_year", t.strangers_per_year, t.passages_per_day, `${(t.rate * 100).toFixed(3)} %`));
    rows.push(say("y_frames", t.min_frames, t.min_margin), t.min_liveness === null ? say("y_noLive") : say("y_live", t.min_liveness));
    rows.push(say(t.needs_phone ? "y_phone" : "y_alone"));
  }
  if (last?.max_distance !== undefined) {
    rows.push(say("y_last", last.distance?.toFixed?.(3) ?? "–", last.max_distance.toFixed(3), last.people, last.frames, say(last.reason === "match" ? "match_" : last.reason)));
  }
  byId("why").replaceChildren(...(rows.length ? rows : [say("unknown")]).map((text) => make("li", text)));
}

byId("test-start").addEventListener("click", () => askTest(true));
byId("test-no").addEventListener("click", () => askTest(false));
byId("test-yes").addEventListener("click", async () => {
  askTest(false);
  try {
    const told = await ask("relay_test", {});
    if (told.ok === false) byId("test-told").textContent = told.why ?? "";
  } catch (error) {
    byId("test-told").textContent = error.message;
  }
});
