// The way between the pages: links in the top bar, and P followed by a page's letter.

import {h} from "./dom.js";

/** Page -> [address, name, key after P]; all relative, so that the server may lie below another path. */
const PAGES = {
  review: ["./", "Review", "r"],
  library: ["library", "Library", "l"],
  insights: ["insights", "Insights", "i"],
  study: ["study", "Study", "s"],
  runs: ["runs", "Runs", "u"],
};
const WAIT_MS = 1500;

const typing = (target) => target.closest?.("input:not([type=range],[type=checkbox],[type=radio]), textarea, select, [contenteditable]");

/** The links, with the page that is open marked; `pages` are the ones that this server has. */
export function nav(here, pages = Object.keys(PAGES)) {
  listen(pages);
  const links = h("div", {class: "links"}, pages.map((name) => {
    const [address, label, key] = PAGES[name];
    return h("a", {href: address, "aria-current": name === here && "page", title: `${label} (P ${key.toUpperCase()})`}, label);
  }));
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

/** P and a letter go to a page; heard before the page's own keys, which may use the same letters. */
function listen(pages) {
  let until = 0;
  addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing || typing(event.target)) return;
    if (localStorage.getItem("apu.keys") === "off") return;
    const key = event.key.toLowerCase();
    if (performance.now() < until) {
      until = 0;
      const page = pages.find((name) => PAGES[name][2] === key);
      consume(event);
      if (page) location.href = PAGES[page][0];
    } else if (key === "p" && !event.shiftKey) {
      until = performance.now() + WAIT_MS;
      consume(event);
    }
  }, {capture: true});
}

function consume(event) {
  event.preventDefault();
  event.stopImmediatePropagation();
}
