// Insights: what the curators' corrections say about the models, and how far the work is.

import {h} from "../dom.js";
import {bars, days, dots, figure, table} from "./charts.js";
import {count, get, tried} from "./shell.js";

const BY = {model: "Model", prompt: "Prompt", part: "Body part", interaction: "Interaction"};
const MEASURES = {precision: "Precision", recall: "Recall", hallucination: "Hallucination", side_flip: "Side flips"};
const MOST = 20;

let data = null;
let by = "model";
let kinds = "asked";
const choice = {source: "", simulated: ""};
let root = null;

export function mount(main) {
  root = main;
  root.append(h("p", {class: "sentence wait"}, "Comparing the answers with the accepted pairs …"));
  load();
}

async function load() {
  const query = new URLSearchParams(Object.entries(choice).filter(([, value]) => value !== ""));
  const answer = await tried(get(`insights/data?${query}`));
  if (answer) data = answer;
  if (data) draw();
}

function draw() {
  root.replaceChildren(
    h("div", {class: "page-head"}, h("h1", {}, "Insights"),
      h("label", {class: "who"}, "source", pick("source", [["", "all"], ...data.sources.map(({name}) => [name, name || "not named"])])),
      h("label", {class: "who"}, "pictures", pick("simulated", [["", "all"], ["0", "photographs"], ["1", "simulated"]])),
      h("span", {class: "muted"}, "Source and pictures choose what the models are measured on; the counts below are of everything.")),
    h("div", {class: "figures-grid"}, models(), sources(), filter(), interactions(), reviews(), ...pace()));
}

const pick = (name, choices) => h("select", {onchange: (event) => { choice[name] = event.target.value; load(); }},
  choices.map(([value, label]) => h("option", {value, selected: value === choice[name]}, label)));

const toggle = (label, on, act) => h("button", {type: "button", class: "toggle", "aria-pressed": String(on), onclick: act}, label);
const share = ({value, low, high}) => (value === null ? "–" : `${Math.round(100 * value)} % (${Math.round(100 * low)}–${Math.round(100 * high)})`);

function models() {
  const [all] = data.groups.all;
  if (!all?.pairs) return h("section", {class: "wide"}, h("h2", {}, "Models against accepted pairs"),
    h("p", {class: "sentence"}, "No accepted pair has an answer yet, so there is nothing to measure a model by. ", h("a", {href: "./"}, "Accept some pairs"), " and come back."));
  const groups = [...(by === "model" ? [all] : []), ...data.groups[by]];
  const rows = groups.slice(0, MOST).map((group) => ({
    label: (group.name || "not named") + (group.simulated ? " (simulated)" : ""),
    note: count(group.answers, "answer"),
    values: Object.keys(MEASURES).map((name) => ({before: group.before[name], after: group.after[name]})),
  }));
  const node = figure({
    title: "Models against accepted pairs", name: `models-by-${by}`,
    words: `${count(all.pairs, "accepted pair")}, ${count(all.answers, "answer")}; ${all.exchanged} of them meant the other person by A and were read so. Precision: stated contacts that are right. Recall: accepted contacts that were stated right. Hallucination: stated contacts whose parts do not touch. Side flips: of those whose parts touch, on a wrong side. Lines are 95 % intervals; what nobody questioned counts as true, which flatters every model.`,
    chart: dots(rows, Object.values(MEASURES), {label: `Rates by ${BY[by].toLowerCase()}`}),
    table: [[BY[by].toLowerCase(), "pairs", "answers", "exchanged", ...["before", "after"].flatMap((when) => ["right", "flipped", "invented", "missed", ...Object.keys(MEASURES).flatMap((name) => [name, `${name} low`, `${name} high`])].map((name) => `${name} ${when}`))],
      ...groups.map((group) => [group.name, group.pairs, group.answers, group.exchanged, ...["before", "after"].flatMap((when) => {
        const rates = group[when];
        return [rates.right, rates.flipped, rates.invented, rates.missed, ...Object.keys(MEASURES).flatMap((name) => [rates[name].value, rates[name].low, rates[name].high])];
      })])],
  });
  node.classList.add("wide");
  node.querySelector("p").after(h("div", {class: "row"}, h("div", {class: "choice", role: "group", "aria-label": "By"},
    Object.entries(BY).map(([name, label]) => toggle(label, by === name, () => { by = name; draw(); }))),
    h("span", {class: "legend"}, h("span", {class: "key before"}), "before the denoiser", h("span", {class: "key after"}), "after"),
    groups.length > MOST && h("span", {class: "muted"}, `the ${MOST} with most answers of ${groups.length}; all are in the CSV`)));
  return node;
}

function sources() {
  const names = ["source", "images", "candidates", "asked", "fitted", "filter keeps", "accepted", "rejected", "flagged"];
  const row = (each) => [each.name || "not named", each.images, each.candidates, each.asked, each.fitted, each.kept, each.accepted, each.rejected, each.flagged];
  const sum = names.slice(1).map((_, index) => data.sources.reduce((total, each) => total + row(each)[index + 1], 0));
  const rows = [names, ...data.sources.map(row)];
  if (data.sources.length > 1) rows.push(["all", ...sum]);
  const steps = ["images", "candidates", "asked", "fitted", "filter keeps", "accepted"];
  const node = figure({
    title: "From images to accepted pairs", name: "sources", table: rows,
    words: "As in the paper's table of sources: photographs, pairs of people proposed in them, pairs with an answer, with a fit, kept by the automatic filter, accepted by a curator.",
    chart: bars(steps.map((label, index) => ({label, value: sum[index]})), {label: "All sources", names: 96, width: 720}),
  });
  node.append(table(rows.map((each, index) => (index && data.sources[index - 1]?.simulated ? [h("span", {}, each[0], " ", h("span", {class: "badge"}, "simulated")), ...each.slice(1)] : each)), {"aria-label": "Counts by source"}));
  node.classList.add("wide");
  return node;
}

function filter() {
  const {keeps, agrees, kappa, verdicts} = data.filter;
  const pairs = (kept, accepted) => verdicts.find((each) => each.kept === kept && each.accepted === accepted).pairs;
  const rows = [["filter", "accepted", "rejected"], ["keeps", pairs(true, true), pairs(true, false)], ["drops", pairs(false, true), pairs(false, false)]];
  const agreement = agrees.of ? `On ${count(agrees.of, "decided pair")} it agrees with the curators in ${share(agrees)}${kappa === null ? "" : `, Cohen's kappa ${kappa.toFixed(2)}`}.` : "No fitted pair is decided yet, so nobody can say whether curators agree with it.";
  const node = figure({title: "The automatic filter", name: "filter", table: rows,
    words: keeps.of ? `It keeps ${share(keeps)} of ${count(keeps.of, "fitted pair")}: those whose reprojection error is below its limit for both people. ${agreement}`
      : "No pair is fitted yet, so the filter has nothing to say."});
  node.append(table(rows, {"aria-label": "Filter against curators"}));
  return node;
}

function interactions() {
  const found = data.interactions[kinds];
  const rows = found.counts.slice(0, MOST);
  const node = figure({title: "Interactions", name: `interactions-${kinds}`,
    words: found.pairs ? `${count(found.kinds, "kind")} in ${count(found.pairs, "pair")}. Their diversity is ${found.bits.toFixed(2)} bits (Shannon's entropy): as diverse as ${found.effective.toFixed(1)} equally frequent kinds.` : "No such pairs yet.",
    chart: rows.length ? bars(rows.map(({name, pairs}) => ({label: name, value: pairs})), {label: "Pairs by interaction", width: 460}) : null,
    table: [["interaction", "pairs"], ...found.counts.map(({name, pairs}) => [name, pairs]), ...(found.rest ? [["all others", found.rest]] : [])]});
  node.querySelector("p").after(h("div", {class: "choice", role: "group", "aria-label": "Of"},
    toggle("All asked", kinds === "asked", () => { kinds = "asked"; draw(); }), toggle("Accepted", kinds === "accepted", () => { kinds = "accepted"; draw(); })));
  return node;
}

function reviews() {
  const rounded = (value) => (value === null ? "–" : value.toFixed(2));
  const all = data.agreement.at(-1);
  const rows = [["first decision – second review", "pairs", "same verdict", "kappa", "contacts F1", "side flips"], ...data.agreement.filter(({reviews}) => reviews).map((each) =>
    [each.first === "all" ? "all" : `${each.first} – ${each.second}`, each.reviews, share(each.agreed), rounded(each.kappa), rounded(each.f1), rounded(each.side_flips)])];
  const node = figure({title: "Agreement of curators", name: "agreement", table: rows,
    words: all.reviews ? `Blind second reviews against the first decisions: Cohen's kappa on verdicts, F1 of the contacts, and the share of the contacts with the same parts on which a side differs.`
      : "No blind second review is given yet; ask for some on the review page to learn how far curators agree."});
  if (all.reviews) node.append(table(rows, {"aria-label": "Agreement by curators"}));
  return node;
}

function pace() {
  if (!data.pace.length) return [];
  const rows = [["curator", "decisions", "seconds between two"], ...data.pace.map((each) => [each.curator, each.decisions, each.seconds === null ? "–" : Math.round(each.seconds)])];
  const all = {};
  for (const {days: each} of data.pace) for (const [day, number] of Object.entries(each)) all[day] = (all[day] ?? 0) + number;
  const sorted = Object.fromEntries(Object.entries(all).sort(([a], [b]) => a.localeCompare(b)).slice(-60));
  const node = figure({title: "Pace", name: "pace", words: "Decisions by day (UTC), also those that no longer stand; the middle time between two decisions, pauses of more than ten minutes left out.",
    chart: days(sorted, {label: "Decisions by day", width: 460}),
    table: [["curator", "day", "decisions"], ...data.pace.flatMap((each) => Object.entries(each.days).map(([day, number]) => [each.curator, day, number]))]});
  node.append(table(rows, {"aria-label": "Pace by curator"}));
  return [node];
}
