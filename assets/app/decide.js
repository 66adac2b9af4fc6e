// Accept, reject or flag, with a reason and a note; then the next pair.

import {leaveBy} from "./ahead.js";
import {button, h, replace} from "./dom.js";
import {act, ask, change, pair, state} from "./state.js";

const KEEP_MS = 400; // a note is kept as a draft when nobody has typed for so long

let reasons = []; // offered while a rejection or flag waits for its reason
let asking = null; // "reject" or "flag"
let chosen = ""; // the reason that was chosen before the decision could be saved
let note = null;
let typed = 0;
let kept = null; // the draft on its way

export function mount(root) {
  const standing = h("div", {class: "standing"});
  const choose = h("div", {class: "reasons", hidden: true});
  note = h("input", {
    class: "note-field", "aria-label": "Note", placeholder: "Note", maxlength: 2000,
    oninput: () => {
      clearTimeout(typed);
      typed = setTimeout(keep, KEEP_MS);
    },
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
    const moved = shown?.id !== now.id;
    if (moved) [asking, chosen] = [screen.draft?.verdict || null, screen.draft?.reason ?? ""];
    // What is being written stays until the stored note itself changes.
    if (moved || (shown.note !== now.note && document.activeElement !== note)) note.value = (moved && screen.draft?.note) || now.note;
    shown = {id: now.id, note: now.note};
    reasons = screen.reasons;
    const {mayWrite, review} = screen;
    note.readOnly = !mayWrite;
    replace(standing, ...decision(screen));
    const verdict = (name, label, key) => button(name, label, key, {class: name, "aria-pressed": String(now.decision?.verdict === name)});
    replace(buttons, mayWrite
      ? [verdict("accept", "✓ Accept", "A"), verdict("reject", "✕ Reject", "R"), verdict("flag", "⚑ Flag", "G")]
      : h("p", {class: "sentence"}, "You may look. Ask an admin for the role of a curator to decide."));
    choose.hidden = !asking || asking === "accept";
    replace(choose, h("span", {class: "muted"}, asking === "flag" ? "What needs a look?" : "Why?"), ...reasons.map((reason, index) =>
      h("button", {type: "button", class: "small", "data-act": "reason", "data-id": index, "aria-pressed": String(reason === chosen)}, h("kbd", {}, index + 1), reason)));
    replace(steps, review
      ? button("leave-review", "Leave the second review", null, {class: "quiet"})
      : [button("previous", "Back", "⌫", {class: "quiet", disabled: !screen.queue.previous}),
        mayWrite && button("decisions", "Undo", "Z", {class: "quiet", title: "Take back your latest decisions"}),
        mayWrite && button("skip", "Later", "L", {class: "quiet", title: "Put this pair aside; it comes back to you tomorrow"}),
        button("next", "Next", "Space", {class: "quiet", title: "Next without deciding", disabled: !screen.queue.next})]);
  };
}

function decision({pair: {decision: said, note: stored}, draft, review, judgements}) {
  if (review) return [h("span", {class: "badge"}, "second review"), h("span", {class: "muted"}, "untouched by others: what do you say?")];
  if (judgements) return [h("span", {class: "verdict flag"}, "They disagree"), h("span", {class: "muted"}, "your decision settles it")];
  if (said) return [h("span", {class: `verdict ${said.verdict}`}, said.words), h("span", {class: "muted"}, said.who)];
  if (draft?.note && draft.note !== stored) return [h("span", {class: "muted"}, "Your note is a draft; ⏎ in it saves.")];
  return [h("span", {class: "muted"}, "Do these bodies touch as in the photograph?")];
}

/** Keep what is typed and chosen, so that a reload or a lost connection loses none of it. */
function keep() {
  clearTimeout(typed);
  const now = pair();
  if (!now || !state.screen.mayWrite) return;
  const text = note.value === now.note ? "" : note.value;
  kept = ask("draft", {pair: now.id, revision: now.revision, note: text, verdict: asking ?? "", reason: chosen}).catch(() => null);
}

/** Decide at once, or offer the reasons first. */
export function decide(verdict) {
  if (verdict === "accept") return send(verdict, "");
  if (asking === verdict) return send(verdict, chosen);
  [asking, chosen] = [verdict, ""];
  keep();
  change({});
}

export const isAsking = () => asking !== null && asking !== "accept";

export function because(index) {
  if (!isAsking() || index >= reasons.length) return;
  chosen = reasons[index];
  send(asking, chosen);
}

export function stopAsking() {
  [asking, chosen] = [null, ""];
  keep();
  change({});
}

function send(verdict, reason) {
  const {fitted, stale} = pair();
  const text = note.value;
  clearTimeout(typed);
  asking = null;
  leaveBy("decide", {verdict, reason, note: text, after: kept}, {sure: verdict !== "accept" || (fitted && !stale)});
}
