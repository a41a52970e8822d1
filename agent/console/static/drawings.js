// The door and the queue as pictures (SVG elements, made once, changed by attributes).
"use strict";

const SVG = "http://www.w3.org/2000/svg";

function draw(parent, tag, attributes, id) {
  const element = document.createElementNS(SVG, tag);
  for (const [key, value] of Object.entries(attributes)) element.setAttribute(key, value);
  if (id) element.id = id;
  parent.append(element);
  return element;
}

function set(id, attributes) {
  for (const [key, value] of Object.entries(attributes)) byId(id).setAttribute(key, value);
}

function drawDoorOnce() {
  const svg = byId("door-drawing");
  draw(svg, "rect", { x: 2, y: 164, width: 116, height: 4, rx: 2, fill: "var(--line)" });
  draw(svg, "rect", { x: 14, y: 4, width: 92, height: 160, rx: 3, fill: "var(--quiet)" });
  draw(svg, "rect", { x: 21, y: 11, width: 78, height: 153, fill: "var(--sunk)" }, "room");
  draw(svg, "polygon", { points: "21,164 99,164 76,130 38,130", fill: "var(--glow)", opacity: 0 }, "light");
  draw(svg, "polygon", { points: "21,11 99,11 99,164 21,164", fill: "#8a6a48", stroke: "#5d452c", "stroke-width": 1.5 }, "leaf");
  draw(svg, "polygon", { points: "31,22 89,22 89,78 31,78", fill: "#7a5c3d" }, "panel-a");
  draw(svg, "polygon", { points: "31,92 89,92 89,152 31,152", fill: "#7a5c3d" }, "panel-b");
  draw(svg, "rect", { x: 88, y: 84, width: 6, height: 3, rx: 1.5, fill: "#e6d9b8" }, "handle");
  draw(svg, "rect", { x: 97, y: 80, width: 9, height: 13, rx: 2, fill: "#2b3642" });
  draw(svg, "rect", { x: 93, y: 84, width: 8, height: 5, rx: 1, fill: "#cfd6dd" }, "bolt");
  draw(svg, "circle", { cx: 112, cy: 86, r: 5, fill: "var(--quiet)" }, "lamp");
}

// Leaf hinged on the left; open, it is seen from its edge and the light of the house falls out.
function showDoor(d) {
  const open = d.contact === "open", released = d.lock === "released", knownLock = d.lock === "released" || d.lock === "secured";
  const quad = (l, r, t, b, inset) => (open ? `${21 + l * 0.42},${t + inset * 0.5} ${21 + r * 0.42},${t - r * 0.06 + inset * 0.5} ${21 + r * 0.42},${b + r * 0.03} ${21 + l * 0.42},${b}` : `${21 + l},${t} ${21 + r},${t} ${21 + r},${b} ${21 + l},${b}`);
  set("leaf", { points: quad(0, 78, 11, 164, 0), opacity: d.contact === "unknown" || !d.contact ? 0.55 : 1 });
  set("panel-a", { points: quad(10, 68, 22, 78, 2) });
  set("panel-b", { points: quad(10, 68, 92, 152, 2) });
  set("handle", { x: open ? 47 : 88 });
  set("room", { fill: open ? "var(--glow)" : "var(--sunk)" });
  set("light", { opacity: open ? 0.35 : 0 });
  set("bolt", { x: released ? 98 : 92, opacity: knownLock ? 1 : 0.3 });
  set("lamp", { fill: d.fire ? "var(--bad)" : !knownLock ? "var(--quiet)" : released ? "var(--good)" : "var(--accent)" });
  byId("door-title").textContent = say("drawing", say(d.contact ?? "unknown"), say(d.lock ?? "unknown"));
}

function drawQueueOnce() {
  const svg = byId("queue-drawing");
  draw(svg, "rect", { x: 14, y: 14, width: 28, height: 52, rx: 3, fill: "var(--quiet)" });
  draw(svg, "rect", { x: 18, y: 18, width: 20, height: 48, fill: "#8a6a48" });
  draw(svg, "line", { x1: 52, y1: 40, x2: 262, y2: 40, "stroke-width": 3, "stroke-linecap": "round" }, "wire");
  draw(svg, "path", { d: "M150 28 l14 24 M164 28 l-14 24", stroke: "var(--bad)", "stroke-width": 4, "stroke-linecap": "round", opacity: 0 }, "cut");
  for (let i = 0; i < 10; i += 1) draw(svg, "circle", { cx: 60 + i * 9, cy: 40, r: 3.6, fill: "var(--accent)" }, `row-${i}`);
  for (const y of [20, 36, 52]) draw(svg, "rect", { x: 272, y, width: 36, height: 13, rx: 3, fill: "var(--quiet)" });
  for (const y of [20, 36, 52]) draw(svg, "circle", { cx: 301, cy: y + 6.5, r: 2, fill: "var(--quiet)" }, `blink-${y}`);
}

function showQueue(queue, link) {
  const up = link?.up === true, waiting = queue?.depth ?? 0;
  set("wire", { stroke: up ? "var(--good)" : "var(--line)", "stroke-dasharray": up ? "none" : "5 9" });
  set("cut", { opacity: up ? 0 : 1 });
  for (let i = 0; i < 10; i += 1) set(`row-${i}`, { opacity: i < waiting ? 1 : 0, cx: up ? 60 + i * 20 : 60 + i * 9 });
  for (const y of [20, 36, 52]) set(`blink-${y}`, { fill: up ? "var(--good)" : "var(--card)" });
  byId("queue-title").textContent = say("qDrawing", say(up ? "up" : "down"), waiting);
}
