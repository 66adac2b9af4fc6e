// The fit: start and stop it, follow it, and read how good it is.

import {BAND_ICON, button, h, personBadge, replace, s} from "./dom.js";
import {setAhead} from "./fan.js";
import {act, change, curator, isRunning, pair, state} from "./state.js";

const WATCH_MS = 150;
const IDLE_MS = 3000;

export function mount(root) {
  const run = h("div", {class: "run"});
  const options = h("div", {class: "options"},
    option("refit", "Refit after every edit", (on) => { localStorage.setItem("apu.refit", on ? "on" : "off"); change({refit: on}); }),
    option("ahead", "Prepare alternatives", setAhead));
  const chips = h("div", {class: "chips", role: "group", "aria-label": "Fits of this pair"});
  const curves = h("div", {class: "curves"});
  const figures = h("div", {class: "figures"});
  root.replaceChildren(h("section", {class: "panel fit", "aria-label": "Fit"}, run, options, figures, chips, curves));
  let drawn = null;
  return (state) => {
    const {screen, live} = state;
    const {pair: now} = screen;
    root.firstChild.hidden = !now;
    if (!now) return;
    if (drawn !== screen && (isRunning(now.job) || now.fan.running)) follow();
    drawn = screen;
    const running = isRunning(live ?? now.job);
    const job = (live || now.job) && {...(live ?? now.job), outdated: live?.outdated || now.job?.outdated};
    replace(run, ...buttons(now, job, running),
      h("div", {class: "words"}, h("span", {role: "status"}, running && job.outdated ? "The contacts have changed since this fit began." : live?.sentence ?? now.fitSentence),
        running && h("span", {class: "progress"}, h("span", {style: `width:${100 * (job.fraction ?? 0)}%`}))));
    for (const box of options.querySelectorAll("input")) box.checked = state[box.name];
    figures.classList.toggle("past", running || now.stale);
    replace(figures, ...now.figures.map(figure));
    replace(chips, ...(now.fits > 0 ? now.fitList.map((each, index) => chip(each, index === now.fitList.length - 1, state)) : []));
    const terms = (running && job.terms) || now.terms;
    const known = Object.keys(terms).filter((name) => name !== "given_up" || terms[name].some(Boolean));
    known.sort((a, b) => NAMES.indexOf(a) - NAMES.indexOf(b)); // the same place while running and after
    replace(curves, ...known.map((name) => curve(name, terms[name])));
  };
}

const option = (name, label, set) => h("label", {}, h("input", {type: "checkbox", name, onchange: (event) => set(event.target.checked)}), label);

function buttons(now, job, running) {
  const small = (action, label, key, title) => button(action, label, key, {class: "small", title});
  if (running && !job.outdated)
    return [button("cancel", job.cancelling ? "Stopping …" : "Cancel", "Esc", {class: "primary", disabled: job.cancelling})];
  const main = now.action ?? {act: "fit", label: running || now.fitted ? "Refit" : "Fit", key: "⏎"};
  return [
    button(main.act, main.label, main.key || null, {class: "primary"}),
    h("div", {class: "more"},
      running && small("cancel", "Cancel", "Esc", "Stop the fit"),
      now.noMesh && small("flag", "Flag this pair", "G", "Nothing can be fitted to: let somebody look at its detections"),
      !now.noMesh && small("fan", now.fan.id ? "Alternatives ready" : "Alternatives", "E", "Fit the likeliest other readings of the contacts"),
      !running && now.fitted && main.act === "fit" && small("afresh", "Afresh", "⇧⏎", "Fit from the start instead of from the last fit")),
  ];
}

/** A fit of the history: choosing one compares it with the current. */
function chip({id, number, words, figures, stale}, current, {compare, mesh}) {
  const worst = ["bad", "look again", "good"].find((band) => figures.some((each) => each.band === band));
  const pressed = compare.on ? compare.left === id : current && mesh === "fit";
  const name = number === 0 ? "start" : String(number);
  return h("button", {type: "button", class: `chip ${worst?.replace(" ", "-") ?? ""}`, "data-act": "chip", "data-id": id, "aria-pressed": String(pressed), title: `${words}${stale ? "; the contacts have changed since" : ""}. ${current ? "Show it." : "Compare it with the current fit."}`},
    name, current && number > 0 && h("span", {class: "muted"}, stale ? "stale" : "current"));
}

export function chooseChip(id) {
  const all = pair().fitList;
  if (id === all.at(-1).id) change({compare: {...state.compare, on: false}, mesh: "fit", layers: {...state.layers, wipe: false}});
  else change({compare: {on: true, left: id, right: null}});
}

function figure({label, person, text, unit, band, help}) {
  return h("div", {class: `tile ${(band ?? "none").replace(" ", "-")}`, title: help, tabindex: "-1"},
    h("span", {class: "label"}, label, person !== null && personBadge(person)),
    h("span", {class: "value"}, text, unit && h("span", {class: "unit"}, unit)),
    h("span", {class: "band"}, band ? `${BAND_ICON[band]} ${band}` : "not fitted"));
}

/** Terms of the fit's objective: what they are called here, and what they measure. */
const TERMS = {
  keypoints: ["keypoints", "how far the bodies' joints are from the detected ones in the image"],
  contact: ["contacts", "how far the parts that should touch are apart"],
  penetration: ["inside", "how deep the bodies are inside each other"],
  floor: ["floor", "how far feet are above or below one floor"],
  balance: ["balance", "how far the bodies' weight is from above their feet"],
  initial_pose: ["pose", "how far joints have turned from the first guess"],
  pose_mixture: ["likely pose", "how unusual the poses are"],
  joint_limits: ["joints", "how far joints are bent beyond what they can"],
  shape: ["shape", "how unusual the bodies' shapes are"],
  place: ["place", "how far the bodies have moved from the first guess"],
  given_up: ["given up", "the price of contacts done without, limbs turned otherwise in depth than first guessed, sides exchanged, somebody carried"],
};
const NAMES = Object.keys(TERMS);

function curve(name, values) {
  const [width, height] = [84, 34];
  const [words, meaning] = TERMS[name] ?? [name.replaceAll("_", " "), "a term of the objective"];
  const top = Math.max(...values, 1e-12);
  const points = values.map((value, index) =>
    `${((index / Math.max(values.length - 1, 1)) * width).toFixed(1)},${(height - (Math.max(value, 0) / top) * (height - 2)).toFixed(1)}`);
  const last = values.at(-1) ?? 0;
  return h("figure", {class: "curve", title: `${meaning}: ${values.length} steps, now ${last.toPrecision(3)}`},
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
      const reply = await fetch(`live/${watched.id}?as=${encodeURIComponent(curator())}`, {cache: "no-store"});
      const told = reply.ok ? await reply.json() : null;
      if (turn === latest && told) hear(told, watched);
    } catch {
      // The server is away; the next action says so.
    }
  }
  if (turn === latest) timer = setTimeout(follow, isRunning(state.live ?? pair()?.job) || pair()?.fan.running ? WATCH_MS : IDLE_MS);
}

let timer = 0;
let latest = 0; // a later question makes the answers to earlier ones worthless

/** The last state of a running fit stays until the page has its result. */
function hear({job, fan, revision, fits, worker}, watched) {
  const now = pair();
  if (watched.id !== now?.id) return;
  const running = isRunning(job);
  const ended = !running && isRunning(state.live ?? now.job);
  if (running) change({live: {...job, fan}});
  else if (fan.running) change({screen: {...state.screen, pair: {...now, fan}}});
  const fanned = fan.id !== now.fan.id || (now.fan.running && !fan.running);
  const outdated = ended || fanned || revision > now.revision || fits !== now.fits || worker !== now.worker;
  if (outdated && !state.saving) act("refresh");
}
