// A filter as a form beside the list; what it says is the page's address, as `app/filters.py` reads it.

import {h} from "../dom.js";
import {context} from "./shell.js";

const TYPING_MS = 150;
const {states: STATES, orders: ORDERS} = context.words;

const field = (label, ...inputs) => h("label", {class: "field"}, h("span", {}, label), ...inputs);
const pick = (name, choices, value) => h("select", {name}, choices.map(([key, label]) =>
  h("option", {value: key, selected: key === value}, label)));

/** "FROM..TO" of two number fields; nothing where both are empty. */
function range(name, label, unit, step, query) {
  const [low, high] = (query.get(name) ?? "..").split("..");
  const end = (value, words) => h("input", {type: "number", class: "short", step, min: 0, value, "data-range": name, "aria-label": `${label}, ${words}`, placeholder: words});
  return h("div", {class: "field", role: "group", "aria-label": label}, h("span", {}, label, unit && h("span", {class: "muted"}, ` ${unit}`)),
    h("span", {class: "ends"}, end(low, "from"), "–", end(high, "to")));
}

/**
 * The form for an address; `changed(query)` hears the new one. `fill(facets)` puts the numbers beside the choices.
 */
export function filterForm(query, {names, changed}) {
  const states = h("fieldset", {class: "states"}, h("legend", {}, "State"), Object.entries(STATES).map(([state, label]) =>
    h("label", {class: "check"}, h("input", {type: "checkbox", name: "state", value: state, checked: query.getAll("state").includes(state)}),
      h("span", {}, label), h("span", {class: "number muted", "data-state": state}))));
  const sources = h("select", {name: "source"}, h("option", {value: ""}, "all"));
  const interactions = h("select", {name: "interaction"}, h("option", {value: ""}, "all"));
  const form = h("form", {class: "filters", "aria-label": "Filter", onsubmit: (event) => { event.preventDefault(); send(); }},
    field("Search", h("input", {type: "search", name: "q", value: query.get("q") ?? "", placeholder: "file, action or interaction", maxlength: 200})),
    states,
    field("Source", sources),
    field("Interaction", interactions),
    range("confidence", "Confidence", "0 to 1", 0.05, query),
    range("error", "Reprojection error", "px", 1, query),
    range("gap", "Largest gap", "cm", 0.5, query),
    names && field("Decided by", h("input", {name: "curator", value: query.get("curator") ?? "", maxlength: 60})),
    field("Second reviews", pick("disagrees", [["", "any"], ["1", "disagree"], ["0", "do not disagree"]], query.get("disagrees") ?? "")),
    field("Pictures", pick("simulated", [["", "any"], ["1", "simulated"], ["0", "photographs"]], query.get("simulated") ?? "")),
    field("Order", pick("order", Object.entries(ORDERS), query.get("order") ?? "id")),
    h("div", {class: "row"}, h("button", {type: "button", class: "quiet", onclick: () => changed(new URLSearchParams())}, "Clear all")));
  let wait = null;
  const send = () => {
    clearTimeout(wait);
    changed(read(form));
  };
  form.addEventListener("change", send);
  form.elements.q.addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(send, TYPING_MS); });
  return {
    node: form,
    fill(facets) {
      for (const node of form.querySelectorAll("[data-state]")) node.textContent = (facets.state[node.dataset.state] ?? 0).toLocaleString("en");
      choices(sources, facets.source, query.get("source"));
      choices(interactions, facets.interaction, query.get("interaction"));
    },
  };
}

function choices(select, counts, chosen) {
  const names = Object.keys(counts).filter((name) => name !== "");
  if (chosen && !names.includes(chosen)) names.push(chosen);
  select.replaceChildren(h("option", {value: ""}, "all"), ...names.map((name) =>
    h("option", {value: name, selected: name === chosen}, counts[name] === undefined ? name : `${name} (${counts[name].toLocaleString("en")})`)));
}

function read(form) {
  const query = new URLSearchParams();
  for (const [name, value] of new FormData(form)) if (value !== "" && !(name === "order" && value === "id")) query.append(name, value);
  for (const name of ["confidence", "error", "gap"]) {
    const [low, high] = [...form.querySelectorAll(`[data-range=${name}]`)].map((input) => input.value);
    if (low || high) query.set(name, `${low}..${high}`);
  }
  return query;
}
