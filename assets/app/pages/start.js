// Entry of every page: the top bar, then the page's own script.

import {h} from "../dom.js";
import * as keylist from "../keylist.js";
import {listen} from "../keymap.js";
import {goTo, has} from "../nav.js";
import {theme} from "../theme.js";
import {bar, context} from "./shell.js";

theme.start();
const main = h("main", {class: `page ${context.page}`, id: "main"});
const keys = h("div", {class: "apu-keys"});
document.body.append(h("a", {class: "skip", href: "#main"}, "Skip to the page"), bar(), main, keys);
document.addEventListener("click", (event) => {
  if (event.detail > 0) event.target.closest?.("button")?.blur(); // after a click by mouse the keys act again
});
const page = await import(`./${context.page}.js`);
page.mount(main);
keylist.mount(keys, {page: context.page, allowed: (name) => (name.startsWith("go-") ? has(name.slice(3)) : context.mayWrite || !page.writes?.has(name))});
listen(context.page, (name, event) => {
  if (name === "keys") return keylist.toggle();
  if (name.startsWith("go-")) return goTo(name.slice(3));
  return page.perform ? page.perform(name, event) : false;
});
