// A contact that is being added: its two parts come from the body maps, from the meshes, or from the lists here.

import {PERSON, button, h, personBadge, replace} from "./dom.js";
import {act, change, state} from "./state.js";

const SIDES = ["left", "right", "both"];

export function mount() {
  const rows = [0, 1].map(row);
  const words = h("span", {class: "muted", role: "status"});
  const done = h("div", {class: "done"});
  const node = h("form", {class: "adder", hidden: true, "aria-label": "Add a contact", onsubmit: (event) => {
    event.preventDefault();
    submit();
  }}, rows.map(({node: each}) => each), words, done);
  node.addEventListener("keydown", (event) => {
    if (!["Escape", "Enter"].includes(event.key)) return;
    if (event.key === "Enter" && event.target.tagName !== "SELECT") return;
    event.preventDefault();
    event.stopPropagation();
    if (event.key === "Enter") submit();
    else cancel();
  });
  let opened = false;
  return {
    node,
    fill({screen: {parts}, adding}) {
      node.hidden = !adding;
      if (!adding) {
        opened = false;
        return;
      }
      rows.forEach((each, person) => each.fill(parts, adding[person]));
      const missing = [0, 1].filter((person) => !adding[person]);
      replace(words, missing.length ? `Pick a part of ${missing.map((person) => PERSON[person]).join(" and of ")} on the body map, on the meshes, or here.` : "");
      words.hidden = !missing.length;
      replace(done, button("add", "Add contact", "⏎", {class: "small primary", disabled: missing.length > 0}),
        button("cancel", "Cancel", "Esc", {class: "small quiet"}));
      if (!opened && adding.every((part) => !part)) rows[0].focus();
      opened = true;
    },
  };
}

/** Part and side of one person; empty until chosen. */
function row(person) {
  const list = (label, names) => h("select", {"aria-label": `${label} of ${PERSON[person]}`, onchange: read}, names.map((name) => h("option", {value: name}, name || "–")));
  const [side, part] = [list("Side", SIDES), list("Part", [""])];
  function read() {
    const chosen = part.value ? {name: part.value, side: side.value} : null;
    change({adding: state.adding.map((old, index) => (index === person ? chosen : old))});
  }
  return {
    node: h("span", {class: "pick"}, personBadge(person), side, part),
    focus: () => part.focus(),
    fill(parts, chosen) {
      if (part.options.length === 1) part.append(...parts.map((name) => h("option", {value: name}, name)));
      part.value = chosen?.name ?? "";
      if (chosen) side.value = chosen.side;
    },
  };
}

/** Begin with nothing chosen; once both parts are chosen, add the contact. */
export function add() {
  if (!state.adding) change({adding: [null, null]});
  else submit();
}

function submit() {
  if (!state.adding?.every(Boolean)) return;
  act("add", {parts: state.adding});
  cancel();
}

export function cancel() {
  change({adding: null});
}

/** Take a part of one person; asked again for the same place, the next larger part there. */
export function choosePart(person, candidates) {
  const now = state.adding?.[person];
  const at = candidates.findIndex(({name, side}) => name === now?.name && side === now.side);
  const part = candidates[(at + 1) % candidates.length];
  change({adding: [0, 1].map((each) => (each === person ? {name: part.name, side: part.side} : state.adding?.[each] ?? null))});
}
