// What the page knows: the server's last screen, what the curator looks at, and the one way to change either.

const listeners = new Set();
const waiting = [];
let tell = null; // {act}: the events of the component that talks to the server
let sent = null; // {name, timer}: the request that the server has not answered yet

export const state = {
  screen: null,
  live: null, // progress of the running fit
  selected: null, // contact id
  hovered: null,
  saving: false,
  pointed: null, // {person, name, side}: a body part under the pointer
  adding: null, // the parts of a contact that is being added: [part of A, part of B], either may be null
  mesh: "fit", // or "start"
  view: "free", // or "photo", "front", "side", "top"
  people: [true, true], // shown in 3D
  heat: false, // penetration in 3D
  compare: {on: false, left: null, right: null}, // ids of `fitList`; null: the start and the current fit
  tab: "photo", // or "meshes": what a small screen shows
  layers: {points: true, lines: true, mesh: true, wipe: false, opacity: 0.6},
  keys: localStorage.getItem("apu.keys") !== "off",
};

/** Call `draw(state)` now, where there is a screen, and after every change. */
export function subscribe(draw) {
  listeners.add(draw);
  if (state.screen) draw(state);
}

export function change(values) {
  Object.assign(state, values);
  if (state.screen) for (const draw of listeners) draw(state);
}

/** Who works here: the account where there is one, else the name given on this page. */
export const curator = () => (!state.screen?.role && localStorage.getItem("apu.curator")) || state.screen?.curator || "";

export const pair = () => state.screen?.pair ?? null;

export const selected = () => pair()?.contacts.find((line) => line.id === state.selected) ?? null;

/** Connect the component that talks to the server; called once by its own script. */
export function connect(props, watch, events) {
  tell = events;
  const receive = () => {
    const screen = props.value;
    if (!screen?.serial) return;
    clearTimeout(sent?.timer);
    sent = null;
    const moved = screen.pair?.id !== state.screen?.pair?.id;
    const kept = screen.pair?.contacts.some((line) => line.id === state.selected);
    change({
      screen,
      saving: waiting.length > 0,
      live: moved || !isRunning(screen.pair?.job) ? null : state.live,
      selected: kept && !moved ? state.selected : doubtful(screen.pair?.contacts ?? []),
      ...(moved && {adding: null, pointed: null, hovered: null, compare: {...state.compare, left: null, right: null}}),
    });
    remember(screen);
    flush();
  };
  watch("value", receive);
  receive();
}

/** Whether a fit job waits or runs. */
export const isRunning = (job) => ["queued", "running"].includes(job?.state);

/** The contact that is lit up everywhere, the one under the pointer or else the chosen one; null: none. */
export function lit({screen, hovered, selected, adding}) {
  const lines = adding ? [] : screen.pair?.contacts.filter((line) => !line.dropped) ?? [];
  return [hovered, selected].find((id) => lines.some((line) => line.id === id)) ?? null;
}

/** Start and fits of a pair by name, oldest first. */
export const versions = (now) => (now?.fitList ?? []).map((each, index, all) =>
  ({...each, name: !each.number ? "Start" : `Fit ${each.number}${index === all.length - 1 ? " · current" : ""}`}));

/** The two that a comparison shows; a running fit stands at the right. */
export function compared({screen: {pair: now}, live, compare}) {
  const all = versions(now);
  if (!all.length) return null;
  const find = (id, other) => all.find((each) => each.id === id) ?? other;
  const [left, right] = [find(compare.left, all[0]), find(compare.right, all.at(-1))];
  return [left, live?.overlay ? {...right, ...live, id: right.id, name: "As the fit runs", words: live.sentence, figures: []} : right];
}

/** What is shown where nothing is compared: the running fit, else what is chosen, else the start. */
export function shown({screen: {pair: now}, live, mesh}) {
  if (live?.overlay) return live;
  return mesh !== "start" && now?.fit.overlay ? now.fit : now?.start;
}

/** The contact to begin with: the first that the denoiser doubts, else the first. */
const doubtful = (contacts) => (contacts.find((line) => line.suggestion) ?? contacts[0])?.id ?? null;

/** Ask the server for something; requests go one after the other, each from the revision the last one made. */
export function act(name, values = {}) {
  waiting.push({name, ...values});
  change({saving: true});
  flush();
}

/** Whether an action has been asked for that the server has not answered yet. */
export const isAsked = (name) => sent?.name === name || waiting.some((action) => action.name === name);

function flush() {
  if (sent || !waiting.length || !tell || !state.screen) return;
  const action = {
    pair: pair()?.id,
    revision: pair()?.revision,
    ...waiting.shift(),
    curator: curator(),
  };
  sent = {name: action.name, timer: setTimeout(unanswered, 15000)};
  tell.act(action);
}

async function unanswered() {
  sent = null;
  waiting.length = 0;
  const asked = await fetch("config", {method: "HEAD"}).catch(() => null);
  const text = asked?.status === 401
    ? "You are logged out, so the last change is not saved; reload this page to log in again."
    : "The server did not answer, so the last change may not be saved; reload to see what is.";
  change({saving: false, screen: {...state.screen, notice: {kind: "error", text}}});
}

function remember(screen) {
  const url = new URL(location.href);
  const id = screen.pair?.id?.toString() ?? null;
  if (url.searchParams.get("pair") === id) return;
  if (id === null) url.searchParams.delete("pair");
  else url.searchParams.set("pair", id);
  const first = history.state?.apu === undefined;
  history[first ? "replaceState" : "pushState"]({apu: true}, "", url);
}

addEventListener("popstate", () => {
  const id = Number(new URL(location.href).searchParams.get("pair"));
  if (id && id !== pair()?.id) act("open", {pair: id});
});
