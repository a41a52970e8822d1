// The newest picture, asked for one after the other (a hidden page asks for none), with boxes over the faces.
"use strict";

let pictureNumber = 0;
let pictureUrl = null;

async function followPicture() {
  for (;;) {
    if (document.hidden) {
      await new Promise((resume) => document.addEventListener("visibilitychange", resume, { once: true }));
      continue;
    }
    let wait = 0;
    try {
      const reply = await fetch(`/api/picture?after=${pictureNumber}`);
      if (reply.status === 200) {
        pictureNumber = Number(reply.headers.get("X-Picture")) || 0;
        showPicture(await reply.blob());
      } else if (reply.status !== 204) wait = 1000;
    } catch {
      pictureNumber = 0; // the program may have started again and counts anew
      wait = 1000;
    }
    if (wait) await new Promise((resume) => setTimeout(resume, wait));
  }
}

function showPicture(blob) {
  const old = pictureUrl;
  pictureUrl = URL.createObjectURL(blob);
  byId("picture").src = pictureUrl;
  if (old) URL.revokeObjectURL(old);
  else show();
}

const FACE_TONE = { recognised: "good", doubtful: "warn", stranger: "warn", spoof: "bad", looking: "", unclear: "quiet" };

function nameOf(personId, events) {
  const row = personId && (events ?? []).find((e) => e.body?.person_id === personId && e.body?.name);
  return row ? row.body.name : null;
}

function faceWords(face, events) {
  return face.name ?? nameOf(face.person_id, events) ?? known("f_", face.state ?? "looking");
}

function showFaces(vision, events) {
  const faces = vision?.faces ?? [], box = byId("boxes");
  while (box.children.length > faces.length) box.lastChild.remove();
  faces.forEach((face, i) => {
    const element = box.children[i] ?? box.appendChild(newFace());
    const [x, y, w, h] = face.box;
    Object.assign(element.style, { left: `${x * 100}%`, top: `${y * 100}%`, width: `${w * 100}%`, height: `${h * 100}%` });
    element.className = `face ${FACE_TONE[face.state] ?? "quiet"}${y < 0.1 ? " low" : ""}${x + w / 2 > 0.7 ? " right" : ""}`;
    const small = w > 0.08 && [face.match_distance != null && say("match", face.match_distance.toFixed(2)), face.live != null && say("alive", face.live.toFixed(2))];
    element.firstChild.textContent = faceWords(face, events);
    element.lastChild.textContent = small ? small.filter(Boolean).join(" · ") : "";
  });
  const words = faces.map((face) => faceWords(face, events)).join(language === "en" ? ", " : "、");
  const up = connected && vision?.up === true;
  byId("people").textContent = !up ? "" : faces.length ? say("people", faces.length, words) : say("nobody");
  const told = byId("no-picture");
  told.hidden = up && pictureUrl !== null;
  told.textContent = !connected ? say("away") : !up ? say("visionAway") : vision.camera_detail || say("noPicture");
  byId("picture").style.opacity = up ? 1 : 0.25; // what was seen last is not what is there now
  byId("picture").alt = byId("people").textContent || told.textContent;
}

function newFace() {
  const element = make("div");
  element.append(make("span"), make("small"));
  return element;
}
