// The 3D view and what lies over its canvas: gaps in centimetres, cameras, the two sides of a comparison. Without WebGL
// pictures from the server stand in.

import {choosePart} from "./adder.js";
import {BAND_ICON, PERSON, button, h, hint, personBadge, replace, s, tabs} from "./dom.js";
import {drawGaps} from "./gaplines.js";
import {openScene} from "./openscene.js";
import {show} from "./picture.js";
import {change, compared, lit, pair, shown, state, versions} from "./state.js";

const LOOKS = [["photo", "Photo", "⇧1"], ["front", "Front", "⇧2"], ["side", "Side", "⇧3"], ["top", "Top", "⇧4"]];
const CLICK = 5; // pixels that a click may move
const FLAT = "This browser shows no 3D (WebGL is off), so these are still pictures from the server.";
const WORDS = "Both people in 3D. Arrow keys turn the view, with Shift they move it; plus and minus zoom.";

export function mount(root) {
  const head = h("div", {class: "head"});
  const choose = ["left", "right"].map((side) => picker(side));
  const captions = h("div", {class: "compared", hidden: true}, choose.map(({node}) => node));
  const canvas = h("canvas", {class: "scene", "aria-hidden": "true"});
  const marks = [0, 1].map(() => s("svg", {class: "gaps", "aria-hidden": "true"}));
  const views = marks.map((mark) => h("div", {class: "half"}, mark));
  const large = h("div", {class: "large", tabindex: 0, role: "application", "aria-label": WORDS}, views);
  const tip = h("div", {class: "tip"});
  const scale = h("div", {class: "heat-scale", hidden: true}, h("span", {}, "inside the other"), h("span", {class: "ramp"}),
    h("span", {class: "ticks"}, ["0", "1.5", "3 cm"].map((words) => h("span", {}, words))));
  const strip = h("div", {class: "strip"}, LOOKS.map(([look, label, key]) =>
    h("button", {type: "button", class: "still", "data-act": look, title: look === "photo" ? "The photograph's own view" : `Look from the ${look}`}, h("div", {class: "small-view"}, h("img", {alt: "", hidden: true})),
      h("span", {class: "caption"}, label, hint(look, key)))));
  const sentence = h("p", {class: "sentence", role: "status"});
  const box = h("div", {class: "stage"}, canvas, large, scale, tip, strip, sentence);
  root.replaceChildren(h("section", {class: "panel meshes", "aria-label": "Meshes"}, head, captions, box));

  const say = (words) => {
    replace(sentence, words);
    sentence.hidden = !words;
  };
  let width = 0;
  new ResizeObserver(() => {
    if (!width && box.clientWidth) change({});
    width = box.clientWidth;
  }).observe(box);
  let stage = null;
  let flat = false; // no WebGL
  const drawn = (ms) => {
    canvas.dataset.ms = ms.toFixed(1);
    canvas.dataset.solid = stage.couples.map(({url, group}) => (group.visible ? url : "")).join(" ");
    canvas.dataset.look = stage.eye.look;
    canvas.dataset.heat = stage.couples.some(({heated}) => heated);
    canvas.dataset.eye = stage.eye.current.position.toArray().map((value) => value.toFixed(3)).join(" ");
    marks.forEach((mark, index) => gaps(mark, stage, index));
  };
  const begin = async () => {
    begin.asked = true;
    const {Stage, smooth} = await openScene();
    flat = !Stage;
    if (Stage) {
      stage = new Stage({canvas, smooth, views, stills: [...strip.children].map((node) => node.firstChild), left: () => change({view: "free"}), drawn});
      point(large, stage, tip);
    }
    change({});
  };

  return (now) => {
    const {screen: {pair: current}, compare, view, heat, people} = now;
    document.body.dataset.tab = now.tab;
    root.firstChild.hidden = !current;
    if (!current) return;
    if (!begin.asked && box.clientWidth) begin();
    const both = compare.on && !flat ? compared(now) : null;
    const wanted = both ?? [shown(now)];
    const some = Boolean(wanted[0]?.solid);
    replace(head, ...tools(now, some));
    captions.hidden = !both;
    choose.forEach((side, index) => side.fill(current, both?.[index]));
    views[1].hidden = !both;
    strip.hidden = !some;
    strip.classList.toggle("slim", Boolean(both));
    large.hidden = !some || flat;
    scale.hidden = large.hidden || !heat;
    box.classList.toggle("flat", flat);
    for (const node of strip.children) {
      node.setAttribute("aria-pressed", String(view === node.dataset.act));
      show(node.querySelector("img"), flat ? wanted[0]?.stills?.[node.dataset.act] : null);
      node.hidden = flat && node.dataset.act === "photo";
    }
    say(current.noMesh || (flat && FLAT));
    if (!stage || !box.clientWidth) return; // the photograph has the place of both on a small screen
    stage.eye.take(view);
    stage.show(current, wanted.map((each) => each?.solid).filter(Boolean), heat).then((found) => {
      paint(stage, state);
      if (found.includes(false) && some && state.screen.pair === current) say("These meshes cannot be shown; fit again.");
    });
    paint(stage, now);
    marks.forEach((mark, index) => gaps(mark, stage, index));
  };
}

function tools({mesh, live, heat, people, compare, screen: {pair: now}}, some) {
  const title = tabs("meshes");
  if (!some) return [title];
  const toggle = (name, label, key, on, props) => button(name, label, key, {class: "toggle", "aria-pressed": String(on), ...props});
  const start = mesh === "start" || !now.fit.overlay;
  return [title, h("div", {class: "tools"},
    [0, 1].map((person) => h("button", {type: "button", class: "toggle who", "data-act": `person-${"ab"[person]}`,
      "aria-pressed": String(people[person]), title: `Show ${PERSON[person]}`, "aria-label": `Show person ${PERSON[person]}`}, personBadge(person))),
    toggle("heat", "Inside", "H", heat, {title: "Where one body reaches into the other, and how deep"}),
    live?.overlay ? h("span", {class: "muted running"}, "fitting …") : compare.on ? null
      : [toggle("start", "Start", null, start), toggle("fitted", "Fit", null, !start, {disabled: !now.fit.overlay})],
    toggle("compare", "Compare", "V", compare.on, {disabled: now.fitList.length < 2, title: "Two fits side by side"}))];
}

/** One side of a comparison: which meshes, and their figures. */
function picker(side) {
  const list = h("select", {"aria-label": `Meshes at the ${side}`, onchange: () =>
    change({compare: {...state.compare, [side]: Number(list.value)}, layers: {...state.layers, wipe: true}})});
  const words = h("span", {class: "muted words"});
  const figures = h("div", {class: "small-figures"});
  let filled = null;
  return {
    node: h("div", {class: "side-of"}, list, words, figures),
    fill(now, chosen) {
      if (!chosen) return;
      if (filled !== now) {
        list.replaceChildren(...versions(now).map(({id, name}) => h("option", {value: id}, name)));
        filled = now;
      }
      list.value = chosen.id;
      list.disabled = !chosen.figures.length;
      replace(words, chosen.words);
      words.title = chosen.words;
      replace(figures, ...chosen.figures.map(({label, person, text, unit, band, help}) =>
        h("span", {class: `figure ${band?.split(" ")[0] ?? ""}`, title: `${label}: ${band ?? "none"}. ${help}`},
          person === null ? label.split(" ").at(-1) : personBadge(person), h("strong", {}, text, unit && ` ${unit}`), h("span", {}, BAND_ICON[band] ?? ""))));
    },
  };
}

/** What to colour, the lit contact last. */
function paint(stage, now) {
  const {screen: {pair: current}, adding, pointed, heat, people} = now;
  const bright = lit(now);
  const lines = current.contacts.filter((line) => !line.dropped);
  const strength = bright !== null || adding ? "dim" : "plain";
  const parts = heat ? [] : [
    ...lines.filter(({id}) => id !== bright).map((line) => ({parts: line.parts, strength})),
    pointed && {parts: [0, 1].map((person) => (person === pointed.person ? {name: pointed.name, side: pointed.side} : null)), strength: "plain"},
    ...lines.filter(({id}) => id === bright).map((line) => ({parts: line.parts, strength: "lit"})),
    adding && {parts: adding, strength: "lit"},
  ].filter(Boolean);
  stage.paint(parts, people);
}

/** The gaps of the contacts in a large view. */
function gaps(svg, stage, index) {
  const bright = lit(state);
  const lines = (state.screen?.pair?.contacts ?? []).filter((line) => !line.dropped).map(({id, parts}) => ({id, parts, lit: id === bright}));
  if (state.adding?.every(Boolean)) lines.push({id: null, parts: state.adding, lit: true});
  drawGaps(svg, stage, index, state.people.every(Boolean) ? lines : [], lines.some((line) => line.lit) || state.adding);
}

/** Pointing at a part lights its contact up or names it; a click chooses its contact or takes it for a new one. */
function point(large, stage, tip) {
  let down = null;
  let last = null;
  const look = () => {
    const event = last;
    last = null;
    if (!event) return;
    const found = stage.pick(event.clientX, event.clientY);
    const contact = found && contactAt(found);
    const part = found?.parts[0];
    replace(tip, part ? `${PERSON[found.person]}'s ${part.side === "both" ? "" : `${part.side} `}${part.name}` : "");
    large.classList.toggle("over", Boolean(found));
    hover(contact?.id ?? null, part ? {person: found.person, ...part} : null);
  };
  large.addEventListener("pointermove", (event) => {
    if (event.buttons || event.pointerType === "touch") return;
    if (!last) requestAnimationFrame(look);
    last = event;
  });
  large.addEventListener("pointerleave", () => {
    last = null;
    replace(tip);
    hover(null, null);
  });
  large.addEventListener("pointerdown", (event) => { down = event.isPrimary ? [event.clientX, event.clientY] : null; });
  large.addEventListener("pointerup", (event) => {
    const still = down && Math.hypot(event.clientX - down[0], event.clientY - down[1]) < CLICK;
    down = null;
    const found = still && event.button === 0 && stage.pick(event.clientX, event.clientY);
    if (!found) return;
    const contact = !state.adding && contactAt(found);
    if (contact) change({selected: contact.id});
    else choosePart(found.person, found.parts);
  });
}

function hover(contact, pointed) {
  const same = JSON.stringify(pointed) === JSON.stringify(state.pointed);
  if (contact !== state.hovered || !same) change({hovered: contact, pointed});
}

/** The contact, the chosen one first, that one of these parts of a person is in. */
function contactAt({person, parts}) {
  const fits = ({name, side}) => parts.some((part) => part.name === name && (side === "both" || part.side === "both" || part.side === side));
  const lines = (pair()?.contacts ?? []).filter((line) => !line.dropped && fits(line.parts[person]));
  return lines.find(({id}) => id === state.selected) ?? lines[0] ?? null;
}

