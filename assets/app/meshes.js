// Around the 3D viewer: which meshes it shows, and the same meshes from the front, the side and above.

import {button, h, personBadge, replace, sideBadge} from "./dom.js";
import {show} from "./picture.js";

const STILLS = [["front", "Front", "⇧2"], ["side", "Side", "⇧3"], ["top", "Top", "⇧4"]];

export function mountHead(root) {
  const head = h("div", {class: "head"});
  root.replaceChildren(h("section", {class: "panel meshes-head", "aria-label": "Meshes"}, head));
  return ({screen: {pair}, mesh, live}) => {
    const shown = pair?.fit.overlay ? mesh : "start";
    const choice = (name, label) => button(name, label, null, {class: "toggle", "aria-pressed": String((name === "start") === (shown === "start")), disabled: name === "fitted" && !pair?.fit.overlay});
    replace(head, h("h2", {}, "Meshes"), pair?.start.overlay && h("div", {class: "tools"},
      h("span", {class: "legend muted"}, personBadge(0), personBadge(1), sideBadge("left"), sideBadge("right"), "contact"),
      live?.overlay ? h("span", {class: "muted"}, "fitting …") : [choice("start", "Start"), choice("fitted", "Fit")]));
  };
}

export function mountStills(root) {
  const strip = h("div", {class: "stills"});
  const large = h("button", {type: "button", class: "large", "data-act": "orbit", title: "Back to the 3D view"}, h("img", {alt: "The meshes, larger"}), h("span", {class: "caption"}));
  const empty = h("p", {class: "sentence"});
  root.replaceChildren(h("section", {class: "panel stills-panel", "aria-label": "Still views"}, large, empty, strip));
  for (const [view, label, key] of STILLS)
    strip.append(h("button", {type: "button", class: "still", "data-act": view, "data-view": view, title: `${label} view, larger`},
      h("img", {alt: `The meshes from the ${view}`}), h("span", {class: "caption"}, label, h("kbd", {}, key))));
  return ({screen: {pair}, mesh, live, view}) => {
    const still = (mesh === "start" ? null : pair?.fit.stills) ?? pair?.start.stills ?? {};
    for (const node of strip.children) {
      show(node.querySelector("img"), still[node.dataset.view]);
      node.setAttribute("aria-pressed", String(view === node.dataset.view));
    }
    // The 3D viewer and the strip keep their last meshes while a fit runs; it is watched in the large view.
    const shown = live?.stills ? live.stills[view === "orbit" ? "side" : view] : still[view];
    large.hidden = !shown;
    show(large.querySelector("img"), shown);
    replace(large.querySelector(".caption"), ...(live?.stills ? ["the fit as it runs"] : ["back to 3D", h("kbd", {}, "⇧1")]));
    strip.hidden = !still.front;
    empty.hidden = Boolean(still.front);
    replace(empty, pair?.noMesh ?? "");
  };
}
