// The 3D view of one pair to read: the review page's scene with the looks, people and depths that reading needs, and a
// turntable. Without WebGL pictures from the server stand in.

import {PERSON, h, personBadge, replace, s} from "../dom.js";
import {drawGaps} from "../gaplines.js";
import {openScene} from "../openscene.js";
import {show as showPicture} from "../picture.js";

const LOOKS = [["photo", "Photo"], ["front", "Front"], ["side", "Side"], ["top", "Top"]];
const SPEED = 0.5; // radians a second
const STEP = Math.PI / 6; // at a press, where nothing is to move by itself
const WORDS = "Both people in 3D. Arrow keys turn the view, with Shift they move it; plus and minus zoom.";
const FLAT = "This browser shows no 3D (WebGL is off), so these are still pictures from the server.";

const stays = matchMedia("(prefers-reduced-motion: reduce)");

/** A viewer: its element, that of its controls, and `show(pair, fit)`, which may be called again for other meshes. */
export function viewer() {
  const canvas = h("canvas", {class: "scene", "aria-hidden": "true"});
  const marks = s("svg", {class: "gaps", "aria-hidden": "true"});
  const half = h("div", {class: "half"}, marks);
  const large = h("div", {class: "large", tabindex: 0, role: "application", "aria-label": WORDS}, half);
  const flat = h("img", {alt: "The meshes", hidden: true});
  const sentence = h("p", {class: "sentence", role: "status", hidden: true});
  const scale = h("div", {class: "heat-scale", hidden: true}, h("span", {}, "inside the other"), h("span", {class: "ramp"}),
    h("span", {class: "ticks"}, ["0", "1.5", "3 cm"].map((words) => h("span", {}, words))));
  const tool = (label, props, act) => h("button", {type: "button", class: "toggle", onclick: act, ...props}, label);
  const looks = LOOKS.map(([look, label]) => tool(label, {"data-look": look}, () => take(look)));
  const people = [0, 1].map((person) => tool(personBadge(person), {class: "toggle who", "aria-label": `Show person ${PERSON[person]}`},
    () => { shown[person] = !shown[person]; draw(); }));
  const inside = tool("Inside", {title: "Where one body reaches into the other, and how deep"}, () => { heat = !heat; draw(); });
  const turning = tool("Turn", {title: "Let the meshes turn"}, () => (stays.matches ? step() : turn(!frame)));
  const node = h("div", {class: "viewer stage"}, canvas, large, scale, flat, sentence);
  const tools = h("div", {class: "tools view-tools", role: "toolbar", "aria-label": "The view"}, looks, people, inside, turning);

  const shown = [true, true];
  let [stage, asked, none, heat, frame, look, now] = [null, false, false, false, 0, "front", null];

  async function begin() {
    asked = true;
    const {Stage, smooth} = await openScene();
    none = !Stage;
    if (Stage) {
      stage = new Stage({canvas, smooth, views: [half], stills: [], left: () => { look = "free"; draw(); }, drawn});
      stage.eye.take(look);
    }
    draw();
  }

  function drawn() {
    canvas.dataset.solid = stage.couples.map(({url, group}) => (group.visible ? url : "")).join(" ");
    canvas.dataset.look = stage.eye.look;
    canvas.dataset.eye = stage.eye.current.position.toArray().map((value) => value.toFixed(3)).join(" ");
    drawGaps(marks, stage, 0, shown.every(Boolean) && !heat ? now.lines : [], false);
  }

  function draw() {
    const some = Boolean(now?.fit.solid);
    say(some ? none && FLAT : now?.fit.words);
    for (const button of [...looks, ...people, inside, turning]) button.disabled = !some;
    for (const button of looks) button.setAttribute("aria-pressed", String(look === button.dataset.look));
    for (const button of [...people, inside, turning]) button.hidden = none;
    looks[0].hidden = none;
    people.forEach((button, person) => button.setAttribute("aria-pressed", String(shown[person])));
    inside.setAttribute("aria-pressed", String(heat));
    if (stays.matches) turning.removeAttribute("aria-pressed");
    else turning.setAttribute("aria-pressed", String(Boolean(frame)));
    scale.hidden = !heat;
    large.hidden = canvas.hidden = none || !some;
    flat.hidden = true;
    if (none && some) showPicture(flat, now.fit.stills[look] ?? now.fit.stills.front);
    if (!stage || !some) return;
    stage.show(now.pair, [now.fit.solid], heat).then(([there]) => {
      paint();
      if (!there) say("These meshes cannot be shown; fit again.");
    });
    paint();
    stage.ask();
  }

  const paint = () => stage.paint(heat ? [] : now.lines.map(({parts}) => ({parts, strength: "plain"})), shown);

  function say(words) {
    replace(sentence, words);
    sentence.hidden = !words;
  }

  function take(wanted) {
    turn(false);
    look = wanted;
    stage?.eye.take(wanted);
    draw();
  }

  function step() {
    look = "free";
    stage?.eye.turn(STEP);
    draw();
  }

  /** Turn on and on, at one speed however fast this browser draws. */
  function turn(on) {
    cancelAnimationFrame(frame);
    frame = 0;
    if (on && stage) {
      look = "free";
      let before = null;
      const onwards = (time) => {
        if (!node.isConnected || stays.matches) return turn(false);
        stage.eye.turn((SPEED * Math.min(time - (before ?? time), 200)) / 1000);
        before = time;
        frame = requestAnimationFrame(onwards);
        return undefined;
      };
      frame = requestAnimationFrame(onwards);
    }
    draw();
  }

  large.addEventListener("pointerdown", () => frame && turn(false));
  return {
    node,
    tools,
    show(pair, fit) {
      const lines = pair.contacts.filter(({dropped}) => !dropped).map(({parts, sides}, id) => ({
        id, lit: false, parts: parts.map((name, person) => ({name, side: sides[person]})),
      }));
      now = {pair, fit, lines};
      if (!asked && fit.solid) begin();
      draw();
    },
  };
}
