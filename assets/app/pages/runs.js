// Runs: start a step over a selection, see how far it is and what it costs, stop it, read what failed.

import {h} from "../dom.js";
import {filterForm} from "./filters.js";
import {context, count, get, post, say, tried} from "./shell.js";

const KINDS = {
  propose: ["Propose", "Find the pairs of people in every photograph. Pairs that are there already stay as they are.", "proposing"],
  ask: ["Ask", "Ask where the people of each pair touch. Answers never replace what curators did.", "asking"],
  fit: ["Fit", "Fit the meshes to the contacts as they stand. Fits that curators wait for come first.", "fitting"],
};
const NAMES = {...Object.fromEntries(Object.entries(KINDS).map(([kind, [name]]) => [kind, name])), study: "Study meshes"};
const STATE = {queued: "waiting", running: "running", done: "done", cancelled: "cancelled", failed: "failed"};
const WATCH_MS = 1000;
const IDLE_MS = 5000;

let kind = "fit";
let query = new URLSearchParams();
let data = {runs: [], askers: []};
const asking = {asker: "keypoints", model: "", again: false, limit: 0, price: {in: 0, out: 0}};
const size = h("p", {class: "size", role: "status"});
const list = h("div", {class: "run-list"});
const open = new Set(); // runs whose errors are unfolded

export function mount(root) {
  root.append(h("div", {class: "page-head"}, h("h1", {}, "Runs"), h("span", {class: "muted"}, "A run goes on when this page is closed, and after a restart of the server.")));
  const starter = h("section", {class: "block", "aria-label": "Start a run"});
  root.append(h("div", {class: "runs-grid"}, context.mayWrite && starter, h("section", {class: "block", "aria-label": "Runs so far"}, h("h2", {}, "Runs so far"), list)));
  const redraw = () => { starter.replaceChildren(...form(redraw)); measure(); };
  watch(redraw);
}

async function watch(redraw) {
  let first = true;
  for (;;) {
    const answer = await get("runs/data").catch(() => null);
    if (answer) data = answer;
    if (first && context.mayWrite) redraw();
    first = false;
    draw();
    const busy = data.runs.some((run) => ["queued", "running"].includes(run.state));
    await new Promise((done) => setTimeout(done, busy ? WATCH_MS : IDLE_MS));
  }
}

function form(redraw) {
  const pick = h("div", {class: "choice", role: "group", "aria-label": "Step"}, Object.entries(KINDS).map(([name, [label]]) =>
    h("button", {type: "button", class: "toggle", "aria-pressed": String(name === kind), onclick: () => { kind = name; redraw(); }}, label)));
  const filter = filterForm(query, {names: context.seesNames, changed: (next) => { query = next; redraw(); }});
  if (kind !== "propose") tried(get(`library/facets?${query}`)).then((facets) => facets && filter.fill(facets));
  const again = h("label", {class: "check"}, h("input", {type: "checkbox", checked: asking.again, onchange: (event) => { asking.again = event.target.checked; measure(); }}),
    kind === "ask" ? "also pairs that have an answer" : "also pairs that were fitted or decided on");
  return [
    h("h2", {}, "Start a run"), pick, h("p", {class: "sentence"}, KINDS[kind][1]),
    kind === "ask" && models(redraw),
    kind !== "propose" && again,
    size, h("button", {type: "button", class: "primary start", onclick: start}, `Start ${KINDS[kind][2]}`),
    kind !== "propose" && h("details", {open: query.size > 0}, h("summary", {}, "Selection"), filter.node),
  ].filter(Boolean);
}

function models(redraw) {
  const can = data.askers.includes("openai") && context.maySetUp;
  const who = h("select", {onchange: (event) => { asking.asker = event.target.value; redraw(); }},
    h("option", {value: "keypoints", selected: asking.asker === "keypoints"}, "rule of keypoints (no model, no cost)"),
    h("option", {value: "openai", selected: asking.asker === "openai", disabled: !can}, `a model${can ? "" : context.maySetUp ? " (the server has no OPENAI_API_KEY)" : " (admins only)"}`));
  const number = (label, value, set, words) => h("label", {class: "field"}, h("span", {}, label), h("input", {type: "number", min: 0, step: "any", value: value || "", placeholder: words, onchange: (event) => { set(Number(event.target.value) || 0); measure(); }}));
  return h("div", {class: "filters"}, h("label", {class: "field"}, h("span", {}, "Ask"), who),
    asking.asker === "openai" && [
      h("label", {class: "field"}, h("span", {}, "Model, as its server calls it"), h("input", {value: asking.model, maxlength: 200, spellcheck: "false", onchange: (event) => { asking.model = event.target.value.trim(); measure(); }})),
      number("Stop after so many tokens", asking.limit, (value) => { asking.limit = Math.round(value); }, "no limit"),
      number("Price of a million tokens read", asking.price.in, (value) => { asking.price.in = value; }, "not known"),
      number("Price of a million tokens written", asking.price.out, (value) => { asking.price.out = value; }, "not known"),
    ]);
}

/** How much the run would be. */
async function measure() {
  const wanted = new URLSearchParams(query);
  wanted.set("kind", kind);
  if (asking.again) wanted.set("again", "1");
  if (kind === "ask" && asking.asker === "openai" && asking.model) wanted.set("model", asking.model);
  const found = await tried(get(`runs/selection?${wanted}`));
  if (!found) return;
  const {total, estimate} = found;
  const thing = kind === "propose" ? "photograph" : "pair";
  document.querySelector(".start").disabled = !total;
  size.replaceChildren(h("strong", {}, count(total, thing)), estimate
    ? `, about ${tokens(estimate)}${cost(estimate)} – ${estimate.answers ? `as ${count(estimate.answers, "answer")} of this model took` : "a rough guess, until this model has answered"}`
    : kind === "ask" ? ", no cost" : "");
}

const tokens = ({in: read, out}) => `${read.toLocaleString("en")} tokens read, ${out.toLocaleString("en")} written`;
const cost = ({in: read, out}) => (asking.price.in || asking.price.out ? `, costing ${((read * asking.price.in + out * asking.price.out) / 1e6).toFixed(2)}` : "");

async function start() {
  const run = await tried(post("runs/start", {kind, address: query.toString(), ...(kind === "ask" ? {asker: asking.asker, model: asking.model, limit: asking.limit} : {}), again: asking.again}));
  if (!run) return;
  say(`Run ${run.id} has begun.`, "done");
  data.runs.unshift(run);
  draw();
}

async function cancel(run) {
  if (await tried(post("runs/cancel", {run: run.id}))) run.cancelling = true;
  draw();
}

function draw() {
  list.replaceChildren(...(data.runs.length ? data.runs.map(line) : [h("p", {class: "sentence"}, "No run yet. Start one beside this list; it shows here how far it is.")]));
}

function line(run) {
  const running = ["queued", "running"].includes(run.state);
  const ended = run.done + run.failed;
  const left = run.state === "running" && run.started && ended ? remaining(run, ended) : "";
  return h("article", {class: "run-line", "aria-label": `Run ${run.id}`},
    h("div", {class: "row"}, h("strong", {}, `${run.id} · ${NAMES[run.kind]}`), h("span", {class: `state ${run.state}`}, run.cancelling && running ? "stopping …" : STATE[run.state]),
      h("span", {class: "muted name"}, [run.asker && (run.model || "rule of keypoints"), run.curator && `by ${run.curator}`, `${run.queued.replace("T", " ")} UTC`].filter(Boolean).join(" · ")),
      h("span", {class: "grow"}), running && context.mayWrite && h("button", {type: "button", class: "small", disabled: run.cancelling, onclick: () => cancel(run)}, "Cancel")),
    h("div", {class: "row"}, h("span", {class: "progress", role: "progressbar", "aria-valuemin": 0, "aria-valuemax": run.total, "aria-valuenow": ended, "aria-label": `Progress of run ${run.id}`}, h("span", {style: `width:${(100 * ended) / Math.max(1, run.total)}%`})),
      h("span", {}, `${ended.toLocaleString("en")} of ${run.total.toLocaleString("en")}`), run.failed > 0 && h("span", {class: "figure look"}, `${run.failed.toLocaleString("en")} failed`),
      run.tokens.in + run.tokens.out > 0 && h("span", {class: "muted"}, `${tokens(run.tokens)}${cost(run.tokens)}`), left && h("span", {class: "muted"}, left)),
    run.message && h("p", {class: "notice error"}, run.message),
    run.errors.length > 0 && h("details", {open: open.has(run.id), ontoggle: (event) => (event.target.open ? open.add(run.id) : open.delete(run.id))},
      h("summary", {}, `What failed${run.failed > run.errors.length ? `, the first ${run.errors.length}` : ""}`),
      h("ul", {class: "history"}, run.errors.map((each) => h("li", {}, each.pair ? h("a", {href: `pair?id=${each.pair}`}, `pair ${each.pair}`) : h("span", {class: "muted"}, "photograph"),
        h("span", {class: "what"}, h("span", {class: "muted"}, `${each.name}: `), each.message))))));
}

function remaining(run, ended) {
  const seconds = ((Date.now() - Date.parse(`${run.started}Z`)) / 1000 / ended) * (run.total - ended);
  if (!(seconds > 0)) return "";
  return seconds < 90 ? `about ${Math.ceil(seconds / 10) * 10} s left` : seconds < 5400 ? `about ${Math.round(seconds / 60)} min left` : `about ${(seconds / 3600).toFixed(1)} h left`;
}
