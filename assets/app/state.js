// What the page knows: the server's last screen, what the curator looks at, and the one way to change either.

const listeners = new Set();
const waiting = [];
let tell = null; // {act, mesh}: the events of the component that talks to the server
let sent = null; // {name, timer}: the request that the server has not answered yet
let solid = ""; // the meshes that the 3D viewer was last given

export const state = {
  screen: null,
  live: null, // progress of the running fit
  selected: null, // contact id
  hovered: null,
  saving: false,
  mesh: "fit", // or "start"
  view: "orbit", // or "front", "side", "top"
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
    });
    remember(screen);
    showSolid();
    flush();
  };
  watch("value", receive);
  receive();
}

/** Whether a fit job waits or runs. */
export const isRunning = (job) => ["queued", "running"].includes(job?.state);

/** Give the 3D viewer the chosen meshes, start or fit, if it shows others. */
export function showSolid() {
  const now = pair();
  const wanted = (state.mesh === "start" ? null : now?.fit.solid) ?? now?.start.solid ?? {};
  const name = JSON.stringify(wanted);
  if (name === solid) return;
  solid = name;
  tell.mesh(wanted);
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
