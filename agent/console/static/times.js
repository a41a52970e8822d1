// How long the newest openings took, by way: from the first picture of a face or code to the relay. Bars for the eye, words for everybody.
"use strict";

const BOUNDS_MS = [100, 200, 300, 500, 1000];
const BAR = { width: 34, gap: 6, height: 44, base: 58 };

function bucketsOf(times) {
  return [...BOUNDS_MS, Infinity].map((bound, at) => times.filter((ms) => ms < bound && ms >= (BOUNDS_MS[at - 1] ?? 0)).length);
}

const boundWords = (at) => (at < BOUNDS_MS.length ? say("t_below", BOUNDS_MS[at]) : say("t_above", BOUNDS_MS.at(-1)));

function histogram(times, caption) {
  const counts = bucketsOf(times), most = Math.max(...counts), figure = make("figure");
  const width = counts.length * (BAR.width + BAR.gap), words = counts.map((n, at) => `${boundWords(at)}: ${n}`).join("; ");
  const svg = draw(figure, "svg", { viewBox: `0 0 ${width} 74`, class: "histogram", role: "img", "aria-label": `${caption}. ${words}` });
  counts.forEach((n, at) => {
    const x = at * (BAR.width + BAR.gap), height = (n / most) * BAR.height;
    draw(svg, "rect", { x, y: BAR.base - height, width: BAR.width, height, fill: "var(--good)" });
    draw(svg, "line", { x1: x, y1: BAR.base, x2: x + BAR.width, y2: BAR.base, stroke: "var(--line)" });
    if (n) draw(svg, "text", { x: x + BAR.width / 2, y: BAR.base - height - 3 }).textContent = n;
    draw(svg, "text", { x: x + BAR.width / 2, y: 71 }).textContent = at < BOUNDS_MS.length ? `<${BOUNDS_MS[at]}` : `≥${BOUNDS_MS.at(-1)}`;
  });
  figure.append(make("figcaption", caption));
  return figure;
}

let timesDrawn = "";

// Drawn anew only when there is something new: a screen reader is not sent back to the beginning each second.
function showTimes(openings) {
  const wanted = JSON.stringify([language, openings]);
  if (wanted === timesDrawn) return;
  timesDrawn = wanted;
  byId("times").replaceChildren(...[...new Set(openings.map((o) => o.way))].map((way) => {
    const times = openings.filter((o) => o.way === way).map((o) => o.ms), middle = [...times].sort((a, b) => a - b)[Math.floor(times.length / 2)];
    return histogram(times, say("t_caption", known("t_", way), Math.round(middle), times.length));
  }));
  byId("times-box").hidden = openings.length === 0;
}
