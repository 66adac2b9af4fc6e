// What the page knows: the server's last screen, what the curator looks at, and the one way to change either.

import {foreseen} from "./foresee.js";
import {given, tell} from "./who.js";

const PATIENCE_MS = 15000;
const OWN = new Set(["pair", "review", "tour"]); // names in the address that are no part of the queue

const listeners = new Set();
const waiting = [];
const revisions = new Map(); // of the pairs that this page has seen; an edit goes on from the last one it made
let sent = null; // the action that the server has not answered yet
let told = null; // the screen as the server gave it, without what is foreseen
export const lateClaims = []; // {pair, curator}: claimed by an answer that came too late to be shown
let visits = 0; // counts what is shown; an answer to an earlier visit moves nothing

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
  fan: {open: false}, // the alternatives
  peek: null, // the alternative under the pointer
  refit: localStorage.getItem("apu.refit") === "on", // after every edit
  ahead: localStorage.getItem("apu.ahead") === "on", // fans are prepared for the next pairs
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
export const curator = () => (!state.screen?.role && given()) || state.screen?.curator || "";

export const pair = () => state.screen?.pair ?? null;

export const selected = () => pair()?.contacts.find((line) => line.id === state.selected) ?? null;

/** The queue that is worked off, as it stands in the address. */
export const queue = () => {
  const named = new URL(location.href).searchParams;
  for (const name of OWN) named.delete(name);
  return named.toString();
};

/** Show the first screen; called once. */
export async function connect() {
  const first = await window.apuFirst.then((answer) => answer.json(), () => null);
  if (first && !(given() && !first.role && given() !== first.curator)) return show(first);
  look({pair: first?.pair?.id ?? undefined, review: first?.review?.id}); // as seen by who gave a name on this page
}

const moves = new Set();

/** Call `listen(pair)` whenever another pair comes up. */
export const onMove = (listen) => moves.add(listen);

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

/** What is shown where nothing is compared: the alternative under the pointer, the running fit, what is chosen, the start. */
export function shown({screen: {pair: now}, live, mesh, peek}) {
  if (peek) return peek;
  if (live?.overlay) return live;
  return mesh !== "start" && now?.fit.overlay ? now.fit : now?.start;
}

/** The contact to begin with: the first that the denoiser doubts, else the first. */
const doubtful = (contacts) => (contacts.find((line) => line.suggestion) ?? contacts[0])?.id ?? null;

/** Show a screen; of actions under way it already shows what they will change. */
export function show(screen, {visit = true} = {}) {
  if (visit) visits += 1;
  told = screen;
  if (!screen.role) tell(given() || screen.curator); // before any picture is asked for
  if (screen.pair && !screen.review) revisions.set(screen.pair.id, screen.pair.revision);
  const moved = screen.pair?.id !== state.screen?.pair?.id;
  const next = foreseen(screen, [sent, ...waiting]);
  const kept = next.pair?.contacts.some((line) => line.id === state.selected);
  change({
    screen: next,
    saving: busy(),
    live: moved || !isRunning(next.pair?.job) ? null : state.live,
    selected: kept && !moved ? state.selected : doubtful(next.pair?.contacts ?? []),
    ...(moved && {adding: null, pointed: null, hovered: null, compare: {...state.compare, left: null, right: null}}),
  });
  remember(next);
  if (moved) for (const listen of moves) listen(next.pair, screen);
}

const busy = () => Boolean(sent?.saves || waiting.some((action) => action.saves));

/** Ask the server to do something; requests go one after the other, each from the revision the last one made. */
export function act(name, values = {}) {
  waiting.push({name, pair: pair()?.id, review: state.screen?.review?.id, visit: visits, saves: true, ...(state.refit && {refit: true}), ...values});
  if (told) change({saving: busy(), screen: foreseen(told, [sent, ...waiting])});
  flush();
}

/** Go somewhere without changing anything: `pair`, or `go: "next"` and "previous" from there. */
export async function look(values) {
  visits += 1;
  const visit = visits;
  const query = new URLSearchParams(queue());
  for (const [name, value] of Object.entries({...values, as: curator()})) if (value !== undefined) query.set(name, value);
  try {
    const answer = await fetch(`screen?${query}`, {cache: "no-store"});
    if (!answer.ok) return unanswered(answer.status);
    const screen = await answer.json();
    if (visit === visits) show(screen, {visit: screen.pair?.id !== told?.pair?.id});
  } catch {
    if (visit === visits) unanswered();
  }
}

/** Whether an action has been asked for that the server has not answered yet. */
export const isAsked = (name) => sent?.name === name || waiting.some((action) => action.name === name);

async function flush() {
  if (sent || !waiting.length || !state.screen) return;
  sent = waiting.shift();
  const {visit, saves, after, ...action} = sent;
  await after; // a draft on its way must not come after the decision that ends it
  const answer = await ask("act", {revision: revisions.get(action.pair), queue: queue(), ...action}).catch(() => null);
  if (!answer?.ok) return unanswered(answer?.status);
  const screen = await answer.json();
  sent = null;
  receive(screen, visit);
  flush();
}

/** An answer to something that was asked from what is still shown is shown; of others only what went wrong is said. */
function receive(screen, visit) {
  if (screen.pair && !screen.review) revisions.set(screen.pair.id, screen.pair.revision);
  if (visit === visits) {
    if (screen.pair?.id !== told?.pair?.id) onwards();
    return show(screen, {visit: false});
  }
  if (screen.pair?.id === told?.pair?.id) return show(screen, {visit: false});
  const {notice, pair: other} = screen;
  if (other && !screen.review) lateClaims.push({pair: other.id, curator: screen.curator});
  const text = other?.conflicts?.length ? `Pair ${other.id}: ${other.conflicts[0].text}` : notice?.text;
  if (told && text) told = {...told, notice: {kind: notice?.kind ?? "error", text, pair: other?.id}};
  if (told) change({saving: busy(), screen: foreseen(told, [sent, ...waiting])});
}

/** An action led to another pair: looks under way move nothing any more, actions asked for since go on from there. */
function onwards() {
  for (const action of waiting) if (action.visit === visits) action.visit += 1;
  visits += 1;
}

/** Post something to the server as JSON, with the curator's name. */
export async function ask(address, values) {
  const patience = new AbortController();
  const timer = setTimeout(() => patience.abort(), PATIENCE_MS);
  try {
    return await fetch(address, {
      method: "POST", headers: {"content-type": "application/json"}, signal: patience.signal,
      body: JSON.stringify({curator: curator(), ...values}),
    });
  } finally {
    clearTimeout(timer);
  }
}

function unanswered(status) {
  sent = null;
  waiting.length = 0;
  const text = status === 401
    ? "You are logged out, so the last change is not saved; reload this page to log in again."
    : "The server did not answer, so the last change may not be saved; reload to see what is.";
  if (told) change({saving: false, screen: {...told, notice: {kind: "error", text}}});
}

function remember(screen) {
  const url = new URL(location.href);
  const id = screen.pair?.id?.toString() ?? null;
  const review = screen.review?.id?.toString() ?? null;
  if (url.searchParams.get("pair") === id && url.searchParams.get("review") === review) return;
  for (const [name, value] of [["pair", id], ["review", review]]) {
    if (value === null) url.searchParams.delete(name);
    else url.searchParams.set(name, value);
  }
  go(url);
}

/** Put a place into the address, so that it can be shared and come back to. */
export function go(url) {
  const first = history.state?.apu === undefined;
  history[first ? "replaceState" : "pushState"]({apu: true}, "", url);
}

/** Work another queue off: its query goes into the address, the pair stays. */
export function chooseQueue(query) {
  const url = new URL(location.href);
  const named = new URLSearchParams(query);
  for (const name of OWN) if (url.searchParams.has(name)) named.set(name, url.searchParams.get(name));
  url.search = named;
  go(url);
}

addEventListener("popstate", () => {
  const named = new URL(location.href).searchParams;
  const [id, review] = [Number(named.get("pair")), Number(named.get("review"))];
  look({pair: id || pair()?.id, review: review || undefined});
});
