// The line at the top: where we are, what was just said, who works here.

import {button, h, hint, replace} from "./dom.js";
import {nav} from "./nav.js";
import {change, curator, look, pair} from "./state.js";
import {theme as themes} from "./theme.js";
import {give, tell} from "./who.js";

const NAME = "Your name, stored with every decision";

export function mount(root) {
  const workspace = h("strong", {class: "workspace"});
  const place = h("div", {class: "place"});
  const said = h("div", {class: "said", role: "status", "aria-live": "polite"});
  const name = h("input", {
    class: "curator", "aria-label": NAME, title: NAME,
    maxlength: 60, spellcheck: "false", autocomplete: "off",
    onchange: (event) => {
      const text = event.target.value.trim();
      give(text);
      tell(text);
      if (!text) location.reload(); // the server says who it takes for them
      else look({pair: pair()?.id}); // their drafts and their pace
    },
  });
  const leave = h("form", {method: "post", action: "logout", hidden: true},
    h("button", {class: "quiet", title: "End this session"}, "Log out"));
  root.replaceChildren(h("header", {class: "bar"}, workspace, nav("review"), place, said, h("div", {class: "tools"},
    h("label", {class: "who"}, "curator", name),
    leave,
    button("theme", "Light / dark", null, {class: "quiet"}),
    button("keys", "Keys", "?", {class: "quiet"}),
  )));
  return ({screen, saving}) => {
    workspace.textContent = screen.workspace;
    replace(place, ...where(screen));
    replace(said, ...words(screen, saving));
    if (document.activeElement !== name) name.value = curator();
    name.readOnly = Boolean(screen.role);
    leave.hidden = !screen.role;
    name.title = screen.role ? `Logged in as ${screen.role}` : NAME;
  };
}

function where({queue, pair, review}) {
  const share = queue.whole ? (100 * queue.decided) / queue.whole : 0;
  return [
    h("button", {type: "button", class: "here", "data-act": "queue", title: `Queue: ${queue.words}`, "aria-label": `Queue: ${queue.words}`},
      pair && h("span", {class: "count"}, standing(queue, pair, review)), h("span", {class: "words"}, review ? "" : queue.words), hint("queue", "Q")),
    queue.whole > 0 && h("span", {class: "progress", role: "img", "aria-label": `${queue.decided} of ${queue.whole} decided`, title: `${queue.decided} of ${queue.whole} decided`},
      h("span", {style: `width:${share}%`})),
    pair && h("span", {class: "pace", title: `Your own decisions: ${queue.today} today, ${queue.hour} in the last hour${queue.seconds === null ? "" : `, ${Math.round(queue.seconds)} seconds each (median)`}`}, pace(queue)),
    pair?.simulated && h("span", {class: "badge simulated", title: "The picture was rendered and its detections and answer drawn by this program; it shows no real people."}, "simulated"),
  ];
}

function standing({place, total}, pair, review) {
  if (review) return `second review, ${review.waiting} ${review.waiting === 1 ? "waits" : "wait"}`;
  return place === null ? `pair ${pair.id}, not in this queue of ${total}` : `${place} of ${total}`;
}

const pace = ({today, seconds}) => `${today} today` + (seconds === null ? "" : `, ${Math.round(seconds)} s each`);

function words({notice, pair, held}, saving) {
  const conflict = pair?.conflicts[0];
  if (conflict)
    return [h("span", {class: "notice error"}, conflict.text,
      button("apply-mine", "Apply mine", null, {"data-id": conflict.id}),
      button("keep-theirs", "Keep theirs", null, {"data-id": conflict.id}))];
  if (notice?.kind === "error") return [h("span", {class: "notice error"}, notice.text, notice.pair && button("open", `To pair ${notice.pair}`, null, {"data-id": notice.pair}))];
  if (held) return [h("span", {class: "notice held"}, `${held} is working on this pair.`, button("next", "Next free pair", "Space"))];
  if (notice) return [h("span", {class: `notice ${notice.kind}`}, notice.text)];
  if (saving) return [h("span", {class: "muted"}, "saving …")];
  return [pair?.saved && h("span", {class: "muted"}, `saved ${pair.saved}`)];
}

export const theme = {
  start: themes.start,
  toggle() {
    themes.toggle();
    change({});
  },
};
