// One list of actions: buttons and the keyboard find each by its name.

import {add, cancel as cancelAdding} from "./adder.js";
import {leaveBy, next, previous} from "./ahead.js";
import {step} from "./contacts.js";
import {because, decide, isAsking, stopAsking} from "./decide.js";
import * as decisions from "./decisions.js";
import * as fan from "./fan.js";
import {chooseChip} from "./fit.js";
import {theme} from "./header.js";
import * as keylist from "./keylist.js";
import {listen as listenTo} from "./keymap.js";
import {goTo} from "./nav.js";
import {zoom} from "./photo.js";
import * as queue from "./queue.js";
import {act, change, isAsked, isRunning, look, pair, selected, state} from "./state.js";
import * as tour from "./tour.js";

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
  if (keylist.isOpen()) keylist.toggle(false);
  else if (state.adding) cancelAdding();
  else if (decisions.isOpen()) decisions.close();
  else if (queue.isOpen()) queue.toggle(false);
  else if (isAsking()) stopAsking();
  else if (fan.isOpen() && !pair().fan.running) fan.close();
  else if (running() || isAsked("fit")) act("cancel");
  else if (tour.isOpen()) tour.end();
}

/** What each action does; the keys of those that have one are in keymap.js. */
const ACTIONS = {
  up: () => step(-1),
  down: () => step(1),
  flip: edit("flip"),
  "flip-a": edit("flip-side", {person: 0}),
  "flip-b": edit("flip-side", {person: 1}),
  take: (contact) => contact ? act("take", {contact}) : selected()?.suggestion && act("take", {contact: state.selected}),
  "take-all": () => act("take"),
  drop: () => selected() && act(selected().dropped ? "restore" : "drop", {contact: state.selected}),
  add,
  "mirror-a": () => act("mirror", {person: 0}),
  "mirror-b": () => act("mirror", {person: 1}),
  swap: () => act("swap"),
  undo: () => act("undo"),
  fit,
  afresh: () => act("afresh"),
  fan: fan.open,
  cancel: escape,
  accept: () => decide("accept"),
  reject: () => decide("reject"),
  flag: () => decide("flag"),
  next,
  previous,
  skip: () => leaveBy("skip", {}, {sure: true}),
  decisions: decisions.open,
  queue: () => queue.toggle(),
  find: queue.find,
  points: layer("points"),
  lines: layer("lines"),
  mesh: layer("mesh"),
  wipe: layer("wipe"),
  compare,
  "zoom-in": () => zoom(1.25),
  "zoom-out": () => zoom(0.8),
  "zoom-all": () => zoom(0),
  photo: view("photo"),
  front: view("front"),
  side: view("side"),
  top: view("top"),
  heat: () => change({heat: !state.heat}),
  "person-a": person(0),
  "person-b": person(1),
  tab: () => change({tab: state.tab === "photo" ? "meshes" : "photo"}),
  keys: () => keylist.toggle(),
  start: () => change({mesh: "start"}),
  fitted: () => change({mesh: "fit"}),
  "tab-photo": tab("photo"),
  "tab-meshes": tab("meshes"),
  theme: () => theme.toggle(),
  "apply-mine": (conflict) => act("settle", {conflict, apply: true}),
  "keep-theirs": (conflict) => act("settle", {conflict, apply: false}),
  reason: because,
  open: (id) => look({pair: id}),
  "take-back": decisions.takeBack,
  "decisions-close": decisions.close,
  "come-back": queue.comeBack,
  review: () => { queue.toggle(false); act("review", {pair: undefined, review: undefined}); },
  "leave-review": () => look({}),
  "take-contacts": (review) => act("take-contacts", {take: review}),
  pick: (id) => fan.pick({id}),
  "fan-close": fan.close,
  chip: chooseChip,
  tour: () => { keylist.toggle(false); tour.begin(); },
  "tour-next": tour.next,
  "tour-end": tour.end,
  "restart-worker": () => act("restart-worker"),
};

/** What somebody may do who may only look. */
const LOOKING = new Set([
  "up", "down", "next", "previous", "queue", "find", "open", "theme", "keys", "start", "fitted", "tab-photo", "tab-meshes",
  "points", "lines", "mesh", "wipe", "compare", "zoom-in", "zoom-out", "zoom-all", "photo", "front", "side", "top", "heat", "person-a", "person-b", "tab",
]);

const forbidden = new CSSStyleSheet();
forbidden.replaceSync(`body.looks .apu :is(.adder, [data-act]${[...LOOKING].map((name) => `:not([data-act="${name}"])`).join("")}) { display: none !important; }`);
document.adoptedStyleSheets.push(forbidden);

/** Take away what a viewer may not do. */
export const hideForbidden = ({screen: {mayWrite}}) => document.body.classList.toggle("looks", !mayWrite);

export function mount(root) {
  keylist.mount(root, {page: "review", foot: () => state.screen?.mayWrite && tour.again(), allowed});
}

/** Whether who looks may do an action. */
const allowed = (name) => name.startsWith("go-") || LOOKING.has(name) || Boolean(state.screen?.mayWrite);

/** Do an action, of something that has a number where it needs one. */
function perform(name, id) {
  if (name.startsWith("go-")) return goTo(name.slice(3));
  if (!allowed(name)) return;
  if (state.screen?.pair || name === "keys" || name === "theme") ACTIONS[name](id);
}

/** Digits choose from what stands open, before they are anything else. */
function choose(event) {
  const digit = /^Digit([0-9])$/.exec(event.code)?.[1];
  if (digit === undefined) return false;
  if (decisions.isOpen()) decisions.takeBack(Number(digit) || 10);
  else if (digit === "0" || event.shiftKey) return false;
  else if (isAsking()) because(Number(digit) - 1);
  else if (fan.isOpen()) fan.pick({digit: Number(digit)});
  else return false;
  return true;
}

/** The keyboard and every button that names an action. */
export function listen() {
  listenTo("review", (name) => perform(name), choose);
  document.addEventListener("click", (event) => {
    const target = event.target.closest?.("button");
    if (!target) return;
    if (target.dataset.act) perform(target.dataset.act, target.dataset.id && Number(target.dataset.id));
    if (event.detail > 0) target.blur(); // after a click by mouse the keys act again
  });
}
