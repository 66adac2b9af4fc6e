// The fan: the likeliest readings of the contacts, each fitted and ranked; a digit takes one with its contacts and fit.

import {h, hint, personBadge, replace} from "./dom.js";
import {act, change, curator, onMove, pair, queue, state} from "./state.js";

const VIEWS = ["front", "side"];

export function mount(root) {
  const list = h("div", {class: "alternatives", role: "list", "aria-label": "Alternatives, best first"});
  const words = h("p", {class: "sentence", role: "status"});
  root.replaceChildren(h("section", {class: "panel fan", "aria-label": "Alternatives"},
    h("div", {class: "head"}, h("h2", {}, "Alternatives"), h("span", {class: "muted"}, "best first, by image and fit"),
      h("div", {class: "tools"}, h("button", {type: "button", class: "quiet", "data-act": "fan-close"}, "Close", hint("cancel", "Esc")))),
    words, list));
  const peek = (id) => state.peek?.id !== id && change({peek: alternatives().find((each) => each.id === id) ?? null});
  const idOf = (event) => Number(event.target.closest(".alternative")?.dataset.id) || null;
  list.addEventListener("pointerover", (event) => peek(idOf(event)));
  list.addEventListener("pointerleave", () => peek(null));
  list.addEventListener("focusin", (event) => peek(idOf(event)));
  list.addEventListener("focusout", () => peek(null));
  return ({screen: {pair: now}, fan: {open}, live}) => {
    const shown = open && Boolean(now);
    root.firstChild.hidden = !shown;
    root.closest("#fan")?.classList.toggle("open", shown);
    if (!shown) return;
    const found = live?.fan ?? now.fan;
    replace(list, ...now.fan.alternatives.map(card));
    words.hidden = now.fan.alternatives.length > 0;
    replace(words, found.sentence || "Asking for alternatives.",
      found.running && h("span", {class: "progress"}, h("span", {style: `width:${100 * found.fraction}%`})));
  };
}

function card({id, digit, words, stands, taken, chance, figures, stills}) {
  const bad = figures.filter(({band}) => band === "bad").length;
  const tone = bad ? "bad" : figures.some(({band}) => band === "look again") ? "look" : "good";
  const said = `${digit}: ${words}. ${figures.map(({label, person, text, unit, band}) => [label, person === null ? "" : "AB"[person], text, unit, band].filter(Boolean).join(" ")).join(", ")}`;
  return h("div", {class: "entry", role: "listitem", "data-id": id},
    h("button", {type: "button", class: `alternative${taken ? " taken" : ""}`, "data-act": "pick", "data-id": id, "aria-label": said, "aria-pressed": taken && "true", title: "Take these contacts with their fit"},
      h("kbd", {}, digit),
      VIEWS.map((view) => h("img", {src: stills[view], alt: "", loading: "eager"})),
      h("span", {class: "what"},
        h("span", {class: stands ? "words muted" : "words"}, words.slice(0, 1).toUpperCase() + words.slice(1), taken && h("span", {class: "mark"}, "✓ taken")),
        h("span", {class: "numbers"}, figures.map(figure)),
        h("span", {class: "muted chance", title: "Probability of these contacts by the keypoints and first meshes alone, before any fit"}, `${chance} % by the image`, h("span", {class: `tone ${tone}`}, {good: "✓ good fit", look: "! look again", bad: "✕ bad fit"}[tone])))));
}

const SHORT = {reprojection: "", "largest gap": "gap", "deepest inside": "inside"};

const figure = ({label, person, text, unit, help}) =>
  h("span", {class: "number", title: `${label}: ${help}`}, person === null ? SHORT[label] : personBadge(person), " ", text, unit && ` ${unit}`);

const alternatives = () => pair()?.fan?.alternatives ?? [];

export const isOpen = () => state.fan.open && Boolean(pair());

/** Show the alternatives, and have them fitted where there are none. */
export function open() {
  if (isOpen()) return close();
  if (state.screen.review || pair().noMesh) return;
  change({fan: {open: true}});
  if (!pair().fan.id) act("fan", {saves: false});
}

export function close() {
  change({fan: {open: false}, peek: null});
}

/** Take the alternative under a digit, or by its number. */
export function pick({digit, id}) {
  const chosen = alternatives().find((each) => (digit ? each.digit === digit : each.id === id));
  if (!chosen) return;
  change({fan: {open: false}, peek: null, mesh: "fit"});
  if (!chosen.taken) act("pick", {alternative: chosen.id});
}

/** Whether fans are prepared for what comes next, in this browser. */
export function setAhead(on) {
  localStorage.setItem("apu.ahead", on ? "on" : "off");
  change({ahead: on});
  if (on && pair()) prepare(pair());
}

async function prepare(now) {
  if (!state.ahead) return;
  const query = new URLSearchParams(queue());
  query.set("as", curator());
  await fetch(`fans/${now.id}?${query}`, {method: "POST"}).catch(() => null);
}

// A fan that is ready stands open when its pair comes up; what is prepared meanwhile is for this pair and the next ones.
onMove((now, {review, mayWrite}) => {
  const ready = Boolean(state.ahead && now?.fan?.id && now.fan.alternatives.every(({taken}) => !taken) && !now.decision);
  change({fan: {open: ready}, peek: null});
  if (now && !now.noMesh && mayWrite && !review) prepare(now);
});
