// The library: pictures of all pairs, page by page, with filters beside them and actions on those that are chosen.

import {h} from "../dom.js";
import {STATES, filterForm} from "./filters.js";
import {context, count, get, post, say, seen, tried} from "./shell.js";

const ICON = {accepted: "✓", rejected: "✕", flagged: "⚑"};
const DONE = {accept: "accepted", reject: "rejected", flag: "flagged"};

let query = new URLSearchParams(location.search);
let shown = null; // the server's page of pairs
let chosen = new Map(); // pair -> revision as it was shown
let asking = null; // the verdict that waits for its reason
let alone = localStorage.getItem("apu.thumbs") === "alone";
let request = null;
let last = null; // the tile that was chosen last, for ranges

const side = h("aside", {class: "filter-side", "aria-label": "Filter"});
const head = h("div", {class: "list-head"});
const grid = h("ul", {class: "tiles", "aria-label": "Pairs"});
const foot = h("nav", {class: "paging", "aria-label": "Pages of pairs"});
const actions = h("div", {class: "actions", role: "toolbar", "aria-label": "Actions on the chosen pairs", hidden: true});
let form = null;

export function mount(root) {
  root.append(side, h("section", {class: "list", "aria-label": "Library"}, head, grid, actions, foot));
  addEventListener("popstate", () => { query = new URLSearchParams(location.search); fresh(); });
  fresh();
}

/** Draw the filter anew and read the list. */
function fresh() {
  const had = side.contains(document.activeElement) ? document.activeElement.name : null;
  const at = had === "q" ? document.activeElement.selectionStart : null;
  form = filterForm(query, {names: context.seesNames, changed: (next) => go(next)});
  side.replaceChildren(h("h2", {}, "Filter"), form.node);
  if (had) {
    const again = form.node.elements[had];
    again?.focus?.();
    if (at !== null) again.setSelectionRange(at, at);
  }
  tried(get(`library/facets?${listed()}`)).then((facets) => facets && form.fill(facets));
  load();
}

/** Numbers beside states are of the filter without its states. */
function listed() {
  const others = new URLSearchParams(query);
  for (const name of ["state", "page", "order", "seed"]) others.delete(name);
  return others;
}

function go(next) {
  query = next;
  history.pushState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}`);
  fresh();
}

async function load() {
  request?.abort();
  request = new AbortController();
  const mine = request;
  const page = await tried(get(seen(`library/pairs?${query}`), mine.signal));
  if (!page || request !== mine) return;
  shown = page;
  const there = new Map(page.pairs.map((pair) => [pair.id, pair.revision]));
  for (const [id] of chosen) if (there.has(id)) chosen.set(id, there.get(id));
  draw();
}

function draw() {
  const address = query.size ? `?${query}` : "";
  head.replaceChildren(
    h("h1", {}, count(shown.total, "pair")),
    h("span", {class: "muted"}, shown.total === shown.all ? "" : `of ${shown.all.toLocaleString("en")}`),
    h("span", {class: "grow"}),
    views(),
    h("div", {class: "choice", role: "group", "aria-label": "Pictures"},
      choice("Over the photograph", !alone, () => pictures(false)), choice("Meshes alone", alone, () => pictures(true))),
    !context.readOnly && shown.total > 0 && h("a", {class: "quiet", href: `./?${reviewAddress()}`, title: "Open the first of these on the review page"}, "Review these"));
  grid.replaceChildren(...shown.pairs.map(tile));
  if (!shown.pairs.length) grid.replaceChildren(h("li", {class: "sentence none"}, shown.all
    ? "No pair passes this filter. Clear it, or ask for less." : "There are no pairs here yet. Bring in photographs with `apu import`, then start “Propose” on the Runs page."));
  foot.replaceChildren(...paging(address));
  foot.hidden = shown.pages < 2;
  chooseDrawn();
}

const reviewAddress = () => `pair=${shown.pairs[0]?.id ?? ""}`;

const choice = (label, on, act) => h("button", {type: "button", class: "toggle", "aria-pressed": String(on), onclick: act}, label);

function pictures(value) {
  alone = value;
  localStorage.setItem("apu.thumbs", alone ? "alone" : "over");
  draw();
}

function tile(pair) {
  const figure = (value, name) => value && h("span", {class: `figure ${value.band}`, title: `${name}. ${value.help}`}, value.text);
  return h("li", {class: "tile-pair", "data-id": pair.id},
    h("a", {href: `pair?id=${pair.id}`, class: "picture", "aria-label": `Pair ${pair.id}, ${pair.image}, ${STATES[pair.state]}`},
      pair.simulated && h("span", {class: "badge", title: "Made by this program; no real people"}, "simulated"),
      h("img", {src: seen(`thumb/${pair.id}?alone=${alone ? 1 : 0}&v=${pair.revision}-${pair.updated}`), alt: "", loading: "lazy", decoding: "async", width: 320, height: 240})),
    h("div", {class: "words"},
      h("span", {class: "line1"},
        context.mayWrite && !pair.blind && h("input", {type: "checkbox", "aria-label": `Choose pair ${pair.id}`, onclick: (event) => choose(pair.id, event.target.checked, event.shiftKey)}),
        h("span", {class: "muted"}, pair.id), h("span", {class: "name", title: pair.image}, pair.image),
        pair.blind ? h("span", {class: "badge", title: "You are to judge it without a sight of others' work"}, "your review")
          : h("span", {class: `state ${pair.state}`}, ICON[pair.state], ICON[pair.state] && " ", STATES[pair.state])),
      h("span", {class: "line2 muted"}, h("span", {class: "name", title: pair.interaction}, pair.interaction || "not asked"),
        pair.disagrees && h("span", {class: "badge", title: "A blind second review judged otherwise"}, "disagree"),
        figure(pair.error, "Reprojection error"), figure(pair.gap, "Largest gap"))));
}

function views() {
  if (!shown.views.length && !context.mayWrite) return null;
  const open = h("select", {"aria-label": "Saved views", onchange: (event) => event.target.value !== "-" && go(new URLSearchParams(event.target.value))},
    h("option", {value: "-"}, "Saved views"), shown.views.map((view) => h("option", {value: view.address}, `${view.name} – ${view.owner}`)));
  if (!context.mayWrite) return open;
  const name = h("input", {"aria-label": "Name of the view", placeholder: "Name of this view", maxlength: 60, required: true});
  const save = h("form", {class: "row", hidden: true, onsubmit: async (event) => {
    event.preventDefault();
    const answer = await tried(post("library/view", {name: name.value, address: query.toString()}));
    if (!answer) return;
    shown.views = answer.views;
    say(`The view “${name.value}” is saved.`, "done");
    draw();
  }}, name, h("button", {class: "small primary"}, "Save"));
  return h("div", {class: "row"}, open, h("button", {type: "button", class: "quiet", onclick: () => { save.hidden = !save.hidden; name.focus(); }}, "Save view"), save);
}

function paging() {
  const to = (page, label, words) => {
    const next = new URLSearchParams(query);
    if (page > 1) next.set("page", page);
    else next.delete("page");
    const off = page < 1 || page > shown.pages || page === shown.page;
    return h("a", {href: off ? null : `library?${next}`, class: "step", "aria-label": words, "aria-disabled": off && "true", onclick: (event) => {
      event.preventDefault();
      if (!off) { go(next); grid.scrollTo(0, 0); }
    }}, label);
  };
  const field = h("input", {type: "number", class: "short", min: 1, max: shown.pages, value: shown.page, "aria-label": "Page", onchange: (event) => {
    const next = new URLSearchParams(query);
    next.set("page", Math.min(Math.max(1, Number(event.target.value) || 1), shown.pages));
    go(next);
  }});
  return [to(1, "«", "First page"), to(shown.page - 1, "‹ Back", "Page before"), h("span", {}, "page ", field, ` of ${shown.pages.toLocaleString("en")}`),
    to(shown.page + 1, "Next ›", "Next page"), to(shown.pages, "»", "Last page")];
}

// Choosing and acting ---------------------------------------------------------------------------------------------

function choose(id, on, through) {
  const ids = shown.pairs.map((pair) => pair.id);
  const span = through && last !== null && ids.includes(last) ? ids.slice(Math.min(ids.indexOf(last), ids.indexOf(id)), Math.max(ids.indexOf(last), ids.indexOf(id)) + 1) : [id];
  const revisions = new Map(shown.pairs.filter(({blind}) => !blind).map((pair) => [pair.id, pair.revision]));
  for (const each of span.filter((each) => revisions.has(each))) {
    if (on) chosen.set(each, revisions.get(each));
    else chosen.delete(each);
  }
  last = id;
  chooseDrawn();
}

function chooseDrawn() {
  for (const node of grid.querySelectorAll(".tile-pair")) {
    const on = chosen.has(Number(node.dataset.id));
    node.classList.toggle("chosen", on);
    const box = node.querySelector("input");
    if (box) box.checked = on;
  }
  actions.hidden = !chosen.size;
  if (!chosen.size) { asking = null; return; }
  const verdict = (name, label) => h("button", {type: "button", class: `small ${name}`, onclick: () => (name === "accept" ? decide(name, "") : reasons(name))}, label);
  actions.replaceChildren(
    h("strong", {}, `${chosen.size.toLocaleString("en")} chosen`),
    verdict("accept", "✓ Accept"), verdict("reject", "✕ Reject"), verdict("flag", "⚑ Flag"),
    h("button", {type: "button", class: "small", onclick: fit, title: "Start a run that fits them one after another"}, "Fit"),
    asking && h("span", {class: "row", role: "group", "aria-label": "Reason"}, h("span", {class: "muted"}, asking === "flag" ? "What needs a look?" : "Why?"),
      shown.reasons.map((reason) => h("button", {type: "button", class: "small", onclick: () => decide(asking, reason)}, reason))),
    h("span", {class: "grow"}),
    h("button", {type: "button", class: "small quiet", onclick: () => { for (const pair of shown.pairs) if (!pair.blind) chosen.set(pair.id, pair.revision); chooseDrawn(); }}, "Choose this page"),
    h("button", {type: "button", class: "small quiet", onclick: () => { chosen = new Map(); chooseDrawn(); }}, "Choose none"));
}

function reasons(verdict) {
  asking = verdict;
  chooseDrawn();
  actions.querySelector("[role=group] button")?.focus();
}

async function decide(verdict, reason) {
  const outcome = await tried(post("library/decide", {pairs: Object.fromEntries(chosen), verdict, reason}));
  asking = null;
  if (!outcome) return;
  const number = Object.keys(outcome.done).length;
  chosen = new Map();
  say(`${count(number, "pair")} ${DONE[verdict]}${left(outcome.refused)}`, number ? "done" : "error", number && (() => undo(outcome.done)));
  load();
}

async function undo(pairs) {
  const outcome = await tried(post("library/undo", {pairs}));
  if (!outcome) return;
  say(`${count(Object.keys(outcome.done).length, "pair")} taken back${left(outcome.refused)}`, "done");
  load();
}

/** What was left out, in words: the first reason stands for all. */
function left(refused) {
  const sentences = Object.values(refused);
  return sentences.length ? `; ${sentences.length} left out: ${sentences[0]}.` : ".";
}

async function fit() {
  const run = await tried(post("runs/start", {kind: "fit", pairs: [...chosen.keys()]}));
  if (!run) return;
  chosen = new Map();
  chooseDrawn();
  say(`Run ${run.id} fits ${count(run.total, "pair")}.`, "done", () => tried(post("runs/cancel", {run: run.id})).then(() => say(`Run ${run.id} is cancelled.`, "done")));
}

/** What the keys do here; false where there is nothing to do. */
export function perform(name, event) {
  const here = Number(event.target.closest(".tile-pair")?.dataset.id);
  if (name === "library-find") return form.node.elements.q.focus();
  if (["library-choose", "library-range"].includes(name))
    return here && context.mayWrite ? choose(here, !chosen.has(here), name === "library-range") : false;
  if (name !== "library-none") return move(name.slice("library-".length));
  if (!chosen.size) return false;
  chosen = new Map();
  return chooseDrawn();
}

/** Arrows go from picture to picture. */
function move(way) {
  const links = [...grid.querySelectorAll(".picture")];
  if (!links.length) return false;
  const at = links.indexOf(document.activeElement);
  if (at < 0) return links[0].focus();
  const row = Math.max(1, links.findIndex((link) => link.offsetTop > links[0].offsetTop));
  const by = {left: -1, right: 1, up: -row, down: row}[way];
  return links[Math.min(Math.max(at + by, 0), links.length - 1)].focus();
}
