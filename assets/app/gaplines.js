// The gaps of contacts as lines with their centimetres, over a large view of the 3D scene.

import {replace, s} from "./dom.js";

const TOUCHING = 0.005; // metres: nearer parts need no line

/** Draw `lines` ({id, parts, lit}) over the large view `index` of a stage; `dim`: those that are not lit stand back. */
export function drawGaps(svg, stage, index, lines, dim) {
  const couple = stage.couples[index];
  if (!couple?.group.visible) return replace(svg);
  const labels = [];
  const drawn = [...lines].sort((a, b) => b.lit - a.lit).map((line) => {
    const gap = couple.gap(line.parts);
    const ends = gap?.ends.map((end) => stage.project(index, end));
    if (!ends?.every(Boolean) || (gap.distance < TOUCHING && !line.lit)) return null;
    const middle = [0, 1].map((axis) => (ends[0][axis] + ends[1][axis]) / 2);
    const clear = labels.every(([x, y]) => Math.abs(x - middle[0]) > 48 || Math.abs(y - middle[1]) > 14);
    if (clear) labels.push(middle);
    return mark(line, ends, middle, clear && `${(100 * gap.distance).toFixed(1)} cm`, dim && !line.lit);
  });
  return replace(svg, ...drawn.reverse());
}

function mark({id, parts, lit: bright}, ends, middle, label, dim) {
  const half = (person) => s("line", {class: `half-gap ${parts[person].side}`, x1: ends[person][0], y1: ends[person][1], x2: middle[0], y2: middle[1]});
  return s("g", {class: `gap ${bright ? "lit" : ""} ${dim ? "dim" : ""}`, "data-gap": id},
    s("line", {class: "casing", x1: ends[0][0], y1: ends[0][1], x2: ends[1][0], y2: ends[1][1]}), half(0), half(1),
    ends.map(([x, y], person) => person === 0 ? s("circle", {class: `end ${parts[0].side}`, cx: x, cy: y, r: 3.5})
      : s("rect", {class: `end ${parts[1].side}`, x: x - 3.2, y: y - 3.2, width: 6.4, height: 6.4})),
    label && s("text", {x: middle[0], y: middle[1] - 8, "text-anchor": "middle"}, label));
}
