// The list of keys behind `?`: each can be changed, switched off and set back, by mouse and by keys.

import {h} from "./dom.js";
import * as keymap from "./keymap.js";

const SECOND_MS = 900; // so long the list waits for the second of two strokes

let panel = null;
let page = null; // whose keys are listed
let editing = null; // the action whose key is being changed
let begun = ""; // the stroke after which a second one may come
let wanted = ""; // keys that were pressed for it and are another action's
let waiting = 0;
let before = null; // what had the focus
let extra = () => null; // what a page puts at the foot of its list
let may = () => true; // whether who looks may do an action

/** Put the list, closed, into an element, of the actions that `allowed(name)` has; `foot()` may give more buttons for it. */
export function mount(root, {page: of, foot, allowed}) {
  page = of;
  may = allowed;
  if (foot) extra = foot;
  panel = h("aside", {class: "keys", hidden: true, "aria-label": "Keys"});
  panel.addEventListener("click", (event) => clicked(event.target.closest("button")));
  panel.addEventListener("change", (event) => event.target.matches(".switch") && keymap.switchOn(event.target.checked));
  panel.addEventListener("keydown", (event) => {
    if (event.key !== "Escape" || editing) return;
    event.stopPropagation();
    toggle(false);
  });
  addEventListener("keydown", record, {capture: true});
  root.replaceChildren(panel);
  keymap.onChange(() => panel.hidden || draw());
}

export const isOpen = () => Boolean(panel) && !panel.hidden;

/** Open or close the list; closed, the focus goes back to where it was. */
export function toggle(open = panel.hidden) {
  panel.hidden = !open;
  leave();
  if (open) {
    before = document.activeElement;
    draw();
    panel.querySelector(".switch").focus({preventScroll: true});
  } else {
    if (panel.contains(document.activeElement)) document.activeElement.blur(); // until the next frame it would take keys
    if (before?.isConnected) before.focus({preventScroll: true});
  }
}

function draw() {
  const focused = panel.contains(document.activeElement) ? document.activeElement.dataset.part : null;
  const at = panel.scrollTop;
  const [first, ...others] = Object.entries(keymap.GROUPS[page] ?? {});
  const groups = [first, ...Object.entries(keymap.GROUPS.everywhere), ...others].filter(Boolean) // columns of like height
    .map(([title, actions]) => [title, Object.keys(actions).filter(may)]).filter(([, names]) => names.length);
  panel.replaceChildren(
    h("div", {class: "head"}, h("h2", {}, "Keys"),
      h("label", {}, h("input", {type: "checkbox", class: "switch", "data-part": "switch", checked: keymap.isOn()}), "single keys act"),
      h("button", {type: "button", class: "small", "data-part": "defaults", "data-do": "defaults", disabled: !keymap.anyOwn()}, "Back to the defaults"),
      h("button", {type: "button", class: "quiet", "data-part": "close", "data-do": "close"}, "Close", h("kbd", {}, "Esc"))),
    h("p", {class: "sentence", role: "status"}, said()),
    h("div", {class: "groups"}, groups.map(([title, names]) => h("section", {"aria-label": title},
      h("h3", {}, title), h("ul", {}, names.map(row))))),
    h("div", {class: "foot"}, extra() ?? []));
  panel.scrollTop = at;
  panel.querySelector(`[data-part="${focused}"]:not(:disabled)`)?.focus({preventScroll: true});
}

function said() {
  if (!editing) return "Choose a key to change it. Changes stay in this browser. Digits choose what is numbered.";
  if (!wanted) return `Press the new key for “${keymap.wordsOf(editing)}”, or two after each other. Delete: no key. Esc: leave it.`;
  return `${keymap.printed(wanted)} is the key of ${keymap.rivals(editing, wanted).map((name) => `“${keymap.wordsOf(name)}”`).join(" and ")}.`;
}

function row(name) {
  const [keys, words] = [keymap.label(name), keymap.wordsOf(name)];
  const rivals = keymap.rivals(name, keymap.keysOf(name)).map((other) => `“${keymap.wordsOf(other)}”`).join(" and ");
  const small = (what, label) => h("button", {type: "button", class: "small", "data-part": `${what} ${name}`, "data-do": what, "data-name": name}, label);
  return h("li", {class: editing === name ? "editing" : ""},
    h("button", {type: "button", class: `key${keymap.isOwn(name) ? " own" : ""}`, "data-part": name, "data-do": "edit", "data-name": name,
      "aria-pressed": String(editing === name), "aria-label": `${words}: ${keys || "no key"}. Change`},
      editing === name ? `${keymap.printed(wanted || begun)}${wanted ? "" : " …"}`.trim() : keys || "–"),
    h("span", {class: keys ? "" : "muted"}, words, rivals && h("strong", {class: "rival"}, ` also ${rivals}`)),
    editing === name && h("span", {class: "choices"},
      wanted && small("take", "Take it over"),
      keymap.keysOf(name) && small("none", "No key"),
      keymap.isOwn(name) && small("default", `Default ${keymap.printed(keymap.defaultOf(name))}`),
      small("leave", "Leave")));
}

function clicked(button) {
  const {do: what, name} = button?.dataset ?? {};
  if (what === "edit" && editing !== name) edit(name);
  else if (what === "close") toggle(false);
  else if (what === "defaults") finish(() => keymap.restore());
  else if (what === "none") finish(() => keymap.assign(name, ""));
  else if (what === "default") offer(keymap.defaultOf(name));
  else if (what === "take") take();
  else if (what === "leave" || what === "edit") finish(() => {});
}

function edit(name) {
  leave();
  editing = name;
  draw();
}

function leave() {
  clearTimeout(waiting);
  [editing, begun, wanted] = [null, "", ""];
}

/** Change something and go on with the list, the focus on the row that was changed. */
function finish(change) {
  const name = editing;
  leave();
  change();
  draw();
  panel.querySelector(`[data-part="${name ?? "switch"}"]`)?.focus({preventScroll: true});
}

/** The keys for the action that is being changed, at once where nobody else has them. */
function offer(keys) {
  const name = editing;
  if (!keymap.rivals(name, keys).length) return finish(() => keymap.assign(name, keys));
  [begun, wanted] = ["", keys];
  draw();
  panel.querySelector(`[data-do="take"]`)?.focus();
}

/** The keys go over from whoever has them. */
function take() {
  const [name, keys] = [editing, wanted];
  finish(() => {
    for (const other of keymap.rivals(name, keys)) keymap.assign(other, "");
    keymap.assign(name, keys);
  });
}

/** A press while a key is being changed is the new key; buttons keep theirs. */
function record(event) {
  if (!editing) return;
  if (event.key === "Tab") return;
  const onButton = event.target.closest?.(".choices button");
  if (onButton && ["Enter", " "].includes(event.key)) return;
  const stroke = keymap.strokes(event).at(0);
  if (!stroke) return;
  event.preventDefault();
  event.stopImmediatePropagation();
  if (event.repeat) return;
  clearTimeout(waiting);
  if (stroke === "Escape") return finish(() => {});
  const name = editing;
  if (stroke === "Delete") return finish(() => keymap.assign(name, ""));
  if (begun) return offer(stroke === "Enter" ? begun : `${begun} ${stroke}`);
  [begun, wanted] = [stroke, ""];
  waiting = setTimeout(() => offer(stroke), SECOND_MS);
  draw();
}
