// The way between the pages: links in the top bar, and keys.

import {h} from "./dom.js";
import {label, onChange} from "./keymap.js";

/** Page -> [address, name]; all relative, so that the server may lie below another path. */
const PAGES = {
  review: ["./", "Review"],
  library: ["library", "Library"],
  insights: ["insights", "Insights"],
  study: ["study", "Study"],
  runs: ["runs", "Runs"],
};
/** The links, with the page that is open marked; `pages` are the ones that this server has. */
export function nav(here, pages = Object.keys(PAGES)) {
  shown = pages;
  const links = h("div", {class: "links"}, pages.map((name) => {
    const [address, title] = PAGES[name];
    return h("a", {href: address, "aria-current": name === here && "page", "data-page": name}, title);
  }));
  const entitle = () => {
    for (const link of links.children) link.title = [link.textContent, label(`go-${link.dataset.page}`)].filter(Boolean).join(", key ");
  };
  entitle();
  onChange(entitle);
  // Where the bar is narrow the links are a list that this button opens.
  const open = h("button", {type: "button", class: "quiet", "aria-expanded": "false"}, `${PAGES[here][1]} ▾`);
  const show = (on) => {
    links.classList.toggle("open", on);
    open.setAttribute("aria-expanded", String(on));
  };
  open.addEventListener("click", () => show(!links.classList.contains("open")));
  const whole = h("nav", {class: "pages-nav", "aria-label": "Pages"}, open, links);
  whole.addEventListener("focusout", (event) => whole.contains(event.relatedTarget) || show(false));
  whole.addEventListener("keydown", (event) => event.key === "Escape" && show(false));
  return whole;
}

let shown = [];

/** Whether this server has a page. */
export const has = (name) => shown.includes(name);

/** Go to a page that this server has. */
export function goTo(name) {
  if (has(name)) location.href = PAGES[name][0];
}
