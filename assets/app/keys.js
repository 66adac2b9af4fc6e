// One list of actions: each has a name, keys and words; buttons and the keyboard find it here.

import {add, cancel as cancelAdding} from "./adder.js";
import {leaveBy, next, previous} from "./ahead.js";
import {step} from "./contacts.js";
import {because, decide, isAsking, stopAsking} from "./decide.js";
import * as decisions from "./decisions.js";
import {h} from "./dom.js";
import * as fan from "./fan.js";
import {chooseChip} from "./fit.js";
import {theme} from "./header.js";
import {zoom} from "./photo.js";
import * as queue from "./queue.js";
import {act, change, isAsked, isRunning, look, pair, selected, state} from "./state.js";

const edit = (name, values = {}) => () => selected() && act(name, {contact: state.selected, ...values});
const layer = (name) => () => change({layers: {...state.layers, [name]: !state.layers[name]}});
const view = (name) => () => change({view: name, tab: "meshes"});
const person = (index) => () => change({people: state.people.map((shown, each) => (each === index ? !shown : shown))});
const tab = (name) => () => change({tab: name});

function compare() {
  const on = !state.compare.on && pair().fitList.length > 1;
  change({compare: {...state.compare, on}, layers: {...state.layers, wipe: on}});
}

const running = () => isRunning(state.live ?? pair()?.job);

function fit() {
  if (state.adding) return add();
  const job = state.live ?? pair()?.job;
  if (isRunning(job) && !job.outdated && !pair().job?.outdated) return;
  change({mesh: "fit"});
  act("fit");
}

function escape() {
  if (state.adding) cancelAdding();
  else if (decisions.isOpen()) decisions.close();
  else if (queue.isOpen()) queue.toggle(false);
  else if (isAsking()) stopAsking();
  else if (fan.isOpen() && !pair().fan.running) fan.close();
  else if (running() || isAsked("fit")) act("cancel");
}

/** Name -> [keys as in `KeyboardEvent`, words for the list, what to do]. */
const ACTIONS = {
  up: ["ArrowUp", "the contact above", () => step(-1)],
  down: ["ArrowDown", "the contact below", () => step(1)],
  flip: ["f", "flip the contact: both sides", edit("flip")],
  "flip-a": ["1", "flip A's side only", edit("flip-side", {person: 0})],
  "flip-b": ["2", "flip B's side only", edit("flip-side", {person: 1})],
  take: ["t", "take the suggested sides", (contact) => contact ? act("take", {contact}) : selected()?.suggestion && act("take", {contact: state.selected})],
  "take-all": ["F", "take every suggestion", () => act("take")],
  drop: ["x", "drop or restore the contact", () => selected() && act(selected().dropped ? "restore" : "drop", {contact: state.selected})],
  add: ["n", "add a contact", add],
  "mirror-a": ["m a", "mirror A: left and right in every contact", () => act("mirror", {person: 0})],
  "mirror-b": ["m b", "mirror B", () => act("mirror", {person: 1})],
  swap: ["s", "swap the two people", () => act("swap")],
  undo: ["u", "undo the latest change", () => act("undo")],
  fit: ["Enter", "fit or refit", fit],
  afresh: ["shift Enter", "fit from the start, not from the last fit", () => act("afresh")],
  fan: ["e", "alternatives; then a digit takes one", fan.open],
  cancel: ["Escape", "stop the fit", escape],
  accept: ["a", "accept", () => decide("accept")],
  reject: ["r", "reject, then a reason's digit (again: without)", () => decide("reject")],
  flag: ["g", "flag, then a reason's digit (again: without)", () => decide("flag")],
  next: [" ", "next pair without deciding", next],
  previous: ["Backspace", "back", previous],
  skip: ["l", "later: put the pair aside", () => leaveBy("skip", {}, {sure: true})],
  decisions: ["z", "your latest decisions; again: take the latest back", decisions.open],
  queue: ["q", "the queue: filters, order, pairs", () => queue.toggle()],
  find: ["/", "search the queue", queue.find],
  points: ["k", "keypoints on or off", layer("points")],
  lines: ["c", "contact lines on or off", layer("lines")],
  mesh: ["o", "meshes over the photograph", layer("mesh")],
  wipe: ["w", "before / after", layer("wipe")],
  compare: ["v", "compare two fits", compare],
  "zoom-in": ["+", "zoom the photograph in", () => zoom(1.25)],
  "zoom-out": ["-", "zoom out", () => zoom(0.8)],
  "zoom-all": ["0", "the whole photograph", () => zoom(0)],
  photo: ["shift 1", "3D from the photograph's camera", view("photo")],
  front: ["shift 2", "from the front", view("front")],
  side: ["shift 3", "from the side", view("side")],
  top: ["shift 4", "from above", view("top")],
  heat: ["h", "how deep bodies reach into each other", () => change({heat: !state.heat})],
  "person-a": ["A", "show or hide A in 3D", person(0)],
  "person-b": ["B", "show or hide B in 3D", person(1)],
  tab: ["d", "photograph or meshes, on a small screen", () => change({tab: state.tab === "photo" ? "meshes" : "photo"})],
  keys: ["?", "this list", () => toggleList()],
  pages: ["p", "then R L I S U: review, library, insights, study, runs", null], // heard by nav.js
  start: [null, null, () => change({mesh: "start"})],
  fitted: [null, null, () => change({mesh: "fit"})],
  "tab-photo": [null, null, tab("photo")],
  "tab-meshes": [null, null, tab("meshes")],
  theme: [null, null, () => theme.toggle()],
  "apply-mine": [null, null, (conflict) => act("settle", {conflict, apply: true})],
  "keep-theirs": [null, null, (conflict) => act("settle", {conflict, apply: false})],
  reason: [null, null, because],
  open: [null, null, (id) => look({pair: id})],
  "take-back": [null, null, decisions.takeBack],
  "decisions-close": [null, null, decisions.close],
  "come-back": [null, null, queue.comeBack],
  review: [null, null, () => { queue.toggle(false); act("review", {pair: undefined, review: undefined}); }],
  "leave-review": [null, null, () => look({})],
  "take-contacts": [null, null, (review) => act("take-contacts", {take: review})],
  pick: [null, null, (id) => fan.pick({id})],
  "fan-close": [null, null, fan.close],
  chip: [null, null, chooseChip],
  "restart-worker": [null, null, () => act("restart-worker")],
};

/** What somebody may do who may only look. */
const LOOKING = new Set([
  "up", "down", "next", "previous", "queue", "find", "open", "theme", "keys", "pages", "start", "fitted", "tab-photo", "tab-meshes",
  "points", "lines", "mesh", "wipe", "compare", "zoom-in", "zoom-out", "zoom-all", "photo", "front", "side", "top", "heat", "person-a", "person-b", "tab",
]);

const forbidden = new CSSStyleSheet();
forbidden.replaceSync(`body.looks .apu :is(.adder, [data-act]${[...LOOKING].map((name) => `:not([data-act="${name}"])`).join("")}) { display: none !important; }`);
document.adoptedStyleSheets.push(forbidden);

/** Take away what a viewer may not do. */
export const hideForbidden = ({screen: {mayWrite}}) => document.body.classList.toggle("looks", !mayWrite);

const GROUPS = {
  Contacts: ["up", "down", "flip", "flip-a", "flip-b", "take", "take-all", "drop", "add", "mirror-a", "mirror-b", "swap", "undo"],
  "Fit and decide": ["fit", "afresh", "fan", "cancel", "accept", "reject", "flag", "next", "previous", "skip", "decisions", "queue", "find"],
  "Look": ["points", "lines", "mesh", "wipe", "compare", "zoom-in", "zoom-out", "zoom-all", "photo", "front", "side", "top", "heat", "person-a", "person-b", "tab", "pages", "keys"],
};

const NAMES = {
  ArrowUp: "↑", ArrowDown: "↓", F: "⇧F", A: "⇧A", B: "⇧B", Enter: "⏎", Escape: "Esc", " ": "Space", Backspace: "⌫",
  "shift Enter": "⇧⏎", "shift 1": "⇧1", "shift 2": "⇧2", "shift 3": "⇧3", "shift 4": "⇧4", "m a": "M A", "m b": "M B",
};

let prefix = "";
let list = null;

export function mount(root) {
  const toggle = h("input", {type: "checkbox", onchange: () => {
    localStorage.setItem("apu.keys", toggle.checked ? "on" : "off");
    change({keys: toggle.checked});
  }});
  toggle.checked = state.keys;
  list = h("aside", {class: "keys", hidden: true, "aria-label": "Keys"},
    h("div", {class: "head"}, h("h2", {}, "Keys"), h("label", {}, toggle, "single keys act"),
      h("button", {type: "button", class: "quiet", "data-act": "keys"}, "Close")),
    Object.entries(GROUPS).map(([title, names]) => h("dl", {}, h("dt", {class: "title"}, title), names.map((name) =>
      [h("dt", {}, h("kbd", {}, NAMES[ACTIONS[name][0]] ?? ACTIONS[name][0].toUpperCase())), h("dd", {}, ACTIONS[name][1])]))));
  root.replaceChildren(list);
}

function toggleList() {
  list.hidden = !list.hidden;
}

function perform(name, id) {
  if (!state.screen?.mayWrite && !LOOKING.has(name)) return;
  if (state.screen?.pair || name === "keys" || name === "theme") ACTIONS[name][2](id);
}

const typing = (target) => target.closest("input:not([type=range],[type=checkbox]), textarea, select, [contenteditable]");
const pressing = (event) => ["Enter", " "].includes(event.key) && event.target.closest("button, a, input:not([type=range])");

function pressed(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return null;
  const digit = /^Digit([1-9])$/.exec(event.code)?.[1];
  if (decisions.isOpen() && (digit || event.code === "Digit0")) return () => decisions.takeBack(Number(digit ?? 10));
  if (isAsking() && digit && !event.shiftKey) return () => because(Number(digit) - 1);
  if (fan.isOpen() && digit && !event.shiftKey) return () => fan.pick({digit: Number(digit)});
  const key = event.shiftKey && event.key === "Enter" ? "shift Enter" : event.shiftKey && digit ? `shift ${digit}` : prefix + event.key;
  prefix = "";
  if (key === "m") {
    prefix = "m ";
    return () => {};
  }
  const found = Object.entries(ACTIONS).find(([, [keys]]) => keys === key || (key.length === 1 && keys === key.toLowerCase() && !event.shiftKey));
  return found ? () => perform(found[0]) : null;
}

/** The one keyboard listener; text fields and focused buttons keep their own keys. */
export function listen() {
  document.addEventListener("keydown", (event) => {
    if (!(event.target instanceof Element)) return;
    if (event.key === "Escape" && typing(event.target)) return event.target.blur();
    if (typing(event.target) || pressing(event)) return;
    if (!state.keys && event.key !== "?" && event.key !== "Escape") return;
    const action = pressed(event);
    if (!action) return;
    event.preventDefault();
    action();
  });
  document.addEventListener("click", (event) => {
    const target = event.target.closest?.("button");
    if (!target) return;
    if (target.dataset.act) perform(target.dataset.act, target.dataset.id && Number(target.dataset.id));
    if (event.detail > 0) target.blur(); // after a click by mouse the keys act again
  });
}
