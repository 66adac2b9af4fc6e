// The tour: on a first visit to simulated pairs, a small card leads through the loop beside the controls themselves.

import {button, h, hint, replace} from "./dom.js";
import {change, isRunning, state, subscribe} from "./state.js";

const STORE = "apu.tour"; // "seen": in this browser the tour does not begin by itself again
const [EDGE, GAP] = [8, 12];

/** What the curator has done so far, as far as the tour asks for it. */
const standing = ({screen: {pair, queue}, selected, fan}) => ({
  pair: pair.id, selected, fan: fan.open, fits: pair.fits, decisions: queue.today,
  contacts: pair.contacts.map((line) => `${line.words} ${line.dropped}`).join(),
});

/** Where the card stands, on which side of it, what it says, and when the curator has done it. */
const STOPS = [
  {at: "#photo .canvas", side: "right", words: () => "Every pair asks one question: do these bodies touch as in the photograph?"},
  {
    at: ".lines .line.chosen", side: "left",
    words: () => ["Choose a contact: flip ", hint("flip", "F"), " exchanges its left and right, take ", hint("take", "T"), " follows a suggestion."],
    done: (now, was) => now.contacts !== was.contacts || now.selected !== was.selected,
  },
  {
    at: ".fit .run .primary", side: "above", words: () => ["Fit ", hint("fit", "⏎"), " moves both bodies until they touch at these contacts."],
    done: (now, was) => now.fits > was.fits || isRunning(state.live ?? state.screen.pair.job),
  },
  {at: ".fit .figures", side: "above", words: () => "The figures say how well the fit agrees with the photograph and the contacts: ✓\u00a0good, !\u00a0look\u00a0again, ✕\u00a0bad."},
  {
    at: `.fit [data-act="fan"], .fit .run:not(:has([data-act="fan"]))`, side: "above",
    words: () => ["Not convinced? Alternatives ", hint("fan", "E"), " fits the other likely readings; a digit takes one."],
    done: (now, was) => now.fan && !was.fan,
  },
  {
    at: ".decide .verdicts", side: "above",
    words: () => ["Accept ", hint("accept", "A"), " what is right, reject ", hint("reject", "R"), " what is not, flag ", hint("flag", "G"), " what somebody should look at; the next pair follows."],
    done: (now, was) => now.decisions > was.decisions,
  },
];

let at = null; // the stop that is shown; null: no tour
let was = null; // how things stood when it came up
let card = null;
let ring = null; // around the control that the card is about
let words = null;
let buttons = null;

/** Put the card, hidden, into an element, and begin where this is a first visit. */
export function mount(root) {
  words = h("p", {role: "status"});
  buttons = h("div", {class: "tools"});
  ring = h("div", {class: "tour-ring", hidden: true});
  card = h("section", {class: "tour", hidden: true, "aria-label": "Tour", role: "region"}, words, buttons);
  root.replaceChildren(ring, card);
  for (const event of ["resize", "scroll"]) addEventListener(event, () => at !== null && place(), {capture: true, passive: true});
  let first = true;
  subscribe(({screen}) => {
    const wanted = first && isWanted(screen);
    first = false;
    if (wanted) begin();
    follow();
  });
}

/** Asked for in the address, or a person's first visit to a pair that is simulated. */
function isWanted({pair, review, mayWrite}) {
  const url = new URL(location.href);
  const named = url.searchParams.has("tour");
  if (named) {
    url.searchParams.delete("tour");
    history.replaceState(history.state, "", url);
  }
  const first = pair?.simulated && !navigator.webdriver && !localStorage.getItem(STORE);
  return Boolean(pair && !review && mayWrite && (named || first));
}

export const isOpen = () => at !== null;

export function begin() {
  [at, was] = [0, standing(state)];
  draw();
  change({tab: "photo"}); // a small screen may hide what the first card stands beside
}

export function next() {
  if (!isOpen()) return;
  if (card.contains(document.activeElement)) document.activeElement.blur(); // the keys that the card names act on the page
  [at, was] = [at + 1, standing(state)];
  if (at === STOPS.length) end();
  else draw();
}

export function end() {
  at = null;
  localStorage.setItem(STORE, "seen");
  draw();
}

/** Go on to where the curator is: whoever does a later thing first needs no card about an earlier one. */
function follow() {
  if (!isOpen() || !state.screen.pair) return isOpen() && end();
  const now = standing(state);
  const done = STOPS.findLastIndex((stop, index) => index >= at && stop.done?.(now, was));
  if (done >= 0) {
    at = done;
    next();
  } else if (now.pair !== was.pair) was = now;
  requestAnimationFrame(place); // once the panels are drawn
}

function draw() {
  card.hidden = ring.hidden = !isOpen();
  if (!isOpen()) return;
  const last = at === STOPS.length - 1;
  replace(words, STOPS[at].words());
  replace(buttons, h("span", {class: "muted"}, `${at + 1} of ${STOPS.length}`),
    h("button", {type: "button", class: "small quiet", "data-act": "tour-end"}, "Skip", hint("cancel", "Esc")), button("tour-next", last ? "Done" : "Next", ".", {class: "small"}));
  place();
}

/** Beside the control, on the wanted side or the next where the card fits without covering it. */
function place() {
  if (!isOpen()) return;
  const control = document.querySelector(STOPS[at].at);
  const target = control?.getBoundingClientRect();
  const seen = Boolean(target?.width);
  ring.hidden = !seen;
  const [width, height] = [card.offsetWidth, card.offsetHeight];
  const within = (value, size, whole) => Math.max(EDGE, Math.min(value, whole - size - EDGE));
  const move = (left, top) => Object.assign(card.style, {left: `${left}px`, top: `${top}px`});
  if (!seen) return move(EDGE, innerHeight - height - EDGE);
  Object.assign(ring.style, {left: `${target.left}px`, top: `${target.top}px`, width: `${target.width}px`, height: `${target.height}px`});
  const [x, y] = [within(target.left, width, innerWidth), within(target.top, height, innerHeight)];
  const sides = {
    above: [x, control.closest(".panel").getBoundingClientRect().top - height - GAP], left: [target.left - width - GAP, y],
    right: [target.right + GAP, y], below: [x, target.bottom + GAP],
  };
  const fits = ([left, top]) => left === within(left, width, innerWidth) && top === within(top, height, innerHeight);
  move(...[sides[STOPS[at].side], ...Object.values(sides)].find(fits) ?? sides.above);
}

/** The way back to it, at the foot of the list of keys. */
export const again = () => button("tour", "Show the tour", null, {class: "small"});
