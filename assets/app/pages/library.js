// The library: pictures of all pairs, page by page, with filters beside them and actions on those that are chosen.

import {h} from "../dom.js";
import {filterForm} from "./filters.js";
import * as gallery from "./gallery.js";
import {context, count, get, post, say, seen, tried} from "./shell.js";

const ICON = {accepted: "✓", rejected: "✕", flagged: "⚑"};
const VERB = {accept: "Accept", reject: "Reject", flag: "Flag", fit: "Fit"};
const DOING = {accept: "Accepting", reject: "Rejecting", flag: "Flagging"};
const DONE = {accept: "accepted", reject: "rejected", flag: "flagged"};
const STATES = context.words.states;
const BATCH = 50; // chosen pairs in one request: others save in between

let query = new URLSearchParams(location.search);
let shown = null; // the server's page of pairs
let chosen = new Map(); // pair -> revision as it was shown
let matching = null; // {address, total, at}: all that pass this filter are chosen, not only those of `chosen`
let asking = null; // {verdict, reason}: what waits for its reason (null) or, of all that match, for a word
let working = null; // {words, gone, total, stop} while many are decided on
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

const filterOf = (address) => [...address].filter(([name]) => !["page", "order", "seed"].includes(name)).join("&");

function go(next) {
  if (filterOf(next) !== filterOf(query)) matching = asking = null;
  query = next;
  history.pushState(null, "", `${location.pathname}${query.size ? `?${query}` : ""}`);
  fresh();
}

async function load() {
  request?.abort();
  gallery.load([]); // what is asked for now comes first
  request = new AbortController();
  const mine = request;
  const page = await tried(get(seen(`library/pairs?${query}`), mine.signal));
  if (!page || request !== mine) return;
  shown = page;
  const there = new Map(page.pairs.map((pair) => [pair.id, pair.revision]));
  for (const [id] of chosen) if (there.has(id)) chosen.set(id, there.get(id));
  draw();
  grid.dataset.turn = Number(grid.dataset.turn ?? 0) + 1; // whoever waits for the list waits for this
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
    !context.readOnly && shown.total > 0 && h("a", {class: "quiet", href: `./?${reviewAddress()}`, title: "Work them off on the review page, with this filter and order"}, "Review these"));
  grid.replaceChildren(...shown.pairs.map(tile));
  gallery.load(grid.querySelectorAll("img"));
  if (!shown.pairs.length) grid.replaceChildren(h("li", {class: "sentence none"}, shown.all
    ? "No pair passes this filter. Clear it, or ask for less." : "There are no pairs here yet. Bring in photographs with `apu import`, then start “Propose” on the Runs page."));
  foot.replaceChildren(...paging(address));
  foot.hidden = shown.pages < 2;
  chooseDrawn();
}

const reviewAddress = () => [shown.queue, `pair=${shown.pairs[0]?.id ?? ""}`].filter(Boolean).join("&");

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
      h("img", {"data-src": seen(`thumb/${pair.id}?alone=${alone ? 1 : 0}&v=${pair.revision}-${pair.updated}`), alt: "", decoding: "async", width: 320, height: 240})),
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
  const revisions = new Map(open().map((pair) => [pair.id, pair.revision]));
  if (matching) chosen = new Map(revisions); // of all that match, those of this page stay
  matching = null;
  for (const each of span.filter((each) => revisions.has(each))) {
    if (on) chosen.set(each, revisions.get(each));
    else chosen.delete(each);
  }
  last = id;
  chooseDrawn();
}

function choosePage() {
  matching = null;
  for (const pair of open()) chosen.set(pair.id, pair.revision);
  chooseDrawn();
}

/** All that pass the filter, on every page, as the server counted them. */
function chooseMatching() {
  const address = new URLSearchParams(query);
  for (const name of ["page", "order", "seed"]) address.delete(name);
  matching = {address: address.toString(), total: shown.open, at: shown.at};
  chooseDrawn();
}

function chooseNone() {
  [chosen, matching, asking] = [new Map(), null, null];
  chooseDrawn();
}

/** Those of this page that may be chosen. */
const open = () => shown.pairs.filter(({blind}) => !blind);

const isPageChosen = () => open().length > 0 && open().every(({id}) => chosen.has(id));

/** "which match this filter", or nothing where there is none. */
const thatMatch = (address) => (address ? " that match this filter" : "");

function chooseDrawn() {
  for (const node of grid.querySelectorAll(".tile-pair")) {
    const box = node.querySelector("input");
    const on = Boolean(box) && (Boolean(matching) || chosen.has(Number(node.dataset.id)));
    node.classList.toggle("chosen", on);
    if (box) box.checked = on;
  }
  actions.hidden = !chosen.size && !matching;
  if (actions.hidden) { asking = null; return; }
  const had = actions.contains(document.activeElement) ? document.activeElement.dataset.part : null;
  actions.replaceChildren(...(working ? underWay() : asking ? question() : choices()).flat(Infinity).filter(Boolean));
  if (had) (actions.querySelector(`[data-part="${had}"]`) ?? actions.querySelector("button"))?.focus();
}

const act = (part, label, onclick, props = {}) => h("button", {type: "button", "data-part": part, onclick, ...props, class: `small ${props.class ?? ""}`}, label);

const number = () => (matching ? matching.total : chosen.size);

function choices() {
  const more = !matching && isPageChosen() && shown.open > chosen.size;
  return [
    h("strong", {}, matching ? `All ${matching.total.toLocaleString("en")}${thatMatch(matching.address)}` : `${chosen.size.toLocaleString("en")} chosen`),
    more && act("matching", `Choose all ${shown.open.toLocaleString("en")}${thatMatch(filterOf(query))}`, chooseMatching),
    act("accept", "✓ Accept", () => ask("accept"), {class: "accept"}), act("reject", "✕ Reject", () => ask("reject"), {class: "reject"}),
    act("flag", "⚑ Flag", () => ask("flag"), {class: "flag"}),
    act("fit", "Fit", () => ask("fit"), {title: "Start a run that fits them one after another"}),
    h("span", {class: "grow"}),
    !isPageChosen() && act("page", "Choose this page", choosePage, {class: "quiet"}),
    act("none", "Choose none", chooseNone, {class: "quiet"})];
}

/** What has to be said before it is done: a reason, and for all that match that they are so many. */
function question() {
  const leave = act("leave", "Leave it", () => { asking = null; chooseDrawn(); }, {class: "quiet"});
  if (asking.reason === null)
    return [h("strong", {}, `${VERB[asking.verdict]} ${count(number(), "pair")}`),
      h("span", {class: "row", role: "group", "aria-label": "Reason"}, h("span", {class: "muted"}, asking.verdict === "flag" ? "What needs a look?" : "Why?"),
        shown.reasons.map((reason) => act(`reason ${reason}`, reason, () => { asking.reason = reason; goOn(); }))), h("span", {class: "grow"}), leave];
  const what = `${VERB[asking.verdict]} ${count(number(), "pair")}`;
  return [h("strong", {role: "alert"}, `${VERB[asking.verdict]} all ${count(number(), "pair")}${thatMatch(matching.address)}${asking.reason ? ` as “${asking.reason}”` : ""}?`),
    act("sure", what, () => carryOut(), {class: "primary"}), h("span", {class: "grow"}), leave];
}

const underWay = () => [
  h("strong", {role: "status"}, `${working.words}: ${working.gone.toLocaleString("en")} of ${count(working.total, "pair")}`),
  h("span", {class: "progress", role: "img", "aria-label": "How far it is"}, h("span", {style: `width:${(100 * working.gone) / Math.max(1, working.total)}%`})),
  act("stop", "Stop", () => { working.stop = true; })];

function ask(verdict) {
  if (working) return;
  asking = {verdict, reason: ["accept", "fit"].includes(verdict) ? "" : null};
  goOn();
}

/** Ask the next question, or do it: one who has chosen each pair is not asked again. */
function goOn() {
  if (asking.reason !== null && !matching) return carryOut();
  chooseDrawn();
  actions.querySelector("button")?.focus();
}

async function carryOut() {
  const {verdict, reason} = asking;
  asking = null;
  if (verdict === "fit") return fit();
  const [done, refused] = [new Map(), []];
  working = {words: DOING[verdict], gone: 0, total: number(), stop: false};
  const trouble = await (matching ? decideMatching : decideChosen)({verdict, reason}, (outcome) => {
    for (const [id, revision] of Object.entries(outcome.done)) done.set(id, revision);
    refused.push(...Object.values(outcome.refused));
    working.gone = done.size + refused.length;
    chooseDrawn();
  });
  const {total, stop} = working;
  const lost = matching && !stop && !trouble ? total - done.size - refused.length : 0;
  for (let each = 0; each < lost; each += 1) refused.push("no longer matches the filter");
  working = null;
  if (!trouble) [chosen, matching] = [new Map(), null];
  const said = `${count(done.size, "pair")} ${DONE[verdict]}${stop ? `, then stopped` : ""}${left(refused)}${trouble ? ` ${trouble}` : ""}`;
  say(said, done.size && !trouble ? "done" : "error", done.size > 0 && (() => undo(done)));
  load();
}

/** Batch after batch as the server finds them; gives the sentence of what went wrong. */
async function decideMatching(values, told) {
  const {address, at} = matching;
  for (let after = 0; after !== null && !working.stop;) {
    const outcome = await post("library/decide-matching", {address, at, after, ...values}).catch((error) => error);
    if (outcome instanceof Error) return outcome.message;
    told(outcome);
    after = outcome.last;
  }
  return "";
}

async function decideChosen(values, told) {
  for (const pairs of batches([...chosen])) {
    if (working.stop) return "";
    const outcome = await post("library/decide", {pairs, ...values}).catch((error) => error);
    if (outcome instanceof Error) return outcome.message;
    told(outcome);
  }
  return "";
}

async function undo(done) {
  const [back, refused] = [[], []];
  for (const pairs of batches([...done])) {
    const outcome = await tried(post("library/undo", {pairs}));
    if (!outcome) return;
    back.push(...Object.keys(outcome.done));
    refused.push(...Object.values(outcome.refused));
  }
  say(`${count(back.length, "pair")} taken back${left(refused)}`, "done");
  load();
}

const batches = (entries) => Array.from({length: Math.ceil(entries.length / BATCH)}, (_, index) =>
  Object.fromEntries(entries.slice(index * BATCH, (index + 1) * BATCH)));

/** What was left out and why, in one sentence, the most frequent reason first. */
function left(refused) {
  if (!refused.length) return ".";
  const reasons = new Map();
  for (const sentence of refused) {
    const reason = sentence.replace(/^pair \d+ /, "").split(";")[0];
    reasons.set(reason, (reasons.get(reason) ?? 0) + 1);
  }
  const most = [...reasons].sort(([, a], [, b]) => b - a);
  const words = most.slice(0, 3).map(([reason, times]) => `${times.toLocaleString("en")} ${reason}`);
  return `; ${refused.length.toLocaleString("en")} left out: ${words.join(", ")}${most.length > 3 ? ", and others" : ""}.`;
}

async function fit() {
  const what = matching ? {address: matching.address, again: true} : {pairs: [...chosen.keys()]};
  const run = await tried(post("runs/start", {kind: "fit", ...what}));
  if (!run) return chooseDrawn();
  chooseNone();
  say(`Run ${run.id} fits ${count(run.total, "pair")}.`, "done", () => tried(post("runs/cancel", {run: run.id})).then(() => say(`Run ${run.id} is cancelled.`, "done")));
}

/** The actions of those who may change something. */
export const writes = new Set(["library-choose", "library-range", "library-page", "library-none"]);

/** What the keys do here; false where there is nothing to do. */
export function perform(name, event) {
  const here = Number(event.target.closest(".tile-pair")?.dataset.id);
  if (name === "library-find") return form.node.elements.q.focus();
  if (["library-choose", "library-range"].includes(name))
    return here && context.mayWrite ? choose(here, !(matching || chosen.has(here)), name === "library-range") : false;
  if (name === "library-page") return context.mayWrite && shown?.open ? (isPageChosen() ? chooseMatching() : choosePage()) : false;
  if (name !== "library-none") return move(name.slice("library-".length));
  if (actions.hidden || working) return false;
  return chooseNone();
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
