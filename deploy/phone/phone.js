// The page: first start shows the registration code, later starts the pass. One key, one timer, no network needed.
import { clockWrongS } from "./clock.js";
import { phoneKey, registrationCode } from "./key.js";
import { PATIENCE_MS, openDoor, openableDoors } from "./open.js";
import { STEP_S, passText } from "./pass.js";
import { drawQr } from "./picture.js";
import { WORDS } from "./words.js";

const STEP_MS = STEP_S * 1000;
const LONG_PRESS_MS = 1500;
const DURESS_MS = 10 * 60 * 1000; // long enough to walk to a door; closing the page ends it as well
const OPEN_WORDS_MS = 20000; // “push the door” is true for seconds; whoever looks later must not take it for now
const OTHER_WORDS_MS = 120000;
const OF_AN_OPENING = new Set(["accepted", "energised", "taken", "not-taken", "unverified", "done"]);
const CLOCK_EVERY_MS = 15 * 60 * 1000;
const DOOR = /^[^\s/]{1,64}\/[^\s/]{1,64}$/u;
const RING = 100; // pathLength in index.html
const $ = (id) => document.getElementById(id);
const kept = { // localStorage can be forbidden where IndexedDB is not; nothing kept here is needed to open a door
  get: (name) => { try { return localStorage.getItem(`door-phone.${name}`); } catch { return null; } },
  set: (name, value) => { try { localStorage.setItem(`door-phone.${name}`, value); } catch { /* asked again next time */ } },
};

let key = null;
let language = kept.get("language") ?? (navigator.language.startsWith("zh") ? "zh-CN" : "en");
let door = DOOR.test(kept.get("door") ?? "") ? kept.get("door") : null;
let openable = null; // doors, once the server said which
let opened = null; // what the last press came to: a word of WORDS
let forgetting = 0; // the timer that takes it off the screen
let patientUntilMs = 0; // the door's answer is waited for so long
let clockWrong = null;
let fault = null;
let duressUntilMs = 0; // in memory only: nothing on the phone tells later that it was used
let timer = 0;
let lock = null;

function say() {
  const words = WORDS[language];
  document.documentElement.lang = language;
  document.title = words.title;
  for (const element of document.querySelectorAll("[data-text]")) element.textContent = words[element.dataset.text];
  $("pass-qr").setAttribute("aria-label", words.passPicture);
  $("register-qr").setAttribute("aria-label", words.registrationPicture);
  $("copy-said").textContent = "";
  $("door").hidden = door === null;
  $("door-name").textContent = door ?? "";
  $("clock").hidden = !clockWrong;
  $("clock").textContent = clockWrong ? words[clockWrong > 0 ? "clockAhead" : "clockBehind"] : "";
  showOpening(words);
  $("fault").hidden = fault === null;
  $("fault").textContent = fault === null ? "" : words[fault];
}

function view(name) {
  for (const one of ["pass", "register"]) $(one).hidden = one !== name;
  window.scrollTo(0, 0);
  renew();
}

async function renew() {
  clearTimeout(timer);
  if (!key || $("pass").hidden || document.hidden) return;
  const nowMs = Date.now();
  // the next one begins with the next step; a duress press changes nothing before that, so nobody sees it happen
  timer = setTimeout(renew, STEP_MS - (nowMs % STEP_MS) + 1);
  drawQr($("pass-qr"), await passText(key, door, nowMs / 1000, performance.now() < duressUntilMs), "Alphanumeric");
  countDown();
}

function countDown() {
  const passedMs = Date.now() % STEP_MS;
  const ring = document.querySelector("#ring .left");
  for (const animation of ring.getAnimations()) animation.cancel();
  ring.animate([{ strokeDashoffset: 0 }, { strokeDashoffset: RING }], { duration: STEP_MS }).currentTime = passedMs;
}

function countSeconds() {
  const leftMs = STEP_MS - (Date.now() % STEP_MS);
  $("seconds").textContent = String(Math.ceil(leftMs / 1000));
  setTimeout(countSeconds, (leftMs % 1000) + 1);
}

async function stayAwake() {
  if (document.hidden || !navigator.wakeLock || (lock && !lock.released)) return;
  lock = await navigator.wakeLock.request("screen").catch(() => null); // a battery saver may say no
}

function showOpening(words) {
  const doors = (openable ?? []).filter((name) => door === null || name === door);
  $("remote").hidden = doors.length === 0;
  $("opened").textContent = opened === null ? "" : words.opening[opened.word] ?? words.opening.refused(opened.word);
  showPatience(words);
  const wanted = doors.map((name) => words.open(name)).join("\n");
  if ($("open-buttons").dataset.shown === wanted) return; // a button that is being pressed stays the same element
  $("open-buttons").dataset.shown = wanted;
  $("open-buttons").replaceChildren(...doors.map((name) => {
    const button = document.createElement("button");
    button.type = "button";
    button.className = "primary";
    button.textContent = words.open(name);
    button.addEventListener("click", () => press(button, name));
    return button;
  }));
}

function showPatience(words) {
  $("patience").hidden = opened === null || opened.word !== "asking";
  $("patience").textContent = words.patience(Math.max(0, Math.ceil((patientUntilMs - performance.now()) / 1000)));
}

async function press(button, name) {
  button.disabled = true; // one press, one opening
  clearTimeout(forgetting);
  opened = { word: "asking" };
  patientUntilMs = performance.now() + PATIENCE_MS;
  say();
  const seconds = setInterval(() => showPatience(WORDS[language]), 1000);
  const answer = await openDoor(key, name, performance.now() < duressUntilMs);
  clearInterval(seconds);
  opened = { word: answer.refused ?? answer.stage };
  forgetting = setTimeout(() => { opened = null; say(); }, OF_AN_OPENING.has(opened.word) ? OPEN_WORDS_MS : OTHER_WORDS_MS);
  button.disabled = false;
  say();
}

async function lookForDoors() {
  if (key && kept.get("registered")) openable = await openableDoors(key);
  say();
}

async function lookAtClock() {
  clockWrong = await clockWrongS();
  say();
}

async function copy() {
  const done = await navigator.clipboard.writeText($("code").textContent).then(() => true, () => false);
  $("copy-said").textContent = WORDS[language][done ? "copied" : "copyFailed"];
}

function takeDoorFromLink() {
  const asked = new URLSearchParams(location.hash.slice(1)).get("door");
  if (asked === null) return;
  history.replaceState(null, "", location.pathname);
  if (DOOR.test(asked)) chooseDoor(asked);
}

function chooseDoor(name) {
  door = name;
  kept.set("door", name ?? "");
  say();
  renew();
}

function listenForLongPress(element) {
  let pressed = 0;
  element.addEventListener("pointerdown", () => {
    clearTimeout(pressed);
    pressed = setTimeout(() => { duressUntilMs = performance.now() + DURESS_MS; }, LONG_PRESS_MS);
  });
  for (const end of ["pointerup", "pointercancel", "pointerleave"]) element.addEventListener(end, () => clearTimeout(pressed));
  element.addEventListener("contextmenu", (event) => event.preventDefault());
}

function listen() {
  $("language").addEventListener("click", () => {
    language = language === "en" ? "zh-CN" : "en";
    kept.set("language", language);
    say();
  });
  $("to-pass").addEventListener("click", () => { kept.set("registered", "yes"); view("pass"); lookForDoors(); });
  $("to-register").addEventListener("click", () => view("register"));
  $("any-door").addEventListener("click", () => chooseDoor(null));
  $("copy").addEventListener("click", copy);
  listenForLongPress($("title"));
  window.addEventListener("hashchange", takeDoorFromLink);
  for (const look of [lookAtClock, lookForDoors]) window.addEventListener("online", look);
  window.addEventListener("offline", () => { openable = null; say(); });
  document.addEventListener("visibilitychange", () => { renew(); stayAwake(); if (!document.hidden) lookForDoors(); });
}

async function start() {
  listen();
  say();
  countSeconds();
  $("wechat").hidden = !/MicroMessenger/.test(navigator.userAgent);
  $("install").hidden = matchMedia("(display-mode: standalone)").matches || navigator.standalone === true;
  navigator.serviceWorker?.register("sw.js").catch(() => {}); // without it the page works while online
  if (!globalThis.crypto?.subtle) fault = "needHttps";
  else key = await phoneKey().catch(() => { fault = "needStore"; return null; });
  if (!key) return say();
  takeDoorFromLink();
  $("own").hidden = !key.isNew;
  $("code").textContent = registrationCode(key.spki);
  drawQr($("register-qr"), $("code").textContent, "Byte");
  view(kept.get("registered") && !key.isNew ? "pass" : "register");
  stayAwake();
  navigator.storage?.persist?.().catch(() => {}); // else a full phone may throw the key away
  lookAtClock();
  lookForDoors();
  setInterval(lookAtClock, CLOCK_EVERY_MS);
}

start();
