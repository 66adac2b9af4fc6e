// The filters of the queue with the number of pairs that each choice leaves; the drawer listens for them.

import {button, h, replace} from "./dom.js";
import {states} from "./queue.js";

const RANGES = [["confidence", "confidence", "0 to 1"], ["gap", "gap, cm", "largest gap"], ["error", "error", "reprojection"]];

export function drawFilters(root, counts, named, {trouble, mayWrite, mayArrange, reasons, teamOpen, agreed}) {
  replace(root,
    trouble && h("p", {class: "trouble", role: "alert"}, trouble),
    waiting(counts, mayWrite),
    group("State", chips(counts.states.map(([state, words, count]) =>
      chip("state", state, words, count, states(named).includes(state))))),
    group("Interaction", chips(counts.interactions.map(([name, count]) =>
      chip("interaction", name, name || "not named", count, named.getAll("interaction").includes(name))))),
    group("More",
      pick("source", "source", counts.sources, named.get("source"), named.has("source")),
      pick("curator", "decided by", counts.curators, named.get("curator"), named.has("curator")),
      ...RANGES.map(([name, words, title]) => range(name, words, title, named.get(name))),
      chips([
        chip("simulated", "1", "simulated", counts.simulated, named.get("simulated") === "1"),
        chip("simulated", "0", "not simulated", null, named.get("simulated") === "0"),
        chip("disagrees", "1", "disagreements", counts.disagrees, named.get("disagrees") === "1")])),
    views(counts, mayWrite),
    mayArrange && team(reasons, counts.share, teamOpen, agreed),
  );
}

const group = (title, ...content) => h("fieldset", {"data-id": title}, h("legend", {}, title), content);

const chips = (content) => h("div", {class: "chips"}, content);

const chip = (name, value, words, count, pressed) =>
  h("button", {type: "button", class: "chip", "data-name": name, "data-value": value, "data-id": `${name}=${value}`, "aria-pressed": String(pressed)},
    h("span", {class: "text"}, words), count !== null && h("span", {class: "n"}, String(count)));

function pick(name, words, counted, chosen, isChosen) {
  const known = counted.some(([value]) => value === chosen) || !isChosen ? counted : [[chosen, 0], ...counted];
  return h("label", {class: "pick", "data-id": name}, words,
    h("select", {"data-name": name, "data-id": `${name} ${chosen}`}, h("option", {value: "", selected: !isChosen}, "any"),
      known.filter(([value]) => value).map(([value, count]) => h("option", {value, selected: isChosen && value === chosen}, `${value} (${count})`))));
}

function range(name, words, title, limits) {
  const [low, high] = (limits ?? "..").split("..");
  const end = (label, value) => h("input", {
    "data-name": name, "data-end": label, "data-id": `${name} ${label} ${value}`, "aria-label": `${words} ${label}`, title, inputmode: "decimal", value, placeholder: label,
  });
  return h("div", {class: "range", role: "group", "aria-label": words}, h("span", {}, words), end("from", low), "–", end("to", high));
}

/** What waits for this curator apart from the queue. */
function waiting({reviews, unsettled, skipped}, mayWrite) {
  if (!mayWrite || (!reviews && !unsettled && !skipped.length)) return null;
  return h("div", {class: "waiting", "data-id": "waiting"},
    reviews > 0 && h("div", {class: "row"}, `${reviews} second ${reviews === 1 ? "review waits" : "reviews wait"} for you`, button("review", "Review", null, {class: "small"})),
    unsettled > 0 && h("div", {class: "row"}, `${unsettled} ${unsettled === 1 ? "disagreement" : "disagreements"} to settle`,
      h("button", {type: "button", class: "small", "data-view": "disagrees=1"}, "Show")),
    skipped.length > 0 && h("div", {class: "row"}, "put aside"),
    skipped.length > 0 && chips(skipped.map((id) =>
      h("button", {type: "button", class: "chip", "data-act": "come-back", "data-id": id, title: "Take it up again"}, `pair ${id}`))));
}

function views({views: saved, query}, mayWrite) {
  return group("Views",
    chips(saved.map((view) => [
      h("button", {type: "button", class: "chip", "data-view": view.query, "data-id": `${view.owner} ${view.name}`, "aria-pressed": String(view.query === query)},
        h("span", {class: "text"}, view.name), !view.mine && h("span", {class: "n"}, view.owner)),
      view.mine && h("button", {type: "button", class: "chip quiet", "data-remove": view.name, "data-id": `remove ${view.name}`, "aria-label": `Forget the view ${view.name}`, title: "Forget this view"}, "×")])),
    !saved.length && h("p", {class: "muted"}, "A view keeps filter and order under a name, for everybody."),
    mayWrite && h("form", {class: "row", "data-form": "view", "data-id": "save a view"},
      h("input", {"aria-label": "Name of the view", placeholder: "Name", maxlength: 60, required: true}), h("button", {class: "small"}, "Save view")));
}

/** What an admin arranges for everybody, and how far curators agree. */
const team = (reasons, share, open, agreed) => h("details", {"data-id": "team", open}, h("summary", {}, "Reasons and second reviews"),
  h("form", {"data-form": "team", class: "waiting"},
    h("label", {}, "Reasons, one a line", h("textarea", {rows: 6, "data-id": reasons.join("\n")}, reasons.join("\n"))),
    h("label", {class: "row"}, "judged twice, %", h("input", {type: "number", min: 0, max: 100, step: 1, required: true, value: Math.round(100 * share), "data-id": share})),
    h("button", {class: "small"}, "Save for everybody")),
  agreed && agreement(agreed));

function agreement({given, waiting: open, curators}) {
  const share = (value) => (value === null ? "–" : `${Math.round(100 * value)} %`);
  const cells = (tag, texts) => texts.map((text) => h(tag, {}, text));
  return h("div", {class: "agreement"}, h("p", {class: "muted"}, `${given} second reviews given, ${open} open`),
    curators.length > 0 && h("table", {},
      h("tr", {}, cells("th", ["decided, reviewed", "n"]), h("th", {title: "Cohen's kappa: agreement of the decisions beyond chance; 1 is full"}, "kappa"),
        h("th", {title: "F1 of the contacts, equal in parts and sides"}, "F1"), h("th", {title: "Contacts that both have, with a side that differs"}, "sides")),
      curators.map((each) => h("tr", {"data-id": `${each.first} ${each.second}`},
        cells("td", [`${each.first}, ${each.second}`, String(each.reviews), each.kappa === null ? "–" : each.kappa.toFixed(2), share(each.f1), share(each.sideFlips)])))));
}
