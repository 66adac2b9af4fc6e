// The photograph: both people's keypoints, the contacts as lines between parts, the meshes over it.

import {LETTER, PERSON, button, h, replace, s, tabs} from "./dom.js";
import {show} from "./picture.js";
import {change, compared, lit, shown as current, state} from "./state.js";

const MIN_CONFIDENCE = 0.1;
const SOLID_CONFIDENCE = 0.5;
const HEAD = new Set(["nose", "left eye", "right eye", "left ear", "right ear"]);

/** Zoom and pan as an SVG viewBox in pixels of the photograph. */
let view = null;
let wipe = 0.5;
let redraw = () => {};

export function mount(root) {
  const toggle = (name, label, key) => button(name, label, key, {class: "toggle"});
  const opacity = h("input", {
    type: "range", min: 0, max: 100, class: "opacity", "aria-label": "Opacity of the meshes", title: "Opacity of the meshes",
    oninput: () => change({layers: {...state.layers, mesh: true, opacity: opacity.value / 100}}),
  });
  const tools = h("div", {class: "tools"}, toggle("points", "Points", "K"), toggle("lines", "Contacts", "C"),
    toggle("mesh", "Meshes", "O"), opacity, toggle("wipe", "Before / after", "W"));
  const empty = h("p", {class: "sentence empty"});
  const photograph = s("image", {preserveAspectRatio: "none"});
  photograph.addEventListener("missing", () => replace(empty, "The photograph's file is missing or damaged; import it again."));
  const before = s("image", {class: "mesh", preserveAspectRatio: "none", "clip-path": "url(#apu-before)"});
  const after = s("image", {class: "mesh", preserveAspectRatio: "none", "clip-path": "url(#apu-after)"});
  const clips = s("defs");
  const marks = s("g");
  const plot = s("svg", {class: "plot", role: "img", tabindex: 0}, photograph, clips, before, after, marks);
  const foot = h("div", {class: "foot"});
  root.replaceChildren(h("section", {class: "panel photo", "aria-label": "Photograph"},
    h("div", {class: "head"}, tabs("photo"), tools), h("div", {class: "canvas"}, plot, empty), foot));

  let shown = null;
  const draw = () => {
    const {pair} = state.screen ?? {};
    const size = plot.getBoundingClientRect();
    if (!pair || !size.width) return;
    const unit = Math.max(view.width / size.width, view.height / size.height);
    plot.setAttribute("viewBox", [view.x, view.y, view.width, view.height].join(" "));
    for (const image of [photograph, before, after])
      for (const name of ["x", "y", "width", "height"]) image.setAttribute(name, pair.crop[name]);
    show(photograph, pair.crop.url);
    const both = state.layers.wipe ? compared(state) : null;
    show(before, both && both[0].overlay);
    show(after, both ? both[1].overlay : state.layers.mesh ? current(state)?.overlay : null);
    for (const image of [before, after]) image.setAttribute("opacity", state.layers.opacity);
    clips.replaceChildren(...halves(pair.crop, both ? wipe : 0));
    replace(marks,
      state.layers.points && pair.people.map((person, index) => skeleton(person, index, unit)),
      state.layers.lines && contacts(state, unit),
      pair.people.map((person, index) => name(person, index, unit)),
      both && handle(pair.crop, unit, both.map((each) => each.name)));
  };
  redraw = draw;
  new ResizeObserver(draw).observe(plot);
  navigate(plot);
  pointAtContacts(marks);
  return (now) => {
    const {pair} = now.screen;
    plot.toggleAttribute("hidden", !pair);
    tools.hidden = !pair;
    opacity.value = 100 * now.layers.opacity;
    for (const button of tools.querySelectorAll("button")) button.setAttribute("aria-pressed", String(now.layers[button.dataset.act]));
    replace(foot, ...(pair ? [h("span", {class: "name", title: pair.image}, pair.image), h("span", {class: "muted"}, pair.about)] : []));
    if (!pair || shown !== pair.id) replace(empty, now.screen.empty);
    if (!pair) return;
    if (shown !== pair.id) [shown, view] = [pair.id, {...pair.crop}];
    plot.setAttribute("aria-label", `The photograph with both people; ${pair.contacts.length} contacts, listed at the right`);
    draw();
  };
}

function halves({x, y, width, height}, share) {
  const clip = (id, left, size) => s("clipPath", {id}, s("rect", {x: left, y, width: size, height}));
  return [clip("apu-before", x, share * width), clip("apu-after", x + share * width, (1 - share) * width)];
}

function handle(crop, unit, names) {
  const x = crop.x + wipe * crop.width;
  const word = (text, anchor, dx) => s("text", {x: x + dx * unit, y: crop.y + crop.height - 10 * unit, "text-anchor": anchor, "font-size": 12 * unit}, text);
  return s("g", {class: "wipe"},
    s("line", {x1: x, x2: x, y1: crop.y, y2: crop.y + crop.height}),
    s("circle", {cx: x, cy: crop.y + crop.height / 2, r: 7 * unit}),
    s("rect", {"data-wipe": "", x: x - 8 * unit, width: 16 * unit, y: crop.y, height: crop.height, fill: "transparent"}),
    word(names[0], "end", -8), word(names[1], "start", 8));
}

function skeleton({points, bones}, person, unit) {
  const seen = (point) => point.c >= MIN_CONFIDENCE;
  return s("g", {class: `skeleton ${PERSON[person]}`},
    bones.filter(([i, j]) => seen(points[i]) && seen(points[j])).map(([i, j]) =>
      s("line", {x1: points[i].x, y1: points[i].y, x2: points[j].x, y2: points[j].y, opacity: 0.35 + 0.5 * Math.min(points[i].c, points[j].c)})),
    points.filter(seen).map((point) => marker(point, person, unit)));
}

/** Round for A, square for B, hollow where the detector is unsure, in the colour of the person's own side. */
function marker({x, y, c, side, small, name: label}, person, unit) {
  const r = (small ? 1.6 : 4) * unit;
  const props = {class: `point ${side}${c < SOLID_CONFIDENCE && !small ? " unsure" : ""}`};
  const title = !small && s("title", {}, `${PERSON[person]}: ${label}, confidence ${c.toFixed(2)}`);
  return person === 0
    ? s("circle", {...props, cx: x, cy: y, r}, title || "")
    : s("rect", {...props, x: x - 0.9 * r, y: y - 0.9 * r, width: 1.8 * r, height: 1.8 * r}, title || "");
}

function contacts(now, unit) {
  const {pair} = now.screen;
  const drawn = pair.contacts.filter((line) => !line.dropped);
  const bright = lit(now);
  const ends = apart(drawn, 17 * unit);
  return drawn.map((line) => {
    const dim = bright !== null || now.adding;
    const group = s("g", {"data-id": line.id, class: `contact ${bright === line.id ? "lit" : dim ? "dim" : ""}`}, s("title", {}, hint(line)));
    const [a, b] = ends.get(line.id);
    if (bright === line.id) group.append(...line.places.flatMap((polylines, person) => polylines.map((polyline) =>
      s("polyline", {class: `place ${line.parts[person].side}`, points: polyline.flat().join(" "), "stroke-width": 16 * unit}))));
    group.append(...link(line, a, b, pair.id));
    group.append(...[a, b].map((end, person) => badge(end, person, line.parts[person], line.seen[person], unit)));
    return group;
  });
}

/** Where the ends of contacts are drawn: hidden parts are guesses, and those that fall on another end step aside. */
function apart(lines, step) {
  const taken = lines.flatMap(({ends, seen}) => ends.filter((_, person) => seen[person]));
  const free = ([x, y]) => taken.every((other) => Math.hypot(other[0] - x, other[1] - y) >= step * 0.95);
  return new Map(lines.map(({id, ends, seen}) => [id, ends.map((end, person) => {
    if (seen[person]) return end;
    let place = end;
    for (let turn = 0; turn < 18 && !free(place); turn++) {
      const [angle, far] = [(turn % 6) * (Math.PI / 3) + person * Math.PI, step * (1 + Math.floor(turn / 6))];
      place = [end[0] + far * Math.cos(angle), end[1] + far * Math.sin(angle)];
    }
    taken.push(place);
    return place;
  })]));
}

function hint({words, parts, seen}) {
  const hidden = [0, 1].filter((person) => !seen[person]).map((person) => `${PERSON[person]}'s ${parts[person].name} is hidden, its place a guess`);
  return [words, ...hidden].join("; ");
}

/** A line that changes from one person's side colour to the other's; dashed where an end is a guess. */
function link(line, a, b, pairId) {
  const id = `apu-link-${pairId}-${line.id}`;
  const ends = {x1: a[0], y1: a[1], x2: b[0] + 0.01, y2: b[1] + 0.01}; // a gradient along a straight line needs a box with area
  const gradient = s("linearGradient", {id, gradientUnits: "userSpaceOnUse", ...ends},
    s("stop", {offset: 0.35, class: line.parts[0].side}), s("stop", {offset: 0.65, class: line.parts[1].side}));
  return [gradient, s("line", {class: "casing", ...ends}),
    s("line", {class: `link${line.seen[0] && line.seen[1] ? "" : " guess"}`, stroke: `url(#${id})`, ...ends})];
}

function badge([x, y], person, part, seen, unit) {
  const r = 7.5 * unit;
  const props = {class: `end ${part.side}${seen ? "" : " guess"}`};
  return s("g", {},
    person === 0 ? s("circle", {...props, cx: x, cy: y, r}) : s("rect", {...props, x: x - r, y: y - r, width: 2 * r, height: 2 * r, rx: unit}),
    s("text", {class: `letter ${part.side}`, x, y: y + 3.6 * unit, "text-anchor": "middle", "font-size": (part.side === "both" ? 8 : 10) * unit}, LETTER[part.side]));
}

/** The person's name above the head, where one is seen, else above the box. */
function name({box, points}, person, unit) {
  const head = points.filter((point) => point.c >= SOLID_CONFIDENCE && HEAD.has(point.name));
  const x = head.length ? head.reduce((sum, point) => sum + point.x, 0) / head.length : (box[0] + box[2]) / 2;
  const top = head.length ? Math.min(...head.map((point) => point.y)) - 26 * unit : box[1] - 14 * unit;
  const [y, r] = [Math.max(top, view.y + 14 * unit), 10 * unit];
  return s("g", {class: `name ${PERSON[person]}`},
    person === 0 ? s("circle", {cx: x, cy: y, r}) : s("rect", {x: x - r, y: y - r, width: 2 * r, height: 2 * r, rx: 2 * unit}),
    s("text", {x, y: y + 4.5 * unit, "text-anchor": "middle", "font-size": 12.5 * unit}, PERSON[person]));
}

/** Lines light up under the pointer and are chosen by a click. */
function pointAtContacts(marks) {
  const id = (event) => Number(event.target.closest(".contact")?.dataset.id) || null;
  const hover = (contact) => contact !== state.hovered && change({hovered: contact});
  marks.addEventListener("pointerover", (event) => hover(id(event)));
  marks.addEventListener("pointerleave", () => hover(null));
  marks.addEventListener("click", (event) => id(event) && change({selected: id(event)}));
}

/** Wheel or two fingers zoom, dragging pans or moves the wipe, a double click shows everything again. */
function navigate(plot) {
  const at = ([x, y]) => new DOMPoint(x, y).matrixTransform(plot.getScreenCTM().inverse());
  const pointers = new Map(); // id -> place on the page
  let wiping = false;
  let moved = false;
  const middle = () => [0, 1].map((axis) => [...pointers.values()].reduce((sum, place) => sum + place[axis], 0) / pointers.size);
  const spread = () => {
    const [a, b] = pointers.values();
    return b ? Math.hypot(a[0] - b[0], a[1] - b[1]) : 1;
  };
  plot.addEventListener("wheel", (event) => {
    if (!state.screen?.pair) return;
    event.preventDefault();
    scale(1.0015 ** -event.deltaY, at([event.clientX, event.clientY]));
  }, {passive: false});
  plot.addEventListener("pointerdown", (event) => {
    if (!pointers.size) [wiping, moved] = [event.target.hasAttribute("data-wipe"), false];
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
  });
  plot.addEventListener("pointermove", (event) => {
    if (!pointers.has(event.pointerId) || !state.screen?.pair) return;
    if (!moved) plot.setPointerCapture(event.pointerId);
    moved = true;
    const [from, before] = [at(middle()), spread()];
    pointers.set(event.pointerId, [event.clientX, event.clientY]);
    const to = at(middle());
    const {crop} = state.screen.pair;
    if (wiping) wipe = Math.min(1, Math.max(0, (to.x - crop.x) / crop.width));
    else {
      view = inside({...view, x: view.x + from.x - to.x, y: view.y + from.y - to.y}, crop);
      if (pointers.size === 2) scale(spread() / before, from);
    }
    redraw();
  });
  for (const end of ["pointerup", "pointercancel"]) plot.addEventListener(end, (event) => {
    pointers.delete(event.pointerId);
    if (event.type === "pointerup") plot.blur(); // the arrow keys choose contacts again
  });
  plot.addEventListener("dblclick", () => zoom(0));
  plot.addEventListener("keydown", (event) => {
    const [x, y] = {ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1]}[event.key] ?? [0, 0];
    const crop = state.screen?.pair?.crop;
    if ((!x && !y) || !crop || view.width >= crop.width) return;
    event.preventDefault();
    event.stopPropagation();
    view = inside({...view, x: view.x + x * view.width * 0.1, y: view.y + y * view.height * 0.1}, crop);
    redraw();
  });
}

/** Zoom in by a factor about a place of the photograph that stays where it is. */
function scale(factor, about) {
  const {crop} = state.screen.pair;
  const width = Math.min(crop.width, Math.max(crop.width / 12, view.width / factor));
  const ratio = width / view.width;
  view = inside({x: about.x - (about.x - view.x) * ratio, y: about.y - (about.y - view.y) * ratio, width, height: view.height * ratio}, crop);
  redraw();
}

/** Zoom in by a factor about the middle; 0: show everything again. */
export function zoom(factor) {
  if (!state.screen?.pair) return;
  if (factor) return scale(factor, {x: view.x + view.width / 2, y: view.y + view.height / 2});
  view = {...state.screen.pair.crop};
  redraw();
}

function inside({x, y, width, height}, crop) {
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  return {
    x: clamp(x, crop.x, crop.x + crop.width - width), y: clamp(y, crop.y, crop.y + crop.height - height), width, height,
  };
}
