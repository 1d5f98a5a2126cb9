// The page: which study, which region, what was said about it.
import { get, post, setRater } from "./api.js";
import { KEYS, listen } from "./keys.js";
import { Planes, WINDOWS } from "./planes.js";
import { Report, element } from "./report.js";
import { showStatistics } from "./statistics.js";
import { Surface } from "./surface.js";

const byId = (id) => document.getElementById(id);
const SCORES = { 1: "wrong", 2: "poor", 3: "fair", 4: "good", 5: "perfect" };
const DIRECTIONS = { o: ["over", "too much"], u: ["under", "too little"], m: ["mixed", "both"] };

const state = { studies: [], study: null, regions: [], answers: new Map(), region: null, score: null, history: [], begun: 0 };
const seconds = () => Math.round((performance.now() - state.begun) / 10) / 100;
const planes = new Planes((voxel) => { byId("place").textContent = `voxel ${voxel.join(", ")}`; });
const surface = new Surface();
const report = new Report({ look: (voxel) => planes.look(voxel), tell, timer: seconds });

function tell(words, wrong = false) {
  byId("message").textContent = words;
  byId("message").classList.toggle("wrong", wrong);
}

const attempt = (action) => async (...values) => {
  try { await action(...values); } catch (error) { tell(error.message, true); }
};

// --- studies

function isFinished(study) { return study.answered >= (study.regions || state.count); }

function showStudies() {
  const words = byId("search").value.trim().toLowerCase();
  byId("studies").replaceChildren(...state.studies.filter((s) => s.study_id.toLowerCase().includes(words)).map((study) => {
    const button = element("button", "", { type: "button" }), item = document.createElement("li");
    button.append(element("span", study.study_id), element("span", isFinished(study) ? "done" : study.answered ? `${study.answered}` : study.by_others && !study.for_all ? "read" : "", { className: isFinished(study) ? "done" : "muted" }));
    button.setAttribute("aria-current", String(state.study !== null && study.number === state.study.number));
    button.addEventListener("click", attempt(() => open(study.number)));
    item.append(button);
    return item;
  }));
  const done = state.studies.filter(isFinished).length;
  byId("progress").max = state.studies.length;
  byId("progress").value = done;
  byId("progress-words").textContent = `${done} of ${state.studies.length} studies`;
}

async function open(number) {
  tell("");
  const study = await get(`/api/studies/${number}`);
  Object.assign(state, { study, regions: [], answers: new Map(), region: null, score: null });
  planes.open(study);
  surface.clear();
  report.open(study);
  showStudies();
  showRegions();
  byId("region-name").textContent = "Cutting the mask …";
  const told = await get(`/api/studies/${number}/regions`).catch((error) => { byId("region-name").textContent = ""; throw error; });
  if (state.study !== study) return;
  state.regions = told.regions;
  for (const answer of told.answers) state.answers.set(answer.region, answer);
  count();
  planes.maskReady();
  surface.open(number, told.spacing_mm).catch((error) => tell(error.message, true));
  if (!told.regions.length) { tell("This study has no voxel of the label."); return; }
  goTo((told.regions.find((r) => !state.answers.has(r.region)) || told.regions[0]).region);
  const coming = following();
  if (coming) get(`/api/studies/${coming.number}/regions`).catch(() => {});  // cut while this one is looked at
}

// The next study of the list, after the last one the first, that waits for this rater.
function following() {
  const here = state.studies.findIndex((s) => s.number === state.study.number);
  return [...state.studies.slice(here + 1), ...state.studies.slice(0, here)].find((s) => !isFinished(s) && (!s.by_others || s.for_all));
}

function count() {
  const row = state.studies.find((s) => s.number === state.study.number);
  row.answered = state.answers.size;
  row.regions = state.regions.length || state.count;
  showStudies();
}

// --- regions

function goTo(region) {
  Object.assign(state, { region, score: null, begun: performance.now() });
  planes.look(state.regions.find((r) => r.region === region).voxel, region);
  surface.show(region);
  showRegions();
}

function showRegions() {
  byId("regions").replaceChildren(...state.regions.map(({ region }) => {
    const answer = state.answers.get(region), words = !answer ? "" : answer.skipped ? " –" : ` ${answer.score}${answer.score < 5 ? answer.direction[0].toUpperCase() : ""}`;
    const button = element("button", `${region}${words}`, { type: "button", className: !answer ? "" : answer.skipped ? "skipped" : "answered" });
    button.setAttribute("role", "tab");
    button.setAttribute("aria-selected", String(region === state.region));
    button.addEventListener("click", () => goTo(region));
    return button;
  }));
  const answer = state.answers.get(state.region);
  byId("region-name").textContent = state.region ? `Region ${state.region} of ${state.regions.length}` : "";
  for (const button of byId("scores").children) button.setAttribute("aria-pressed", String(Number(button.dataset.score) === (state.score || (answer && answer.score))));
  for (const button of byId("directions").children) button.setAttribute("aria-pressed", String(Boolean(answer) && !state.score && button.dataset.direction === answer.direction));
}

async function save(fields) {
  const region = state.region, study = state.study.number;
  if (!region) return;
  const body = { study, region, seconds: seconds(), ...fields };
  const { record_id } = await post("/api/answers", body);
  state.history.push({ study, record_id });
  if (state.study.number !== study) return;
  state.answers.set(region, { record_id, region, skipped: false, ...fields });
  if (state.region === region) state.score = null;
  count();
  showRegions();
  tell(fields.skipped ? `Region ${region} skipped.` : `Region ${region}: ${fields.score}, ${fields.direction}. Saved.`);
}

const score = attempt(async (value) => {
  if (!state.region) return;
  if (value === 5) { await save({ score: 5, direction: "none" }); return; }
  state.score = value;
  showRegions();
  tell("What is wrong? O too much, U too little, M both.");
});

const direction = attempt(async (value) => {
  const answer = state.answers.get(state.region), given = state.score || (answer && answer.score < 5 && answer.score);
  if (!given) { tell("Give a score from 1 to 4 first.", true); return; }
  await save({ score: given, direction: value });
});

const undo = attempt(async () => {
  if (state.score) { state.score = null; showRegions(); tell(""); return; }
  const last = state.history.pop();
  if (!last) { tell("There is nothing to undo in this session.", true); return; }
  const told = await post("/api/undo", last);
  if (state.study.number !== last.study) { await open(last.study); goTo(told.region); return; }
  if (told.answer) state.answers.set(told.region, told.answer);
  else state.answers.delete(told.region);
  count();
  goTo(told.region);
  tell(`Region ${told.region}: taken back.`);
});

const next = attempt(async () => {
  const order = state.regions.map((r) => r.region), from = order.indexOf(state.region);
  const open_ = [...order.slice(from + 1), ...order.slice(0, from + 1)].find((region) => !state.answers.has(region));
  if (open_) { goTo(open_); tell(""); return; }
  const coming = following();
  if (coming) await open(coming.number);
  else tell("All studies are done.");
});

function step(by) {
  const order = state.regions.map((r) => r.region), at = order.indexOf(state.region) + by;
  if (at >= 0 && at < order.length) goTo(order[at]);
}

// --- tools

function setWindow(name) {
  byId("window").value = name;
  planes.window = WINDOWS[name];
  planes.draw();
}

function nextWindow() {
  const names = Object.keys(WINDOWS);
  setWindow(names[(names.indexOf(byId("window").value) + 1) % names.length]);
}

function setOutlines(shown) {
  byId("outlines").checked = shown;
  planes.outlines = shown;
  planes.draw();
}

function build() {
  for (const [value, word] of Object.entries(SCORES)) {
    const button = element("button", `${word} `, { type: "button" });
    button.dataset.score = value;
    button.append(element("kbd", value));
    button.addEventListener("click", () => score(Number(value)));
    byId("scores").append(button);
  }
  for (const [key, [value, words]] of Object.entries(DIRECTIONS)) {
    const button = element("button", `${words} `, { type: "button" });
    button.dataset.direction = value;
    button.append(element("kbd", key.toUpperCase()));
    button.addEventListener("click", () => direction(value));
    byId("directions").append(button);
  }
  for (const name of Object.keys(WINDOWS)) byId("window").append(element("option", name, { value: name }));
  for (const [key, words] of KEYS) byId("keys").append(element("dt", key), element("dd", words));
  byId("window").addEventListener("change", () => setWindow(byId("window").value));
  byId("outlines").addEventListener("change", () => setOutlines(byId("outlines").checked));
  byId("opacity").addEventListener("input", () => { planes.opacity = Number(byId("opacity").value); planes.draw(); });
  byId("search").addEventListener("input", showStudies);
  byId("skip").addEventListener("click", attempt(() => save({ skipped: true })));
  byId("undo").addEventListener("click", undo);
  byId("next").addEventListener("click", next);
  byId("show-help").addEventListener("click", () => byId("help").showModal());
  byId("show-statistics").addEventListener("click", attempt(showStatistics));
  byId("rater").value = localStorage.getItem("rater") || "reader";
  byId("rater").addEventListener("change", attempt(start));
  const keys = { s: attempt(() => save({ skipped: true })), z: undo, Enter: next, n: () => score(5) };
  for (const value of Object.keys(SCORES)) keys[value] = () => score(Number(value));
  for (const [key, [value]] of Object.entries(DIRECTIONS)) keys[key] = () => direction(value);
  listen({
    ...keys,
    ArrowLeft: () => step(-1),
    ArrowRight: () => step(1),
    ArrowUp: () => planes.step("axial", 1),
    ArrowDown: () => planes.step("axial", -1),
    t: () => setOutlines(!byId("outlines").checked),
    w: nextWindow,
    "/": () => byId("search").focus(),
    "?": () => byId("help").showModal(),
  });
}

async function start() {
  const name = byId("rater").value.trim() || "reader";
  localStorage.setItem("rater", name);
  setRater(encodeURIComponent(name));
  const session = await get("/api/session");
  state.studies = session.studies;
  state.count = session.count;
  state.history = [];
  byId("what").textContent = `${session.label.replaceAll("_", " ")}, ${session.scheme.replaceAll("_", " ")}`;
  const first = session.studies.find((s) => !isFinished(s) && (!s.by_others || s.for_all)) || session.studies[0];
  await open(first.number);
}

build();
attempt(start)();
