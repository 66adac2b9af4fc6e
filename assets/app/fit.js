// The fit: start and stop it, follow it, and read how good it is.

import {button, h, personBadge, replace, s} from "./dom.js";
import {act, change, isRunning, pair, state} from "./state.js";

const WATCH_MS = 300;
const IDLE_MS = 3000;
const ICON = {good: "✓", "look again": "!", bad: "✕"};

export function mount(root) {
  const run = h("div", {class: "run"});
  const curves = h("div", {class: "curves"});
  const figures = h("div", {class: "figures"});
  root.replaceChildren(h("section", {class: "panel fit", "aria-label": "Fit"}, run, figures, curves));
  let drawn = null;
  return ({screen, live}) => {
    const {pair: now} = screen;
    root.firstChild.hidden = !now;
    if (!now) return;
    if (drawn !== screen && isRunning(now.job)) follow();
    drawn = screen;
    const job = live ?? now.job;
    const running = isRunning(job);
    replace(run,
      running
        ? button("cancel", job.cancelling ? "Stopping …" : "Cancel", "Esc", {class: "primary", disabled: job.cancelling})
        : button("fit", now.fitted ? "Refit" : "Fit", "⏎", {class: "primary"}),
      h("div", {class: "words"}, h("span", {role: "status"}, live?.sentence ?? now.fitSentence),
        running && h("span", {class: "progress"}, h("span", {style: `width:${100 * (job.fraction ?? 0)}%`}))));
    figures.classList.toggle("past", running || now.stale);
    replace(figures, ...now.figures.map(figure));
    const terms = Object.entries((running && job.terms) || now.terms);
    replace(curves, ...terms.sort(([a], [b]) => a.localeCompare(b)).map(curve)); // the same place while running and after
  };
}

function figure({label, person, text, unit, band, help}) {
  return h("div", {class: `tile ${(band ?? "none").replace(" ", "-")}`, title: help, tabindex: "-1"},
    h("span", {class: "label"}, label, person !== null && personBadge(person)),
    h("span", {class: "value"}, text, unit && h("span", {class: "unit"}, unit)),
    h("span", {class: "band"}, band ? `${ICON[band]} ${band}` : "not fitted"));
}

/** One term of the objective over the steps, each on its own scale from 0. */
function curve([name, values]) {
  const [width, height] = [84, 34];
  const words = name.replaceAll("_", " ");
  const top = Math.max(...values, 1e-12);
  const points = values.map((value, index) =>
    `${((index / Math.max(values.length - 1, 1)) * width).toFixed(1)},${(height - (Math.max(value, 0) / top) * (height - 2)).toFixed(1)}`);
  const last = values.at(-1) ?? 0;
  return h("figure", {class: "curve", title: `${words}: ${values.length} steps, now ${last.toPrecision(3)}`},
    s("svg", {viewBox: `0 0 ${width} ${height}`, preserveAspectRatio: "none", "aria-hidden": "true"}, s("polyline", {points: points.join(" ")})),
    h("figcaption", {}, words));
}

/** Ask the server how the fit goes: often while one runs, now and then otherwise; the row in the database decides. */
export async function follow() {
  clearTimeout(timer);
  const turn = ++latest;
  const watched = pair();
  if (watched && !document.hidden) {
    try {
      const reply = await fetch(`live/${watched.id}`, {cache: "no-store"});
      const told = reply.ok ? await reply.json() : null;
      if (turn === latest && told) hear(told, watched);
    } catch {
      // The server is away; the next action says so.
    }
  }
  if (turn === latest) timer = setTimeout(follow, isRunning(state.live ?? pair()?.job) ? WATCH_MS : IDLE_MS);
}

let timer = 0;
let latest = 0; // a later question makes the answers to earlier ones worthless

/** The last state of a running fit stays until the page has its result. */
function hear({job, revision, fits, worker}, watched) {
  const now = pair();
  if (watched.id !== now?.id) return;
  const running = isRunning(job);
  const ended = !running && isRunning(state.live ?? now.job);
  if (running) change({live: job});
  const outdated = ended || revision > now.revision || fits !== now.fits || worker !== now.worker;
  if (outdated && !state.saving) act("refresh");
}
