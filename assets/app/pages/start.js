// Entry of every page: the top bar, then the page's own script.

import {h} from "../dom.js";
import {theme} from "../theme.js";
import {bar, context} from "./shell.js";

theme.start();
const main = h("main", {class: `page ${context.page}`, id: "main"});
document.body.append(h("a", {class: "skip", href: "#main"}, "Skip to the page"), bar(), main);
document.addEventListener("click", (event) => {
  if (event.detail > 0) event.target.closest?.("button")?.blur(); // after a click by mouse the keys act again
});
const page = await import(`./${context.page}.js`);
page.mount(main);
