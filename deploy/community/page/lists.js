// Which doors get the list of residents: none does before a manager said who may use it.
"use strict";

let lists = { doors: [], without: [] };
const NAMED_MOST = 5;
let listed = null; // the door in the form

async function loadLists() {
  if (!mayOrder()) return;
  lists = await askServer("/api/lists").catch(() => lists);
  showLists();
}

function showLists() {
  redraw(byId("held"), [...inOrder(lists.without).map((device) => listRow(device, "warn", say("listNone"), [])), ...inOrder(lists.doors.map((d) => d.device)).map((name) => lists.doors.find((d) => d.device === name)).map((d) => listRow(
    d.device, d.drift || !d.wanted ? "warn" : "good", `${whoMay(d.groups)} · ${heldWords(d)}`, d.groups))]);
  byId("held-box").hidden = byId("held").children.length === 0;
  const missing = byId("lists-missing");
  missing.hidden = lists.without.length === 0;
  missing.replaceChildren(make("span", say("listsMissing", someOf(lists.without))), buttonOf(say("listsGo"), "plain", () => { location.hash = "people"; }));
}

// Twenty names in a warning say no more than the first and how many there are.
function someOf(names) {
  const shown = inOrder(names).slice(0, NAMED_MOST).join(say("comma"));
  return names.length > NAMED_MOST ? say("andMore", shown, names.length) : shown;
}

function heldWords(d) {
  if (!d.wanted) return say("listUnpublished");
  if (!d.drift) return say("upToDate", d.held);
  return d.held ? say("drift", d.held, d.wanted) : say("listNotYet", d.wanted);
}

const whoMay = (groups) => (groups.includes("*") ? say("listAll") : groups.length ? groups.join(", ") : say("listNobody"));

function listRow(device, tone, words, groups) {
  const row = make("li");
  row.append(make("span", undefined, `dot ${tone}`), make("strong", device), make("span", words), buttonOf(say("listSet"), "plain", () => askList(device, groups)));
  return row;
}

function askList(device, groups) {
  listed = device;
  byId("list-title").textContent = say("title_order", say("listSet"), device);
  byId("list-all").checked = groups.includes("*") || groups.length === 0;
  byId("list-groups").value = groups.filter((g) => g !== "*").join(", ");
  byId("groups").replaceChildren(...[...new Set(everybody.people.flatMap((p) => p.groups))].sort().map((g) => Object.assign(make("option"), { value: g })));
  byId("list-told").textContent = "";
  showListGroups();
  byId("list").showModal();
}

function showListGroups() { byId("list-groups").disabled = byId("list-all").checked; }

async function saveList() {
  const groups = byId("list-all").checked ? ["*"] : byId("list-groups").value.split(/[,，、\s]+/).filter(Boolean);
  try {
    await askServer(`/api/doors/${listed}/list`, { groups });
    byId("list").close();
  } catch (error) {
    byId("list-told").textContent = error.message;
  }
  loadLists();
}

byId("list-all").addEventListener("change", showListGroups);
byId("list-form").addEventListener("submit", once(saveList));
byId("list-no").addEventListener("click", () => byId("list").close());
