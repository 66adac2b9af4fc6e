// The drawer of the queue: what to work off and in which order, the pairs themselves, saved views, what waits.

import {readyPair} from "./ahead.js";
import {drawFilters} from "./filters.js";
import {h, hint} from "./dom.js";
import {list} from "./queuelist.js";
import {act, ask, change, chooseQueue, curator, look, pair, queue, state} from "./state.js";

const TYPING_MS = 150;

let drawer = null;
let counts = null; // what the server counted for `shown`
let shown = null; // the query that is drawn
let trouble = "";
let teamOpen = false;
let agreed = null; // how far curators agree, once somebody wants to know
let lines = null;
let search = null;
let typing = 0;

export function mount(root) {
  search = h("input", {type: "search", "aria-label": "Search the queue", placeholder: "File, action or interaction", maxlength: 200, spellcheck: "false"});
  const order = h("select", {"aria-label": "Order"});
  const seed = h("input", {class: "seed", type: "number", min: 0, max: 999999, step: 1, "aria-label": "Seed of the order by chance", title: "The same number gives the same order"});
  const filters = h("div", {class: "filters"});
  lines = list(open);
  drawer = h("aside", {class: "queue", hidden: true, "aria-label": "Queue"},
    h("div", {class: "find"}, search, order, seed, h("button", {type: "button", class: "quiet", "data-act": "queue"}, "Close", hint("queue", "Q"))),
    filters, lines.node);
  root.replaceChildren(drawer);
  search.addEventListener("input", () => {
    clearTimeout(typing);
    typing = setTimeout(() => set("q", search.value ? [search.value] : []), TYPING_MS);
  });
  search.addEventListener("keydown", (event) => {
    if (event.key === "Enter") lines.openFirst();
    if (event.key === "ArrowDown") lines.focus();
  });
  order.addEventListener("change", () => set("order", order.value === "uncertain" ? [] : [order.value]));
  seed.addEventListener("change", () => set("seed", Number(seed.value) ? [seed.value] : []));
  filters.addEventListener("click", (event) => clicked(event.target.closest("button")));
  filters.addEventListener("change", (event) => changed(event.target));
  filters.addEventListener("submit", (event) => {
    event.preventDefault();
    submitted(event.target);
  });
  filters.addEventListener("toggle", async (event) => {
    teamOpen = event.target.open;
    if (!teamOpen) return;
    agreed = await fetch("agreement", {cache: "no-store"}).then((answer) => (answer.ok ? answer.json() : null), () => null);
    redraw();
  }, true);
  const draw = () => {
    if (drawer.hidden || !counts) return;
    const named = new URLSearchParams(counts.query);
    if (document.activeElement !== search) search.value = named.get("q") ?? "";
    if (!order.options.length) order.append(...counts.orders.map(([value, words]) => h("option", {value}, words)));
    order.value = counts.order;
    seed.hidden = counts.order !== "random";
    if (document.activeElement !== seed) seed.value = counts.seed;
    drawFilters(filters, counts, named, {trouble, mayWrite: state.screen.mayWrite, mayArrange: state.screen.mayArrange, reasons: state.screen.reasons, teamOpen, agreed});
  };
  redraw = draw;
  let here = null;
  return ({screen}) => {
    if (drawer.hidden) return;
    if (shown !== queue()) load();
    if (here !== screen) draw();
    here = screen;
    lines.point(screen.pair?.id);
  };
}

let redraw = () => {};

/** Open or close the drawer. */
export function toggle(open = drawer.hidden) {
  drawer.hidden = !open;
  if (open) load();
  change({});
}

export const isOpen = () => !drawer.hidden;

/** Open the drawer and type into its search. */
export function find() {
  toggle(true);
  search.focus();
  search.select();
}

async function load() {
  const query = (shown = queue());
  const named = new URLSearchParams(query);
  named.set("as", curator());
  const [told] = await Promise.all([
    fetch(`queue/counts?${named}`, {cache: "no-store"}).then((answer) => (answer.ok ? answer.json() : null), () => null),
    lines.load(named, pair()?.id),
  ]);
  if (query !== shown || !told) return;
  counts = told;
  lines.setTotal(told.total);
  redraw();
  Object.assign(drawer.dataset, {shown: query, turn: Number(drawer.dataset.turn ?? 0) + 1}); // whoever waits for the list waits for this
}

/** Give a name of the address other values, and work that queue off from now on. */
function set(name, values) {
  const named = new URLSearchParams(queue());
  named.delete(name);
  for (const value of values) named.append(name, value);
  choose(named.toString());
}

function choose(query) {
  chooseQueue(query);
  load();
  look({pair: pair()?.id, review: state.screen.review?.id});
}

function open(id) {
  toggle(false);
  if (id !== pair()?.id) look({pair: id});
}

function clicked(button) {
  if (!button) return;
  const {name, value, view, remove} = button.dataset;
  if (view !== undefined) return choose(view);
  if (remove !== undefined) return send("view", {name: remove});
  if (name) set(name, pressed(name, value));
}

/** The values of a name after its chip was pressed. */
function pressed(name, value) {
  const named = new URLSearchParams(counts.query);
  if (name === "simulated" || name === "disagrees") return named.get(name) === value ? [] : [value];
  const standing = name === "state" ? states(named) : named.getAll(name);
  const now = standing.includes(value) ? standing.filter((each) => each !== value) : [...standing, value];
  if (name !== "state") return now;
  if (!now.length || now.length === counts.states.length) return ["all"];
  return now;
}

/** The states that are looked at: those named, else those that the queue means without a word. */
export function states(named) {
  const every = counts.states.map(([state]) => state);
  if (named.has("state")) return named.get("state") === "all" ? every : named.getAll("state");
  return named.has("disagrees") || named.has("curator") ? every : every.filter((state) => !["accepted", "rejected", "flagged"].includes(state));
}

function changed(field) {
  const {name, end} = field.dataset;
  if (!name) return;
  if (!end) return set(name, field.value ? [field.value] : []);
  const ends = [...field.closest(".range").querySelectorAll("input")].map((input) => input.value.trim());
  set(name, ends.some(Boolean) ? [ends.join("..")] : []);
}

function submitted(form) {
  if (form.dataset.form === "view") {
    send("view", {name: form.querySelector("input").value, query: queue()});
    form.reset();
  } else {
    const [reasons, share] = [form.querySelector("textarea").value, Number(form.querySelector("input").value) / 100];
    send("arrangement", {reasons: reasons.split("\n").map((text) => text.trim()).filter(Boolean), share});
  }
}

async function send(address, values) {
  const answer = await ask(address, values).catch(() => null);
  trouble = answer?.ok ? "" : (await answer?.json().catch(() => null))?.error ?? "The server did not take this.";
  if (answer?.ok) look({pair: pair()?.id, review: state.screen.review?.id});
  load();
}

/** Take a pair up again that was put aside. */
export const comeBack = (id) => {
  toggle(false);
  act("come-back", {pair: id, then: readyPair() ?? undefined, review: undefined});
};
