// One pair to read: what it shows, its meshes from all sides, and everything that happened to it.

import {h, personBadge, sideBadge} from "../dom.js";
import {context, get, seen, tried} from "./shell.js";
import {viewer} from "./viewer.js";

const STATES = context.words.states;
const VERDICT = {accept: "accepted", reject: "rejected", flag: "flagged"};

let chosen = null; // id of the fit that is shown; 0 is the start
let pair = null;
let root = null;
const view = viewer();

export function mount(main) {
  root = main;
  load(Number(new URLSearchParams(location.search).get("id")));
  addEventListener("popstate", () => load(Number(new URLSearchParams(location.search).get("id"))));
}

/** What the keys do here; false where there is nothing to do. */
export function perform(name, event) {
  const to = !event.target.closest(".viewer .large") && {"pair-before": pair?.previous, "pair-after": pair?.next}[name];
  return to ? go(to) : false;
}

function go(id) {
  history.pushState(null, "", `pair?id=${id}`);
  load(id);
}

async function load(id) {
  const found = await tried(get(seen(`pair/data?id=${id}`)));
  if (!found) {
    if (!pair) root.replaceChildren(h("p", {class: "sentence wait"}, "There is no such pair. ", h("a", {href: "library"}, "Look in the library.")));
    return;
  }
  pair = found;
  chosen = pair.fits.at(-1).id;
  document.title = `Pair ${pair.id} – ${context.workspace}`;
  draw();
}

function draw() {
  const step = (to, label, words) => h("button", {type: "button", class: "quiet", disabled: !to, "aria-label": words, onclick: () => go(to)}, label);
  root.replaceChildren(
    h("div", {class: "page-head"}, h("h1", {}, `Pair ${pair.id}`), h("span", {class: "muted"}, pair.image),
      pair.blind ? h("span", {class: "badge"}, "your review") : h("span", {class: `state ${pair.state}`}, STATES[pair.state]),
      pair.simulated && h("span", {class: "badge", title: "Made by this program; no real people"}, "simulated"),
      pair.disagrees && h("span", {class: "badge", title: "A blind second review judged otherwise"}, "disagree"),
      h("span", {class: "grow"}),
      step(pair.previous, "‹ Back", "Pair before"), step(pair.next, "Next ›", "Next pair"),
      !context.readOnly && h("a", {href: `./?pair=${pair.id}`}, "Open in review")),
    ...(pair.blind ? [h("p", {class: "sentence apart"}, "You are to judge this pair a second time. What others did with it is shown once your review is given.")] : []),
    h("div", {class: "pair-grid"},
      h("div", {}, meshes(), block("Contacts", contacts()), ...pair.answers.toReversed().map(answer)),
      h("div", {}, block("What happened", happened()), decisions(), reviews(), about())));
}

const block = (title, ...children) => h("section", {class: "block", "aria-label": title}, h("h2", {}, title), ...children);

function meshes() {
  const fit = pair.fits.find(({id}) => id === chosen);
  view.show(pair, fit);
  return block("Photograph and meshes",
    h("div", {class: "fit-choice", role: "group", "aria-label": "Meshes"}, pair.fits.map((each) =>
      h("button", {type: "button", class: "toggle", "aria-pressed": String(each.id === chosen), title: each.words, onclick: () => { chosen = each.id; draw(); }}, each.number ? `Fit ${each.number}` : "Start"))),
    h("div", {class: "pictures"},
      h("div", {class: "photo-stack"}, h("span", {}, h("img", {src: `image/${pair.id}`, alt: `Photograph ${pair.image}`}), fit.overlay && h("img", {src: fit.overlay, alt: ""}))),
      view.node),
    view.tools,
    h("p", {class: "muted"}, fit.words, fit.stale && "; the contacts have changed since"),
    h("div", {class: "figures-row"}, fit.figures.filter(({band}) => band).map((each) =>
      h("span", {class: `figure ${each.band.split(" ")[0]}`, title: each.help}, each.label, each.person !== null && ` ${"AB"[each.person]}`, ` ${each.text} ${each.unit}`, ` – ${each.band}`))));
}

function contacts() {
  if (!pair.contacts.length) return h("p", {class: "sentence"}, "No contact is named.");
  return h("div", {}, pair.contacts.map((line) => h("div", {class: `contact-row ${line.dropped ? "dropped" : ""}`},
    personBadge(0), sideBadge(line.sides[0]), line.parts[0], h("span", {class: "muted"}, "–"), personBadge(1), sideBadge(line.sides[1]), line.parts[1],
    h("span", {class: "number muted"}, line.dropped ? "dropped" : `confidence ${line.confidence.toFixed(2)}`, line.by && `, ${line.by}`))));
}

function answer(said) {
  return block(`Answer of ${said.model}`,
    h("p", {class: "muted"}, [said.stands ? "stands" : "does not stand", said.at, said.prompt && `prompt ${said.prompt}`, said.seconds > 0 && `${said.seconds.toFixed(1)} s`].filter(Boolean).join(" · ")),
    said.status !== "ok" ? h("p", {}, said.message) : [
      h("p", {}, h("strong", {}, said.interaction), said.orientation && ` · ${said.orientation}`),
      said.people.map((words, person) => words && h("p", {}, personBadge(person), " ", words)),
      h("ul", {}, said.contacts.map((each) => h("li", {}, each.words, h("span", {class: "muted"}, ` ${each.confidence.toFixed(2)}${each.doubt ? ` – ${each.doubt}` : ""}`))))],
    h("details", {}, h("summary", {}, "As it came"), h("pre", {tabindex: "0"}, said.raw)));
}

const happened = () => h("ol", {class: "history"}, pair.events.map((event) =>
  h("li", {class: event.undone && "undone"}, h("span", {class: "muted"}, `${event.at.slice(0, 10)} ${event.at.slice(11, 16)}`),
    h("span", {}, h("strong", {}, event.who), " ", h("span", {class: "what"}, event.words), event.undone && h("span", {class: "muted"}, " (taken back)")))));

const verdictLine = (each, more) => h("p", {}, h("span", {class: `verdict ${each.verdict}`}, VERDICT[each.verdict]), ` by ${each.who}, ${each.at.replace("T", " ")} UTC`,
  each.reason && `: ${each.reason}`, each.note && ` “${each.note}”`, h("span", {class: "muted"}, more));

const decisions = () => pair.decisions.length > 0 && block("Decisions", ...pair.decisions.map((each) => verdictLine(each, each.stands ? " · stands" : " · no longer stands")));

const reviews = () => pair.reviews.length > 0 && block("Blind second reviews", ...pair.reviews.flatMap((each) => [
  verdictLine(each, each.settled ? " · settled" : ""), each.contacts.length > 0 && h("p", {class: "muted"}, each.contacts.join("; "))]));

const about = () => block("Photograph", h("p", {class: "muted"}, [`${pair.size[0]} × ${pair.size[1]} px`, pair.source && `source ${pair.source}`, pair.action && `labelled “${pair.action}”`].filter(Boolean).join(" · ")),
  pair.note && h("p", {}, `Note: ${pair.note}`),
  pair.inputs.length > 0 && h("p", {class: "muted"}, pair.inputs.join("; ")), h("p", {class: "muted"}, `SHA-256 ${pair.sha256}`));
