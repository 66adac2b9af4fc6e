// Elements without HTML strings: text given here is always text, never markup.

const SVG = "http://www.w3.org/2000/svg";

function fill(node, props, children) {
  for (const [name, value] of Object.entries(props ?? {})) {
    if (value === undefined || value === null || value === false) continue;
    if (name.startsWith("on")) node.addEventListener(name.slice(2), value);
    else node.setAttribute(name, value === true ? "" : value);
  }
  node.append(...children.flat(Infinity).filter((child) => child !== null && child !== undefined && child !== false));
  return node;
}

/** An HTML element: `h("button", {class: "key", onclick: save}, "Save")`; null and false are left out. */
export const h = (tag, props, ...children) => fill(document.createElement(tag), props, children);

/** An SVG element. */
export const s = (tag, props, ...children) => fill(document.createElementNS(SVG, tag), props, children);

/** Replace what an element holds, keeping the focus on the element with the same `data-focus`. */
export function replace(parent, ...children) {
  const active = document.activeElement;
  const focus = parent.contains(active) ? active.dataset.focus : undefined;
  parent.replaceChildren(...children.flat(Infinity).filter(Boolean));
  if (focus) parent.querySelector(`[data-focus="${CSS.escape(focus)}"]`)?.focus({preventScroll: true});
}

export const LETTER = {left: "L", right: "R", both: "LR"};
export const PERSON = ["A", "B"];

/** The side's letter on the side's colour. */
export const sideBadge = (side) => h("span", {class: `side ${side}`, title: `their ${side === "both" ? "left and right" : side}`}, LETTER[side]);

/** The person's name in the person's tint and shape. */
export const personBadge = (person) => h("span", {class: `person ${PERSON[person]}`}, PERSON[person]);

/** A button with its key; the action's name is found by `keys.js`. */
export const button = (action, label, key, props = {}) =>
  h("button", {type: "button", "data-act": action, "data-focus": action, ...props}, label, key && h("kbd", {}, key));
