// The photograph: both people's keypoints, the contacts as lines between parts, the meshes over it.

import {LETTER, PERSON, button, h, replace, s} from "./dom.js";
import {show} from "./picture.js";
import {change, state} from "./state.js";

const MIN_CONFIDENCE = 0.1;
const SOLID_CONFIDENCE = 0.5;
const HEAD = new Set(["nose", "left eye", "right eye", "left ear", "right ear"]);

/** Zoom and pan as an SVG viewBox in pixels of the photograph. */
let view = null;
let wipe = 0.5;

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
  const plot = s("svg", {class: "plot", role: "img"}, photograph, clips, before, after, marks);
  const foot = h("div", {class: "foot"});
  root.replaceChildren(h("section", {class: "panel photo", "aria-label": "Photograph"},
    h("div", {class: "head"}, h("h2", {}, "Photograph"), tools), h("div", {class: "canvas"}, plot, empty), foot));

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
    show(before, state.layers.wipe ? pair.start.overlay : null);
    show(after, state.layers.mesh || state.layers.wipe ? current(state) : null);
    for (const image of [before, after]) image.setAttribute("opacity", state.layers.opacity);
    clips.replaceChildren(...halves(pair.crop, state.layers.wipe ? wipe : 0));
    replace(marks,
      state.layers.points && pair.people.map((person, index) => skeleton(person, index, unit)),
      state.layers.lines && contacts(state, unit),
      pair.people.map((person, index) => name(person, index, unit)),
      state.layers.wipe && handle(pair.crop, unit));
  };
  new ResizeObserver(draw).observe(plot);
  navigate(plot, draw);
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

/** The meshes to show: of the running fit while one runs, else what is chosen, else the start. */
function current({screen: {pair}, live, mesh, layers}) {
  if (live?.overlay) return live.overlay;
  return (mesh === "start" && !layers.wipe ? null : pair.fit.overlay) ?? pair.start.overlay;
}

function halves({x, y, width, height}, share) {
  const clip = (id, left, size) => s("clipPath", {id}, s("rect", {x: left, y, width: size, height}));
  return [clip("apu-before", x, share * width), clip("apu-after", x + share * width, (1 - share) * width)];
}

function handle(crop, unit) {
  const x = crop.x + wipe * crop.width;
  const word = (text, anchor, dx) => s("text", {x: x + dx * unit, y: crop.y + crop.height - 10 * unit, "text-anchor": anchor, "font-size": 12 * unit}, text);
  return s("g", {class: "wipe"},
    s("line", {x1: x, x2: x, y1: crop.y, y2: crop.y + crop.height}),
    s("circle", {cx: x, cy: crop.y + crop.height / 2, r: 7 * unit}),
    s("rect", {"data-wipe": "", x: x - 8 * unit, width: 16 * unit, y: crop.y, height: crop.height, fill: "transparent"}),
    word("start", "end", -8), word("fit", "start", 8));
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

function contacts({screen: {pair}, hovered, selected}, unit) {
  const drawn = pair.contacts.filter((line) => !line.dropped);
  const lit = [hovered, selected].find((id) => drawn.some((line) => line.id === id)) ?? null;
  return drawn.map((line) => {
    const group = s("g", {"data-id": line.id, class: `contact ${lit === line.id ? "lit" : lit !== null ? "dim" : ""}`});
    const [a, b] = line.ends;
    if (lit === line.id) group.append(...line.places.flatMap((polylines, person) => polylines.map((polyline) =>
      s("polyline", {class: `place ${line.parts[person].side}`, points: polyline.flat().join(" "), "stroke-width": 16 * unit}))));
    group.append(...link(line, a, b, pair.id));
    group.append(...[a, b].map((end, person) => badge(end, person, line.parts[person], line.seen[person], unit)));
    return group;
  });
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

/** Wheel zooms about the pointer, dragging pans or moves the wipe, a double click shows everything again. */
function navigate(plot, redraw) {
  const at = (event) => new DOMPoint(event.clientX, event.clientY).matrixTransform(plot.getScreenCTM().inverse());
  let dragged = null;
  plot.addEventListener("wheel", (event) => {
    if (!state.screen?.pair) return;
    event.preventDefault();
    const {crop} = state.screen.pair;
    const point = at(event);
    const width = Math.min(crop.width, Math.max(crop.width / 12, view.width * 1.0015 ** event.deltaY));
    const scale = width / view.width;
    view = inside({x: point.x - (point.x - view.x) * scale, y: point.y - (point.y - view.y) * scale, width, height: view.height * scale}, crop);
    redraw();
  }, {passive: false});
  plot.addEventListener("pointerdown", (event) => {
    dragged = {wipe: event.target.hasAttribute("data-wipe"), from: at(event), moved: false};
  });
  plot.addEventListener("pointermove", (event) => {
    if (!dragged || !event.buttons || !state.screen?.pair) return;
    if (!dragged.moved) plot.setPointerCapture(event.pointerId);
    dragged.moved = true;
    const {crop} = state.screen.pair;
    const to = at(event);
    if (dragged.wipe) wipe = Math.min(1, Math.max(0, (to.x - crop.x) / crop.width));
    else view = inside({...view, x: view.x + dragged.from.x - to.x, y: view.y + dragged.from.y - to.y}, crop);
    redraw();
  });
  plot.addEventListener("pointerup", () => { dragged = null; });
  plot.addEventListener("dblclick", () => {
    if (state.screen?.pair) view = {...state.screen.pair.crop};
    redraw();
  });
}

function inside({x, y, width, height}, crop) {
  const clamp = (value, low, high) => Math.min(Math.max(value, low), high);
  return {
    x: clamp(x, crop.x, crop.x + crop.width - width), y: clamp(y, crop.y, crop.y + crop.height - height), width, height,
  };
}
