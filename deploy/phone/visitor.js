// A visitor's pass: draws what stands after # in the address, which never left the phone. Says what it allows, in words.
import { drawQr } from "./picture.js";
import { WORDS } from "./visitor-words.js";

const ALPHABET = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:";
const FRAME = { from: 18, until: 22, uses: 26, head: 28, signature: 64 }; // agent/core/passes.py, visitor frame
const VISITOR = 2;
const $ = (id) => document.getElementById(id);
let language = navigator.language.startsWith("zh") ? "zh-CN" : "en";

/** RFC 9285 -> bytes, null for anything else. */
function base45Bytes(text) {
  const values = [...text].map((letter) => ALPHABET.indexOf(letter));
  if (values.includes(-1) || values.length % 3 === 1) return null;
  const bytes = [];
  for (let at = 0; at < values.length; at += 3) {
    const group = values.slice(at, at + 3);
    const value = group.reduce((sum, digit, place) => sum + digit * 45 ** place, 0);
    if (value >= 256 ** (group.length - 1)) return null;
    if (group.length === 3) bytes.push(value >> 8);
    bytes.push(value & 255);
  }
  return new Uint8Array(bytes);
}

function passInAddress() {
  try {
    const text = decodeURIComponent(location.hash.slice(1));
    const bytes = base45Bytes(text);
    if (!bytes || bytes.length < FRAME.head + FRAME.signature || bytes[1] !== VISITOR) return null;
    const view = new DataView(bytes.buffer);
    return { text, fromS: view.getUint32(FRAME.from), untilS: view.getUint32(FRAME.until), uses: bytes[FRAME.uses] };
  } catch {
    return null; // a broken % in the address
  }
}

// The door decides by its own clock: here it is only said in time, before somebody stands outside in vain.
function showWhetherNow(words, found) {
  const nowS = Date.now() / 1000, what = nowS >= found.untilS ? words.over : nowS < found.fromS ? words.early : "";
  $("notnow").hidden = !what;
  if ($("notnow").textContent !== what) $("notnow").textContent = what;
}

function say() {
  const words = WORDS[language], found = passInAddress();
  document.documentElement.lang = language;
  document.title = words.title;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = words[element.dataset.text];
  $("fault").hidden = found !== null;
  $("pass").hidden = found === null;
  if (!found) return;
  const when = new Intl.DateTimeFormat(language, { dateStyle: "medium", timeStyle: "short" });
  const [from, until] = [found.fromS, found.untilS].map((s) => when.format(new Date(s * 1000)));
  $("when").textContent = words.when(from, until);
  $("uses").textContent = words.uses(found.uses);
  showWhetherNow(words, found);
  $("pass-qr").setAttribute("aria-label", words.picture);
  drawQr($("pass-qr"), found.text, "Alphanumeric");
}

$("language").addEventListener("click", () => { language = language === "en" ? "zh-CN" : "en"; say(); });
window.addEventListener("hashchange", say);
setInterval(() => { const found = passInAddress(); if (found) showWhetherNow(WORDS[language], found); }, 10000);
say();
navigator.wakeLock?.request("screen").catch(() => {}); // a battery saver may say no
