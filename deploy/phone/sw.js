// Keeps the page's own files, so that it starts without network. __VERSION__ is the hash of all files, written by
// serve.py: a change brings a new worker, which fetches everything anew before the old copy goes.
"use strict";

const PREFIX = "door-phone-";
const CACHE = `${PREFIX}__VERSION__`;
const FILES = [
  "./", "clock.js", "icon-180.png", "icon-maskable.svg", "icon.svg", "key.js", "manifest.webmanifest", "open.js", "pass.js",
  "phone.css", "phone.js", "picture.js", "privacy.html", "vendor/qrcode.js", "visitor-words.js", "visitor.html", "visitor.js", "words.js",
];

const PAGES = ["visitor.html", "privacy.html"]; // beside the pass itself

self.addEventListener("install", (event) => {
  const fresh = FILES.map((name) => new Request(name, { cache: "reload" }));
  event.waitUntil(caches.open(CACHE).then((cache) => cache.addAll(fresh)).then(() => self.skipWaiting()));
});

self.addEventListener("activate", (event) => {
  const old = (name) => name.startsWith(PREFIX) && name !== CACHE;
  event.waitUntil(caches.keys()
    .then((names) => Promise.all(names.filter(old).map((name) => caches.delete(name))))
    .then(() => self.clients.claim()));
});

self.addEventListener("fetch", (event) => {
  if (event.request.method !== "GET") return; // the look at the server's clock is a HEAD: never from the cache
  const name = new URL(event.request.url).pathname.split("/").pop();
  const wanted = event.request.mode !== "navigate" ? event.request : PAGES.includes(name) ? name : "./";
  event.respondWith(caches.open(CACHE)
    .then((cache) => cache.match(wanted))
    .then((kept) => kept ?? fetch(event.request)));
});
