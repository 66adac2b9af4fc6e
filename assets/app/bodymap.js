// Two small people, front and back, whose parts can be pointed at: they show where the contacts are and add new ones.

import {PERSON, h, personBadge, s} from "./dom.js";
import {choosePart} from "./adder.js";
import {change, lit, state} from "./state.js";

const WIDTH = 100;
const HEIGHT = 206;

/** Half a body, the half with the larger x; mirrored for the other. Corners in a box of WIDTH x HEIGHT. */
const LIMBS = {
  neck: "50,29 55,28 56,34 59,36 50,38",
  shoulder: "58.5,37.5 66,37 72,41.5 74,48 66.5,51 63,44",
  "upper arm": "67,52.5 74.5,49.5 79,69 72.5,71.5",
  elbow: "73,73 79.4,70.8 81,78 75,80",
  forearm: "75.6,81.6 81.4,79.8 85.6,99 80.8,100.6",
  hand: "81,102.2 86,100.6 90,108 89,117 84.6,118 82,111",
  waist: "50,90 63.6,84 67.5,97 67.6,102 57,104 50,109",
  thigh: "50.9,111 57.6,105.6 67.8,103.6 66.6,140 54.6,141",
  knee: "54.7,142.6 66.5,141.6 65.4,153 55.4,153.4",
  leg: "55.5,155 65.3,154.6 62.8,187 57.2,187.6",
  foot: "57.2,189.2 62.8,188.6 68,196.6 66,199.6 56.6,199.6",
};
const TRUNK = {
  front: {head: "50,2 57,3.6 61.4,9 62,15.5 56.5,12 50,11", face: "50,12.6 56,13.6 61.6,17.4 60,23 55,27.4 50,28.4",
    chest: "50,39.5 57.6,38.4 62.2,45.4 65.6,51.6 64.8,64 57,66.6 50,64.6", stomach: "50,66.4 57,68.4 64.7,65.8 63.6,82.2 50,88.2"},
  back: {head: "50,2 57,3.6 61.4,9 62,16 60,23 55,27.4 50,28.4",
    back: "50,39.5 57.6,38.4 62.2,45.4 65.6,51.6 64.8,64 63.6,82.2 50,88.2"},
};
const WHOLE = {"upper arm": "arm", elbow: "arm", forearm: "arm", thigh: "leg", knee: "leg", face: "head"};
const WITHIN = {arm: ["upper arm", "elbow", "forearm"], leg: ["thigh", "knee", "leg"], head: ["head", "face"]};

/** One person's map; `draw` shows the contacts on it. */
function map(person) {
  const parts = [];
  const figures = ["front", "back"].map((view) => {
    const shapes = Object.entries({...TRUNK[view], ...LIMBS}).flatMap(([name, corners]) =>
      ["left", "right"].map((side) => shape(person, view, name, side, corners)));
    parts.push(...shapes);
    return s("svg", {class: "figure-map", viewBox: `6 0 88 ${HEIGHT}`, role: "group", "aria-label": `${PERSON[person]} from the ${view}`}, shapes,
      s("text", {class: "view-name", x: 50, y: HEIGHT - 0.5, "text-anchor": "middle"}, view));
  });
  parts[0].setAttribute("tabindex", "0");
  const node = h("div", {class: "map", role: "group", "aria-label": `Body map of person ${PERSON[person]}`}, personBadge(person), figures);
  node.addEventListener("click", (event) => pick(event.target));
  node.addEventListener("pointerover", (event) => event.pointerType !== "touch" && aim(event.target));
  node.addEventListener("pointerleave", () => state.pointed && change({pointed: null}));
  node.addEventListener("focusin", (event) => {
    for (const part of parts) part.setAttribute("tabindex", part === event.target ? "0" : "-1");
    if (event.target.matches(":focus-visible")) aim(event.target);
  });
  node.addEventListener("focusout", () => state.pointed && change({pointed: null}));
  node.addEventListener("keydown", (event) => press(event, parts));
  return {node, draw: (now) => paint(parts, person, now)};
}

/** From the front their left is at the viewer's right. */
function shape(person, view, name, side, corners) {
  const mirrored = (side === "left") !== (view === "front");
  const points = mirrored ? corners.replace(/(\S+),/g, (_, x) => `${(WIDTH - x).toFixed(1)},`) : corners;
  const words = `${PERSON[person]}'s ${side} ${name}`;
  return s("polygon", {points, class: "part", tabindex: -1, role: "button", "aria-label": words, "data-person": person, "data-part": name, "data-side": side},
    s("title", {}, WHOLE[name] ? `${words}; again: ${WHOLE[name] === "head" ? "head" : `whole ${WHOLE[name]}`}` : words));
}

const partOf = (node) => node.closest?.(".part");

function pick(target) {
  const {person, part, side} = partOf(target)?.dataset ?? {};
  if (part) choosePart(Number(person), [part, WHOLE[part]].filter(Boolean).map((name) => ({name, side})));
}

function aim(target) {
  const {person, part, side} = partOf(target)?.dataset ?? {};
  change({pointed: part ? {person: Number(person), name: part, side} : null});
}

/** Enter or space picks, arrows go to the nearest part that way; other keys are the page's. */
function press(event, parts) {
  const [dx, dy] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key] ?? [0, 0];
  const picks = ["Enter", " "].includes(event.key) && partOf(event.target);
  if ((!dx && !dy && !picks) || (event.key === "Enter" && state.adding?.every(Boolean))) return;
  event.preventDefault();
  event.stopPropagation();
  if (picks) return pick(event.target);
  const middle = (node) => {
    const {left, right, top, bottom} = node.getBoundingClientRect();
    return [(left + right) / 2, (top + bottom) / 2];
  };
  const [x, y] = middle(event.target);
  const cost = (node) => {
    const [along, aside] = ((to) => [(to[0] - x) * dx + (to[1] - y) * dy, Math.abs((to[0] - x) * dy) + Math.abs((to[1] - y) * dx)])(middle(node));
    return along > 1 ? along + 2 * aside : Infinity;
  };
  const best = parts.reduce((found, node) => (cost(node) < cost(found) ? node : found), event.target);
  if (cost(best) < Infinity) best.focus();
}

const covers = (part, name, side) =>
  part && (part.name === name || WITHIN[part.name]?.includes(name)) && (part.side === "both" || part.side === side);

function paint(parts, person, now) {
  const lines = now.screen.pair?.contacts.filter((line) => !line.dropped) ?? [];
  const bright = lit(now);
  for (const node of parts) {
    const {part: name, side} = node.dataset;
    const here = lines.filter((line) => covers(line.parts[person], name, side));
    const strong = here.find((line) => line.id === bright);
    const added = covers(now.adding?.[person], name, side) && now.adding[person];
    const shown = added || (strong ?? here[0])?.parts[person];
    const pointed = now.pointed?.person === person && covers(now.pointed, name, side);
    const classes = ["part", shown?.side, shown && !added && !strong && (bright !== null || now.adding) && "dim", strong && "lit", added && "added", pointed && "pointed"];
    node.setAttribute("class", classes.filter(Boolean).join(" "));
    node.setAttribute("aria-pressed", String(Boolean(added)));
  }
}

/** Both people's maps. */
export function mount() {
  const maps = [0, 1].map(map);
  return {node: h("div", {class: "maps"}, maps.map(({node}) => node)), draw: (now) => maps.forEach(({draw}) => draw(now))};
}
