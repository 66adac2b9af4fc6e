// Elements without HTML strings: text given here is always text, never markup.

import {isDefault, label as printedKeys} from "./keymap.js";

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

/**
 * Make an element hold these nodes, keeping those that are already there: a press or the focus that is on one of them
 * is not lost. What is given may not have listeners of its own; it says what it does in `data-act` (see keys.js).
 */
export function replace(parent, ...children) {
  const wanted = children.flat(Infinity).filter((child) => child || child === 0)
    .map((child) => (child instanceof Node ? child : document.createTextNode(child)));
  wanted.forEach((node, index) => {
    const old = parent.childNodes[index];
    if (!old) parent.append(node);
    else if (old.nodeName === node.nodeName && old.dataset?.id === node.dataset?.id) update(old, node);
    else old.replaceWith(node);
  });
  while (parent.childNodes.length > wanted.length) parent.lastChild.remove();
}

function update(old, node) {
  if (node.nodeType === Node.TEXT_NODE) {
    if (old.data !== node.data) old.data = node.data;
    return;
  }
  for (const {name} of [...old.attributes]) if (!node.hasAttribute(name)) old.removeAttribute(name);
  for (const {name, value} of node.attributes) if (old.getAttribute(name) !== value) old.setAttribute(name, value);
  replace(old, ...node.childNodes);
}

export const LETTER = {left: "L", right: "R", both: "LR"};
export const PERSON = ["A", "B"];
export const BAND_ICON = {good: "✓", "look again": "!", bad: "✕"};

/** The side's letter on the side's colour. */
export const sideBadge = (side) => h("span", {class: `side ${side}`, title: `their ${side === "both" ? "left and right" : side}`}, LETTER[side]);

/** The person's name in the person's tint and shape. */
export const personBadge = (person) => h("span", {class: `person ${PERSON[person]}`}, PERSON[person]);

/** A button with its key; `keys.js` knows the action's name. */
export const button = (action, label, key, props = {}) =>
  h("button", {type: "button", "data-act": action, ...props}, label, key && hint(action, key));

/** The key of an action: where `key` is the default one, what the curator has made of it (keymap.js keeps it so). */
export const hint = (action, key) => isDefault(action, key)
  ? h("kbd", {"data-key": action, hidden: !printedKeys(action)}, printedKeys(action))
  : h("kbd", {}, key);

/** The title of the photograph's or the meshes' panel; where there is room for one of both only, their switch. */
export const tabs = (own) => h("div", {class: "titles"}, [["photo", "Photograph"], ["meshes", "Meshes"]].map(([name, label]) => [
  name === own && h("h2", {}, label),
  button(`tab-${name}`, label, null, {class: "toggle tab", "aria-pressed": String(name === own)})]));
