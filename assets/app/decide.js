// Accept, reject or flag, with a reason and a note; then the next pair.

import {button, h, replace} from "./dom.js";
import {act, change, pair} from "./state.js";

let reasons = []; // offered while a rejection or flag waits for its reason
let asking = null; // "reject" or "flag"
let note = null;

export function mount(root) {
  const standing = h("div", {class: "standing"});
  const choose = h("div", {class: "reasons", hidden: true});
  note = h("input", {
    class: "note-field", "aria-label": "Note", placeholder: "Note", maxlength: 2000,
    onchange: () => pair() && note.value !== pair().note && act("note", {note: note.value}),
    onkeydown: (event) => event.key === "Enter" && note.blur(),
  });
  const buttons = h("div", {class: "verdicts"});
  const steps = h("div", {class: "steps"});
  root.replaceChildren(h("section", {class: "panel decide", "aria-label": "Decision"}, standing, note, buttons, choose, steps));
  let shown = null;
  return ({screen}) => {
    const now = screen.pair;
    root.firstChild.hidden = !now;
    if (!now) return;
    if (shown?.id !== now.id) asking = null;
    // What is being written stays until the stored note itself changes.
    if (shown?.id !== now.id || (shown.note !== now.note && document.activeElement !== note)) note.value = now.note;
    shown = {id: now.id, note: now.note};
    reasons = screen.reasons;
    replace(standing, ...decision(now));
    const verdict = (name, label, key) => button(name, label, key, {class: name, "aria-pressed": String(now.decision?.verdict === name)});
    replace(buttons, verdict("accept", "✓ Accept", "A"), verdict("reject", "✕ Reject", "R"), verdict("flag", "⚑ Flag", "G"));
    choose.hidden = !asking;
    replace(choose, h("span", {class: "muted"}, asking === "flag" ? "What needs a look?" : "Why?"), ...reasons.map((reason, index) =>
      h("button", {type: "button", class: "small", "data-act": "reason", "data-id": index}, h("kbd", {}, index + 1), reason)));
    replace(steps,
      button("previous", "Back", "⌫", {class: "quiet", disabled: !screen.queue.previous}),
      button("next", "Next without deciding", "Space", {class: "quiet", disabled: !screen.queue.next}));
  };
}

function decision({decision: said}) {
  if (!said) return [h("span", {class: "muted"}, "Do these bodies touch as in the photograph?")];
  return [h("span", {class: `verdict ${said.verdict}`}, said.words), h("span", {class: "muted"}, said.who)];
}

/** Decide at once, or offer the reasons first. */
export function decide(verdict) {
  if (verdict === "accept") return send(verdict, "");
  if (asking === verdict) return send(verdict, "");
  asking = verdict;
  change({});
}

export const isAsking = () => asking !== null;

export function because(index) {
  if (asking && index < reasons.length) send(asking, reasons[index]);
}

export function stopAsking() {
  asking = null;
  change({});
}

function send(verdict, reason) {
  asking = null;
  act("decide", {verdict, reason, note: note.value});
}
