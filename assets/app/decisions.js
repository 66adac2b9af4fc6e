// The curator's latest decisions, and taking them back.

import {h, hint} from "./dom.js";
import {act, change, curator} from "./state.js";

let panel = null;
let found = []; // the latest first

export function mount(root) {
  panel = h("aside", {class: "decisions", hidden: true, "aria-label": "Your latest decisions"});
  root.replaceChildren(panel);
}

export const isOpen = () => !panel.hidden;

/** Show the latest decisions; a second time: take the latest back. */
export async function open() {
  if (isOpen()) return takeBack(1);
  const named = new URLSearchParams({as: curator()});
  found = await fetch(`decisions?${named}`, {cache: "no-store"}).then((answer) => (answer.ok ? answer.json() : []), () => []);
  draw();
  panel.hidden = false;
  (panel.querySelector("li button") ?? panel.querySelector("button")).focus({preventScroll: true});
}

export function close() {
  panel.hidden = true;
}

/** Take back this many, the latest first. */
export function takeBack(last) {
  if (last > found.length) return;
  close();
  act("undo-decisions", {pair: undefined, review: undefined, last});
}

function draw() {
  panel.replaceChildren(
    h("div", {class: "head"}, h("h2", {}, "Your latest decisions"), h("button", {type: "button", class: "quiet", "data-act": "decisions-close"}, "Close", hint("cancel", "Esc"))),
    found.length
      ? h("p", {class: "muted"}, "Take back the latest, or all down to one.")
      : h("p", {class: "sentence"}, "No decision of yours stands."),
    h("ol", {}, found.map((each, index) => h("li", {}, h("button", {type: "button", "data-act": "take-back", "data-id": index + 1, title: each.note},
      index === 0 ? hint("decisions", "Z") : h("kbd", {}, String((index + 1) % 10)), h("span", {class: "what"}, `pair ${each.pair}: ${each.words}`), h("span", {class: "time"}, each.time))))));
  change({});
}
