// The page: asks once a second how the run stands, and keeps a card for each open source.

import { Card, droppedOf, isOpen, shown, stateOf } from "/card.js";

const EVERY_MS = 1000;
const SLOW_MS = 5000;
const cards = new Map();
const states = new Map();
let setup = null;

const byId = (id) => document.getElementById(id);

function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}

async function get(path) {
  const response = await fetch(path, { signal: AbortSignal.timeout(SLOW_MS), credentials: "same-origin" });
  if (response.status === 401) throw new Error("not let in: open the address with its token again");
  if (!response.ok) throw new Error(`the server answers ${response.status}`);
  return response.json();
}

async function poll() {
  if (!document.hidden) {
    try {
      setup ??= await get("/api/setup");
      update(await get("/api/sources"));
    } catch (error) {
      lose(error);
    }
  }
  setTimeout(poll, EVERY_MS);
}

function update(run) {
  const loading = Object.entries(run.groups).filter(([, state]) => state === "loading");
  const over = run.sources_total > 0 && run.sources_ended === run.sources_total;
  const [state, text] = loading.length || !run.sources_total
    ? ["loading", "loading the model"]
    : over ? ["ended", "finished"] : ["ok", run.restarts ? `running, ${run.restarts} restarts` : "running"];
  showRun(state, text);
  const open = run.sources.filter(isOpen);
  const people = open.reduce((sum, source) => sum + (source.people ?? 0), 0);
  const fps = open.reduce((sum, source) => sum + (source.fps_out ?? 0), 0);
  put(byId("totals"), totalsOf(open, run, people, fps));
  updateCards(open, run.seconds);
  updateFiles(run.sources.filter((source) => !isOpen(source)), run);
  updateInside(run);
  announce(run.sources);
}

function totalsOf(open, run, people, fps) {
  const seen = people === 1 ? "1 person" : `${people} people`;
  return `${open.length} of ${run.sources_total} open · ${seen} · ${shown(fps, 1)} fps`;
}

function showRun(state, text) {
  document.querySelector(".run").dataset.state = state;
  put(byId("run"), text);
}

function lose(error) {
  const told = error instanceof TypeError || error.name === "TimeoutError";
  showRun("failed", told ? "connection lost: the run has ended, or is out of reach" : error.message);
  setup = null; // another run may answer next
}

function updateCards(open, seconds) {
  for (const source of open) {
    const { name } = source.of;
    if (!cards.has(name)) {
      cards.set(name, new Card(source, setup));
      byId("cards").append(cards.get(name).root);
      cards.get(name).live.show(...chosen());
    }
    cards.get(name).update(source, seconds);
  }
  const names = new Set(open.map((source) => source.of.name));
  for (const [name, card] of cards) {
    if (names.has(name)) continue;
    card.leave();
    cards.delete(name);
  }
  byId("cards").classList.toggle("one", open.length === 1);
}

function updateFiles(sources, run) {
  const section = byId("files");
  section.hidden = !sources.length;
  const open = run.sources.filter(isOpen).length;
  put(byId("files-title"), `${run.sources_ended} done, ${run.sources_total - run.sources_ended - open} waiting`);
  fill(section.querySelector("tbody"), sources.map(({ of }) => {
    const done = of.state === "ended" ? 1 : of.expected ? Math.min(1, of.frames / of.expected) : 0;
    const state = of.reason ? `${stateOf(of)}: ${of.reason}` : stateOf(of);
    return [of.name, state, done, String(of.frames), of.frames ? shown(of.people / of.frames, 1) : "–"];
  }));
}

function updateInside(run) {
  if (!byId("inside").open) return;
  fill(byId("stages").tBodies[0], Object.entries(run.stages).map(([name, stage]) => [
    name, String(stage.frames), shown(stage.p50_ms, 1), shown(stage.p95_ms, 1), droppedOf(stage.dropped),
  ]));
  fill(byId("groups").tBodies[0], Object.entries(run.groups).map(([name, state]) => [
    name, state, String(run.held[name] ?? 0), `${shown((run.memory_bytes[name] ?? 0) / 1e6)} MB`,
  ]));
}

// Rows of a table; a number below the heading of a bar becomes one.
function fill(body, rows) {
  while (body.rows.length > rows.length) body.deleteRow(-1);
  rows.forEach((cells, at) => {
    const row = body.rows[at] ?? body.insertRow();
    cells.forEach((cell, column) => {
      const place = row.cells[column] ?? row.insertCell();
      place.className = body.previousElementSibling.rows[0].cells[column].className;
      if (typeof cell === "string") put(place, cell);
      else {
        const bar = place.firstElementChild ?? place.appendChild(document.createElement("progress"));
        bar.value = cell;
        bar.setAttribute("aria-label", `Progress of ${cells[0]}`);
      }
    });
  });
}

// A screen reader hears of what has changed, not of each figure.
function announce(sources) {
  for (const { of } of sources) {
    const before = states.get(of.name);
    states.set(of.name, of.state);
    if (before && before !== of.state) put(byId("said"), `${of.name}: ${stateOf(of)} ${of.reason}`.trim());
  }
}

function chosen() {
  const mode = document.querySelector("input[name=mode]:checked").value;
  return [mode, byId("pause").getAttribute("aria-pressed") === "true"];
}

function showAll() {
  for (const card of cards.values()) card.live.show(...chosen());
}

for (const input of document.querySelectorAll("input[name=mode]")) input.addEventListener("change", showAll);
byId("pause").addEventListener("click", () => {
  const paused = byId("pause").getAttribute("aria-pressed") !== "true";
  byId("pause").setAttribute("aria-pressed", String(paused));
  showAll();
});
byId("inside").addEventListener("toggle", () => byId("inside").open && get("/api/sources").then(updateInside, () => {}));
// The token is in a cookie from here on; it is not left where shoulders and histories see it.
if (location.search) history.replaceState(null, "", location.pathname);
poll();
