// Which key does what, on every page: the page's own choice, and what the curator has made of it in this browser.

/**
 * Page -> title of a group -> action -> [keys, words]. Keys are strokes as `strokes` names them, two of them after each
 * other with a space between. "everywhere" holds on every page beside its own.
 */
export const GROUPS = {
  review: {
    "Contacts": {
      up: ["ArrowUp", "the contact above"],
      down: ["ArrowDown", "the contact below"],
      flip: ["f", "flip the contact: both sides"],
      "flip-a": ["1", "flip A's side only"],
      "flip-b": ["2", "flip B's side only"],
      take: ["t", "take the suggested sides"],
      "take-all": ["shift+f", "take every suggestion"],
      drop: ["x", "drop or restore the contact"],
      add: ["n", "add a contact"],
      "mirror-a": ["m a", "mirror A: left and right in every contact"],
      "mirror-b": ["m b", "mirror B"],
      swap: ["s", "swap the two people"],
      undo: ["u", "undo the latest change"],
    },
    "Fit and decide": {
      fit: ["Enter", "fit or refit"],
      afresh: ["shift+Enter", "fit from the start, not from the last fit"],
      fan: ["e", "alternatives; then a digit takes one"],
      cancel: ["Escape", "stop the fit"],
      accept: ["a", "accept"],
      reject: ["r", "reject, then a reason's digit (again: without)"],
      flag: ["g", "flag, then a reason's digit (again: without)"],
      next: ["Space", "next pair without deciding"],
      previous: ["Backspace", "back"],
      skip: ["l", "later: put the pair aside"],
      decisions: ["z", "your latest decisions; again: take the latest back"],
      queue: ["q", "the queue: filters, order, pairs"],
      find: ["/", "search the queue"],
    },
    "Look": {
      points: ["k", "keypoints on or off"],
      lines: ["c", "contact lines on or off"],
      mesh: ["o", "meshes over the photograph"],
      wipe: ["w", "before / after"],
      compare: ["v", "compare two fits"],
      "zoom-in": ["+", "zoom the photograph in"],
      "zoom-out": ["-", "zoom out"],
      "zoom-all": ["0", "the whole photograph"],
      photo: ["shift+1", "3D from the photograph's camera"],
      front: ["shift+2", "from the front"],
      side: ["shift+3", "from the side"],
      top: ["shift+4", "from above"],
      heat: ["h", "how deep bodies reach into each other"],
      "person-a": ["shift+a", "show or hide A in 3D"],
      "person-b": ["shift+b", "show or hide B in 3D"],
      tab: ["d", "photograph or meshes, on a small screen"],
      "tour-next": [".", "the tour's next card"],
    },
  },
  library: {
    "Library": {
      "library-find": ["/", "search"],
      "library-choose": ["x", "choose the pair, or no longer"],
      "library-range": ["shift+x", "choose all from the last one to here"],
      "library-page": ["shift+a", "choose this page; again: all that match"],
      "library-none": ["Escape", "choose none"],
      "library-left": ["ArrowLeft", "the pair at the left"],
      "library-right": ["ArrowRight", "the pair at the right"],
      "library-up": ["ArrowUp", "the pair above"],
      "library-down": ["ArrowDown", "the pair below"],
    },
  },
  pair: {"Pair": {"pair-before": ["ArrowLeft", "the pair before"], "pair-after": ["ArrowRight", "the next pair"]}},
  study: {
    "Rating": {
      "rate-left": ["1", "prefer the left"],
      "rate-right": ["2", "prefer the right"],
      "rate-same": ["s", "both the same"],
      "rate-back": ["Backspace", "back to the last rating"],
      "rate-stop": ["Escape", "stop for now"],
    },
  },
  everywhere: {
    "Pages": {
      "go-review": ["p r", "review"],
      "go-library": ["p l", "library"],
      "go-insights": ["p i", "insights"],
      "go-study": ["p s", "study"],
      "go-runs": ["p u", "runs"],
      keys: ["?", "this list"],
    },
  },
};

const STORE = "apu.keymap";
const SWITCH = "apu.keys";
const WAIT_MS = 1500; // the second of two strokes comes within this
const LABELS = {ArrowUp: "↑", ArrowDown: "↓", ArrowLeft: "←", ArrowRight: "→", Enter: "⏎", Escape: "Esc", Backspace: "⌫", Delete: "Del"};

const KNOWN = new Map(); // action -> {page, keys, words}
for (const [page, groups] of Object.entries(GROUPS))
  for (const actions of Object.values(groups))
    for (const [name, [keys, words]] of Object.entries(actions)) KNOWN.set(name, {page, keys, words});

let own = stored(); // what differs from the defaults: action -> keys, "" for none
const listeners = new Set();

function stored() {
  try {
    const found = Object.entries(JSON.parse(localStorage.getItem(STORE) ?? "{}"));
    return Object.fromEntries(found.filter(([name, keys]) => KNOWN.has(name) && typeof keys === "string" && keys.length <= 40));
  } catch {
    return {};
  }
}

/** Call `listen()` whenever a key has changed, here or in another tab. */
export const onChange = (listen) => listeners.add(listen);

function changed() {
  for (const node of document.querySelectorAll("kbd[data-key]")) {
    node.textContent = label(node.dataset.key);
    node.hidden = !node.textContent;
  }
  document.body.classList.toggle("no-keys", !isOn());
  for (const listen of listeners) listen();
}

addEventListener("storage", ({key}) => {
  if (key !== STORE && key !== SWITCH) return;
  own = stored();
  changed();
});

/** Whether single keys act at all. */
export const isOn = () => localStorage.getItem(SWITCH) !== "off";

export function switchOn(on) {
  localStorage.setItem(SWITCH, on ? "on" : "off");
  changed();
}

/** An action's keys now, "" for none; its own ones; whether they are the same; what it does in words. */
export const keysOf = (name) => own[name] ?? KNOWN.get(name)?.keys ?? "";
export const isOwn = (name) => name in own;
export const wordsOf = (name) => KNOWN.get(name).words;
export const anyOwn = () => Object.keys(own).length > 0;

/** Give an action other keys, "" for none. */
export function assign(name, keys) {
  if (keys === KNOWN.get(name).keys) delete own[name];
  else own[name] = keys;
  localStorage.setItem(STORE, JSON.stringify(own));
  changed();
}

/** An action's default keys again; without a name, every action's. */
export function restore(name) {
  if (name) return assign(name, KNOWN.get(name).keys);
  own = {};
  localStorage.removeItem(STORE);
  changed();
}

/** The default keys of an action. */
export const defaultOf = (name) => KNOWN.get(name).keys;

const together = (a, b) => a === b || a === "everywhere" || b === "everywhere";
const clash = (a, b) => a === b || a.startsWith(`${b} `) || b.startsWith(`${a} `);

/** The other actions of the same page that these keys would also set off, or that their first stroke would hide. */
export const rivals = (name, keys) => [...KNOWN].filter(([other, {page}]) =>
  keys && other !== name && together(page, KNOWN.get(name).page) && keysOf(other) && clash(keysOf(other), keys)).map(([other]) => other);

/** Keys as they are printed on a button: "⇧F", "M A". */
export const printed = (keys) => keys.split(" ").map((stroke) => {
  const key = stroke.replace(/^shift\+(?=.)/, "");
  return (key === stroke ? "" : "⇧") + (LABELS[key] ?? (key.length === 1 ? key.toUpperCase() : key));
}).join(" ");

/** An action's keys as they are printed; "" for none. */
export const label = (name) => printed(keysOf(name));

/** Whether the page's own choice for an action is printed like this. */
export const isDefault = (name, text) => KNOWN.has(name) && printed(KNOWN.get(name).keys) === text;

/** What a press may be called, the likeliest first; none where it is the browser's. Shift and a digit is both a digit
 *  and the sign that a keyboard has there. */
export function strokes(event) {
  if (event.ctrlKey || event.metaKey || event.altKey || event.isComposing) return [];
  if (["Shift", "Control", "Alt", "Meta", "AltGraph", "CapsLock", "Dead", "Unidentified"].includes(event.key)) return [];
  const key = event.key === " " ? "Space" : event.key.length === 1 ? event.key.toLowerCase() : event.key;
  const digit = /^Digit(\d)$/.exec(event.code ?? "")?.[1];
  const shifts = event.shiftKey && (key.length > 1 || key !== key.toUpperCase()); // signs need Shift to be typed at all
  return [event.shiftKey && digit && `shift+${digit}`, shifts ? `shift+${key}` : key].filter(Boolean);
}

const typing = (target) => target.closest("input:not([type=range],[type=checkbox],[type=radio]), textarea, select, [contenteditable]");
const pressing = (event) => ["Enter", " "].includes(event.key) && event.target.closest("button, a, summary, label, input:not([type=range])");

/**
 * The one keyboard listener of a page; text fields and focused buttons keep their own keys.
 *
 * `perform(name, event)` does an action of the page or of "everywhere" and gives false where it has nothing to do with
 * the press. `first(event)` is asked before: true where something open on the page has taken the press.
 */
export function listen(page, perform, first = () => false) {
  const mine = [...KNOWN].filter(([, known]) => together(known.page, page)).map(([name]) => name);
  let [prefix, until] = ["", 0];
  document.body.classList.toggle("no-keys", !isOn());
  document.addEventListener("keydown", (event) => {
    if (!(event.target instanceof Element)) return;
    if (event.key === "Escape" && typing(event.target)) return event.target.blur();
    if (typing(event.target) || pressing(event)) return;
    const named = strokes(event);
    if (!named.length) return;
    const begun = performance.now() < until ? `${prefix} ` : "";
    until = 0;
    const allowed = isOn() ? mine : mine.filter((name) => name === "keys" || keysOf(name) === "Escape");
    if (isOn() && !begun && first(event)) return event.preventDefault();
    for (const keys of named.map((stroke) => begun + stroke)) {
      const name = allowed.find((each) => keysOf(each) === keys);
      if (name) {
        if (perform(name, event) !== false) event.preventDefault();
        return;
      }
      if (allowed.some((each) => keysOf(each).startsWith(`${keys} `))) {
        [prefix, until] = [keys, performance.now() + WAIT_MS];
        return event.preventDefault();
      }
    }
    if (begun) event.preventDefault(); // the second of two strokes is nothing by itself
  });
}
