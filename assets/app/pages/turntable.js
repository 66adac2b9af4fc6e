// Meshes that turn: pictures from all sides, one for each step of a slider; dragging over the picture turns it too.

import {h} from "../dom.js";
import {show} from "../picture.js";

const PIXELS = 14; // of dragging for one step

/** `url` gets the step's number appended. */
export function turntable(url, steps) {
  const image = h("img", {alt: "The meshes"});
  const slider = h("input", {type: "range", min: 0, max: steps - 1, value: 0, "aria-label": "Turn the meshes"});
  const degrees = () => `${Math.round((360 * slider.value) / steps)} degrees`;
  const draw = () => {
    show(image, url + slider.value);
    image.alt = `The meshes, turned by ${degrees()}`;
    slider.setAttribute("aria-valuetext", degrees());
  };
  const to = (step) => { slider.value = ((step % steps) + steps) % steps; draw(); };
  slider.addEventListener("input", draw);
  slider.addEventListener("keydown", (event) => {
    const by = {ArrowLeft: -1, ArrowRight: 1}[event.key];
    if (by) { event.preventDefault(); to(Number(slider.value) + by); }
  });
  let from = null;
  const node = h("div", {class: "turn"}, image, slider);
  image.addEventListener("pointerdown", (event) => { from = {x: event.clientX, step: Number(slider.value)}; image.setPointerCapture(event.pointerId); event.preventDefault(); });
  image.addEventListener("pointermove", (event) => from && to(from.step + Math.round((event.clientX - from.x) / PIXELS)));
  image.addEventListener("pointerup", () => { from = null; });
  draw();
  return node;
}
