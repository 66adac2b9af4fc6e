// Two people judged the same pair and disagree: both judgements side by side, for who settles them.

import {button, h, personBadge, replace, sideBadge} from "./dom.js";

export function drawJudgements(root, {judgements, mayWrite}) {
  root.hidden = !judgements;
  if (!judgements) return replace(root);
  const {people, contacts} = judgements;
  replace(root,
    h("h2", {}, "Two judgements"),
    h("table", {},
      h("tr", {}, h("td"), people.map(({who, did}) => h("th", {scope: "col", class: "has"}, `${who} ${did}`))),
      row("", people.map(({words, verdict}) => h("span", {class: `verdict ${verdict}`}, words))),
      people.some(({note}) => note) && row("note", people.map(({note}) => note || "–")),
      contacts.map(({parts, has}) => h("tr", {class: has.every(Boolean) ? "" : "differs"},
        h("th", {scope: "row"}, parts.map(({name, side}, person) => h("span", {class: "part"}, personBadge(person), sideBadge(side), name))),
        has.map((yes) => h("td", {class: "has"}, yes ? "✓ touches" : "–"))))),
    h("div", {class: "row"}, mayWrite && contacts.some(({has}) => !has.every(Boolean)) && people.filter(({review}) => review !== null).map(({who, review}) =>
      button("take-contacts", `Take ${who}'s contacts`, null, {class: "small", "data-id": review}))));
}

const row = (title, cells) => h("tr", {}, h("th", {scope: "row"}, title), cells.map((cell) => h("td", {class: "has"}, cell)));
