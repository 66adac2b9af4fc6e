// Studies: setting one up, rating without knowing whose meshes they are, and what the ratings say.

import {h, hint} from "../dom.js";
import {show} from "../picture.js";
import {dots, figure, table} from "./charts.js";
import {filterForm} from "./filters.js";
import {context, count, curator, get, post, say, tried} from "./shell.js";

const VIEWS = ["front", "side", "top"];
let root = null;
let study = null; // the one that is rated
let item = null; // {item, pair, done, total}
let since = 0;
let query = new URLSearchParams("state=accepted");

const who = () => `curator=${encodeURIComponent(curator())}`;

export function mount(main) {
  root = main;
  overview();
}

/** The actions of those who may rate. */
export const writes = new Set(["rate-left", "rate-right", "rate-same", "rate-back", "rate-stop"]);

/** What the keys do while somebody rates; false where there is nothing to do. */
export function perform(name) {
  if (!item?.item) return false;
  if (name === "rate-back") back();
  else if (name === "rate-stop") overview();
  else rate(name.slice("rate-".length));
  return true;
}

// The list, and making one ------------------------------------------------------------------------------------------

async function overview() {
  item = null;
  const data = await tried(get(`study/data?${who()}`));
  if (!data) return;
  root.replaceChildren(h("div", {class: "page-head"}, h("h1", {}, "Study"), h("span", {class: "muted"}, "Which of two meshes shows what the photograph shows? Methods stay hidden from those who rate.")),
    h("div", {class: "runs-grid"}, context.maySetUp && setup(data.methods),
      h("section", {class: "block", "aria-label": "Studies"}, h("h2", {}, "Studies"),
        data.studies.length ? data.studies.map(line) : h("p", {class: "sentence"}, context.maySetUp ? "No study yet. Set one up beside this list." : "No study yet. An admin sets one up."))));
}

function line(each) {
  const ready = each.meshes >= each.meshes_needed;
  return h("article", {class: "run-line", "aria-label": `Study ${each.name}`},
    h("div", {class: "row"}, h("strong", {}, each.name), each.closed && h("span", {class: "state"}, "closed"),
      h("span", {class: "muted"}, `${count(each.pairs, "pair")} · ${each.items} shared and checks, ${each.own} own · ${count(each.ratings, "rating")} · ${each.owner}, ${each.made}`), h("span", {class: "grow"}),
      context.mayWrite && !each.closed && h("button", {type: "button", class: "small primary", disabled: each.meshes === 0, onclick: () => begin(each)}, each.done ? "Go on rating" : "Rate"),
      context.maySetUp && h("button", {type: "button", class: "small", onclick: () => results(each)}, "Results"),
      context.maySetUp && !each.closed && h("button", {type: "button", class: "small quiet", onclick: async () => { if (await tried(post("study/close", {study: each.id}))) overview(); }}, "Close")),
    context.maySetUp && h("p", {class: "muted"}, each.methods.join(", ")),
    !ready && h("p", {class: "muted"}, `${each.meshes} of ${each.meshes_needed} meshes are made; `, h("a", {href: "runs"}, "the run"), " goes on by itself."),
    each.todo > 0 && h("p", {class: "muted"}, `You have rated ${each.done} of ${each.todo}.`));
}

function setup(methods) {
  const filter = filterForm(query, {names: context.seesNames, changed: (next) => { query = next; overview(); }});
  tried(get(`library/facets?${query}`)).then((facets) => facets && filter.fill(facets));
  const number = (name, label, value) => h("label", {class: "field"}, h("span", {}, label), h("input", {type: "number", name, min: 0, value, required: true}));
  const form = h("form", {class: "filters", onsubmit: async (event) => {
    event.preventDefault();
    const values = new FormData(form);
    const made = await tried(post("study/create", {name: values.get("name"), address: query.toString(), methods: values.getAll("method"),
      ...Object.fromEntries(["shared", "own", "checks", "seed"].map((name) => [name, Number(values.get(name))]))}));
    if (made) { say(`The study is made; run ${made.run} makes its meshes.`, "done"); overview(); }
  }},
    h("label", {class: "field"}, h("span", {}, "Name"), h("input", {name: "name", required: true, maxlength: 100})),
    h("fieldset", {class: "states"}, h("legend", {}, "Methods to compare"), methods.map((name) =>
      h("label", {class: "check"}, h("input", {type: "checkbox", name: "method", value: name, checked: true}), name))),
    number("shared", "Pairs that everybody sees", 10), number("own", "Pairs that each rater has alone", 25), number("checks", "Attention checks (one mesh is obviously wrong)", 3), number("seed", "Seed of order and sides", 1),
    h("button", {class: "primary start"}, "Make the study"));
  return h("section", {class: "block", "aria-label": "Set up a study"}, h("h2", {}, "Set up a study"), form,
    h("details", {open: true}, h("summary", {}, "Pairs to draw from"), filter.node));
}

// Rating --------------------------------------------------------------------------------------------------------------

async function begin(each) {
  study = each;
  shown(await tried(get(`study/next?study=${each.id}&${who()}`)));
}

function shown(next) {
  if (!next) return;
  item = next;
  since = performance.now();
  if (!next.item) {
    item = null;
    root.replaceChildren(h("p", {class: "sentence wait"}, next.total && next.done >= next.total ? `You have rated all ${next.total}. Thank you. ` : "There is nothing more to rate for now. ",
      h("button", {type: "button", onclick: overview}, "To the studies")));
    return;
  }
  root.replaceChildren(h("div", {class: "page-head"}, h("h1", {}, study.name), h("span", {class: "progress", role: "img", "aria-label": `${next.done} of ${next.total} rated`}, h("span", {style: `width:${(100 * next.done) / Math.max(1, next.total)}%`})),
    h("span", {class: "muted"}, `${next.done + 1} of ${next.total}`), h("span", {class: "grow"}), h("button", {type: "button", class: "quiet", onclick: overview}, "Stop for now", hint("rate-stop", "Esc"))),
  h("div", {class: "rating"}, h("div", {class: "rating-photo"}, h("img", {src: `image/${next.pair}`, alt: "The photograph"})),
    side("left", "1"), side("right", "2")),
  h("div", {class: "rating-foot"}, h("p", {class: "muted"}, "Which bodies are more like the people in the photograph, in pose and in where they touch?"),
    h("div", {class: "row"}, h("button", {type: "button", onclick: () => rate("left")}, "Left", hint("rate-left", "1")), h("button", {type: "button", onclick: () => rate("same")}, "The same", hint("rate-same", "S")),
      h("button", {type: "button", onclick: () => rate("right")}, "Right", hint("rate-right", "2")), h("button", {type: "button", class: "quiet", disabled: !next.done, onclick: back}, "Back", hint("rate-back", "⌫")))));
}

function side(name, key) {
  const picture = (view) => {
    const image = h("img", {alt: `The ${name} meshes from the ${view}`});
    show(image, `study/picture/${item.item}/${name}/${view}?${who()}`);
    return image;
  };
  return h("button", {type: "button", class: "rating-side", "aria-label": `Prefer the ${name} meshes`, onclick: () => rate(name)},
    h("span", {class: "caption"}, name === "left" ? "Left" : "Right", hint(`rate-${name}`, key)), picture("front"), h("span", {class: "rating-more"}, VIEWS.slice(1).map(picture)));
}

let busy = false;

async function rate(which) {
  if (busy || !item?.item) return;
  busy = true;
  shown(await tried(post("study/rate", {study: study.id, item: item.item, side: which, seconds: (performance.now() - since) / 1000})));
  busy = false;
}

async function back() {
  if (busy) return;
  busy = true;
  shown(await tried(post("study/back", {study: study.id})));
  busy = false;
}

// Results -------------------------------------------------------------------------------------------------------------

async function results(each) {
  const found = await tried(get(`study/results?study=${each.id}`));
  if (!found) return;
  const percent = ({value, low, high}) => (value === null ? "–" : `${Math.round(100 * value)} % (${Math.round(100 * low)}–${Math.round(100 * high)})`);
  const fixed = (value) => (value === null ? "–" : value.toFixed(2));
  const left = found.raters.filter(({attentive}) => !attentive).length;
  const methods = [["method", "won of its duels", "share of all votes", "SD between raters"], ...found.methods.map((one) => [one.name, percent(one.won), percent(one.votes), one.spread === null ? "–" : `${(100 * one.spread).toFixed(1)} %`])];
  const duels = [["duel", "for the first", "for the second", "the same", "share of the first"], ...found.duels.map((one) => [`${one.a} – ${one.b}`, one.for_a, one.for_b, one.same, percent(one.share)])];
  const raters = [["rater", "ratings", "checks seen", "counted"], ...found.raters.map((one) => [one.name, one.ratings, `${one.checks.count} of ${one.checks.of}`, one.attentive ? "yes" : "no"])];
  const preference = figure({title: "Preference", name: `study-${each.id}-preference`, table: [["method", "won", "duels", "share", "low", "high", "votes", "all votes"], ...found.methods.map((one) => [one.name, one.won.count, one.won.of, one.won.value, one.won.low, one.won.high, one.votes.count, one.votes.of])],
    words: found.methods.length ? "How often each method was preferred where one was, with 95 % intervals; “the same” is no vote." : "Nobody whose answers count has rated yet.",
    chart: found.methods.length ? dots(found.methods.map((one) => ({label: one.name, note: `${one.won.of} duels`, values: [{before: {value: null}, after: one.won}]})), ["Preferred"], {label: "Preference by method", width: 720, words: false}) : null});
  preference.append(table(methods, {"aria-label": "Preference by method"}));
  const block = (title, name, rows, words) => { const node = figure({title, name: `study-${each.id}-${name}`, table: rows, words}); node.append(table(rows, {"aria-label": title})); return node; };
  root.replaceChildren(h("div", {class: "page-head"}, h("h1", {}, `Results of ${each.name}`), h("span", {class: "grow"}), h("button", {type: "button", class: "quiet", onclick: overview}, "To the studies")),
    h("div", {class: "figures-grid"}, Object.assign(preference, {className: "figure-block wide"}),
      block("Duels", "duels", duels, "Every two methods against each other, on the same pairs."),
      block("Raters", "raters", raters, `A rater who sees fewer than ${100 * found.attentive} % of the obviously wrong meshes is not counted${left ? `: ${left} of ${found.raters.length}` : ""}. Agreement on what several rated: Fleiss' kappa ${fixed(found.fleiss)}, mean Cohen's kappa of two ${fixed(found.cohen)}.`),
      block("Every rating", "ratings", found.rows.length ? [Object.keys(found.rows[0]), ...found.rows.map((row) => Object.values(row))].slice(0, found.rows.length + 1) : [["no rating yet"]], "The file has all; keep it with the study's seed.")));
}
