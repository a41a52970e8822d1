// The language of a page: which one, the words for a key, the button that changes it. Loaded after the page's WORDS by the
// console, the manager's page and the demo.
"use strict";

const asked = new URLSearchParams(location.search);
const stored = (() => { try { return localStorage.getItem("language"); } catch { return null; } })();
let language = [asked.get("lang"), stored, navigator.language].map((l) => (l?.startsWith("zh") ? "zh-CN" : l && "en")).find(Boolean) ?? "en";

const byId = (id) => document.getElementById(id);

// A text, or [zh-CN, en].
function either(told) { return (Array.isArray(told) ? told[language === "en" ? 1 : 0] : told) ?? ""; }

function fill(text, values) { return text.replace(/\{(\d)\}/g, (_, i) => values[i]); }

// A word that nobody translated is shown as it came.
function say(key, ...values) { return fill(either(WORDS[key ?? "unknown"]) || String(key), values); }

function known(prefix, word) { return say(WORDS[prefix + word] === undefined ? word : prefix + word); }

function speakStatic() {
  document.documentElement.lang = language;
  document.querySelectorAll("[data-text]").forEach((e) => { e.textContent = say(e.dataset.text); });
  document.querySelectorAll("[data-label]").forEach((e) => { e.setAttribute("aria-label", say(e.dataset.label)); });
  byId("language").textContent = say("other");
}

function languageButton(then) {
  byId("language").addEventListener("click", () => {
    language = language === "en" ? "zh-CN" : "en";
    try { localStorage.setItem("language", language); } catch { /* a private window */ }
    then();
  });
}
