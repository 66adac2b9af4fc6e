// The answer and its contacts: what the model said, what the keypoints say, what the curator made of it.

import * as adder from "./adder.js";
import * as bodymap from "./bodymap.js";
import {button, h, personBadge, replace, sideBadge} from "./dom.js";
import {drawJudgements} from "./judgements.js";
import {change, pair, state} from "./state.js";

export function mount(root) {
  const told = h("div", {class: "told"});
  const list = h("div", {class: "lines", role: "list", "aria-label": "Contacts"});
  const whole = h("div", {class: "whole"});
  const twice = h("div", {class: "judgements", hidden: true});
  const adding = adder.mount();
  const maps = bodymap.mount();
  root.replaceChildren(h("section", {class: "panel contacts", "aria-label": "Contacts"}, told, twice, list, whole, adding.node, maps.node));
  list.addEventListener("pointerover", (event) => hover(idOf(event)));
  list.addEventListener("pointerleave", () => hover(null));
  list.addEventListener("click", (event) => idOf(event) && change({selected: idOf(event)}));
  let drawn = null;
  return (now) => {
    const {screen, selected, hovered} = now;
    root.firstChild.hidden = !screen.pair;
    if (!screen.pair) return;
    if (drawn?.screen !== screen) {
      replace(told, ...answer(screen.pair));
      drawJudgements(twice, screen);
      replace(whole, ...wholeSheet(screen.pair));
    }
    if (drawn?.screen !== screen || drawn.selected !== selected) {
      list.setAttribute("role", screen.pair.contacts.length ? "list" : "group");
      replace(list, head(), ...screen.pair.contacts.map((line) => row(line, line.id === selected)), empty(screen.pair));
      list.querySelector(".chosen")?.scrollIntoView({block: "nearest"});
    }
    for (const line of list.querySelectorAll(".line")) line.classList.toggle("lit", Number(line.dataset.id) === hovered);
    if (drawn?.hovered !== hovered) list.querySelector(".lit")?.scrollIntoView({block: "nearest"});
    adding.fill(now);
    maps.draw(now);
    drawn = {screen, selected, hovered};
  };
}

const idOf = (event) => Number(event.target.closest(".line")?.dataset.id) || null;

const hover = (id) => id !== state.hovered && change({hovered: id});

function answer({answer: said, swapped}) {
  if (!said.interaction) return [h("p", {class: "sentence"}, said.sentence)];
  const people = said.people.map((text, person) =>
    h("p", {class: "who", title: text}, personBadge(person), h("span", {}, text || "not described")));
  return [
    h("h2", {title: said.interaction}, said.interaction),
    h("p", {class: "muted"}, [said.orientation, said.origin].filter(Boolean).join(" · ")),
    ...people,
    swapped && h("p", {class: "muted"}, "The two people are exchanged against this answer."),
    said.sentence && h("p", {class: "sentence"}, said.sentence),
  ].filter(Boolean);
}

const empty = ({contacts, answer: said}) =>
  !contacts.length && h("p", {class: "sentence"}, said.interaction ? "The model sees no contact. Add one below if there is." : "Contacts can be added by hand below.");

const head = () => h("div", {class: "line head", "aria-hidden": "true"},
  h("span", {}, personBadge(0)), h("span"), h("span", {}, personBadge(1)),
  h("span", {class: "figure", title: "Smallest distance between the two regions in the latest fit"}, "gap"),
  h("span", {class: "figure", title: "How sure the source says it is, 0 to 1"}, "conf."));

function row(line, chosen) {
  const classes = ["line", chosen && "chosen", line.dropped && "dropped", line.was && "changed"].filter(Boolean).join(" ");
  return h("div", {class: classes, role: "listitem", "aria-current": chosen && "true", "data-id": line.id, "aria-label": line.words},
    h("span", {class: "part"}, sideBadge(line.parts[0].side), line.parts[0].name),
    h("span", {class: "touch", "aria-hidden": "true"}, "–"),
    h("span", {class: "part"}, sideBadge(line.parts[1].side), line.parts[1].name),
    h("span", {class: `figure ${line.gap?.band ?? ""}`, title: line.gap?.help ?? "Not in the latest fit"}, line.gap?.text ?? "–"),
    h("span", {class: "figure", title: line.weightHelp}, line.confidence.toFixed(2).replace(/^0/, "")),
    (line.was || line.dropped) && h("span", {class: "note"}, line.dropped ? "dropped" : "was ", !line.dropped && h("s", {}, line.was), line.by && `, by ${line.by}`),
    line.suggestion && h("span", {class: "note suggestion"}, h("span", {}, line.suggestion),
      button("take", "Take", chosen && "T", {class: "small", title: "Take the suggested sides", "data-id": line.id})),
    line.wrong && h("span", {class: "note wrong"}, "✕ ", line.wrong),
    chosen && line.verdict && h("span", {class: "note"}, line.verdict),
    chosen && edits(line));
}

function edits(line) {
  const edit = (action, label, key, title) => button(action, label, key, {class: "small", title});
  return h("span", {class: "edits"}, line.dropped ? edit("drop", "Restore", "X", "Take this contact back in") : [
    edit("flip", "Flip", "F", "Exchange left and right for both people"),
    line.parts[0].side !== "both" && edit("flip-a", "A's side", "1", "Exchange left and right for A only"),
    line.parts[1].side !== "both" && edit("flip-b", "B's side", "2", "Exchange left and right for B only"),
    edit("drop", "Drop", "X", "Strike this contact out; it stays on the list")]);
}

function wholeSheet({contacts, canUndo}) {
  const suggestions = contacts.filter((line) => line.suggestion && !line.dropped).length;
  const small = (action, label, key, title, disabled) => button(action, label, key, {class: "small", title, disabled});
  return [
    small("add", "Add", "N", "Add a contact that the model did not name"),
    small("mirror-a", "Mirror A", "M A", "Exchange left and right of A in every contact"),
    small("mirror-b", "Mirror B", "M B", "Exchange left and right of B in every contact"),
    small("swap", "Swap people", "S", "The answer means the other person: exchange A and B"),
    suggestions > 0 && small("take-all", `Take all ${suggestions}`, "⇧F", "Take every suggestion"),
    small("undo", "Undo", "U", "Take back the latest change", !canUndo),
  ];
}

/** Choose the contact above or below. */
export function step(by) {
  const lines = pair()?.contacts ?? [];
  if (!lines.length) return;
  const index = lines.findIndex((line) => line.id === state.selected);
  change({selected: lines[(index + by + lines.length) % lines.length].id, hovered: null});
}
