// What the pages share: the top bar, asking the server, and saying what happened.

import {h, hint} from "../dom.js";
import * as keylist from "../keylist.js";
import {nav} from "../nav.js";
import {theme} from "../theme.js";
import {give, given, tell} from "../who.js";

/** Who looks at which page of what, as the server wrote it into the document. */
export const context = JSON.parse(document.getElementById("context").textContent);

const said = h("div", {class: "said", role: "status", "aria-live": "polite"});

/** The curator's name that changes are stored under: the account's, else the one given in this browser. */
export const curator = () => (context.role ? context.curator : given() || context.curator);

if (!context.role) tell(curator()); // before any picture is asked for

/** An address with the name of who looks: what they are to judge without a sight of others' work depends on it. */
export const seen = (url) => (context.role ? url : `${url}${url.includes("?") ? "&" : "?"}as=${encodeURIComponent(curator())}`);

/** Say one sentence in the top bar; `kind` is "", "done" or "error". An `undo` gets a button. */
export function say(text, kind = "", undo = null) {
  said.replaceChildren(...(text ? [h("span", {class: `notice ${kind}`}, text,
    undo && h("button", {type: "button", onclick: undo}, "Undo"))] : []));
}

async function ask(url, options) {
  let answer;
  try {
    answer = await fetch(url, {...options, headers: {accept: "application/json", "content-type": "application/json"}});
  } catch {
    throw new Error("The server does not answer. Check that it runs, then try again.");
  }
  if (answer.ok) return answer.json();
  if (answer.status === 401) throw new Error("You are logged out; reload this page to log in again.");
  const text = await answer.text();
  let sentence = text;
  try {
    const values = JSON.parse(text);
    sentence = values.error ?? "The server does not understand what this page sent; reload it.";
  } catch { /* a plain sentence */ }
  throw new Error(sentence.slice(0, 500));
}

/** The JSON at an address; an Error has the sentence to show. */
export const get = (url, signal) => ask(url, {signal});

/** Change something; the curator's name goes along. */
export const post = (url, values) => ask(url, {method: "POST", body: JSON.stringify({curator: curator(), ...values})});

/** Show a promise's error as a sentence; gives its value, or undefined. */
export async function tried(promise) {
  try {
    return await promise;
  } catch (error) {
    if (error.name !== "AbortError") say(error.message, "error");
    return undefined;
  }
}

/** "1 pair", "1,234 pairs". */
export const count = (number, word) => `${number.toLocaleString("en")} ${word}${number === 1 ? "" : "s"}`;

/** The top bar. */
export function bar() {
  const pages = context.readOnly ? ["library", "insights"] : undefined;
  const who = context.role
    ? h("span", {class: "muted"}, context.readOnly ? "read only" : `${context.curator}, ${context.role}`)
    : h("label", {class: "who"}, "curator", h("input", {
        class: "curator", "aria-label": "Your name, stored with every decision", value: curator(), maxlength: 60, spellcheck: "false", autocomplete: "off",
        onchange: (event) => {
          give(event.target.value.trim());
          tell(curator());
        },
      }));
  return h("header", {class: "bar"},
    h("strong", {class: "workspace"}, context.workspace),
    nav(context.page === "pair" ? "library" : context.page, pages), said,
    h("div", {class: "tools"}, who,
      context.role && !context.readOnly && h("form", {method: "post", action: "logout"}, h("button", {class: "quiet", title: "End this session"}, "Log out")),
      h("button", {type: "button", class: "quiet", onclick: theme.toggle}, "Light / dark"),
      h("button", {type: "button", class: "quiet", onclick: () => keylist.toggle()}, "Keys", hint("keys", "?"))));
}
