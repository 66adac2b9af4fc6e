// Moving through the queue: the next pair is asked for, claimed and its pictures fetched while this one is looked at.

import {act, ask, change, curator, lateClaims, look, pair, queue, show, state} from "./state.js";

const AFTER_MS = 250; // what is looked at now comes first

let ready = null; // {from, query, who, screen}: what comes next, as of this pair and queue
let asked = null; // the place whose successor is being asked for
let kept = []; // pictures of the next pair, so that the browser does not drop them

/** The pair that waits ready behind this one, if any. */
export const readyPair = () => (isCurrent(ready) ? ready.screen.pair.id : null);

const isCurrent = (found) => Boolean(found?.screen.pair) && found.from === pair()?.id && found.query === queue() && found.who === curator();

const place = ({id}) => `${id}?${queue()}?${curator()}`;

/** Keep the next pair ready, for as long as the page shows this one. */
export function prepare({screen}) {
  const now = screen.pair;
  if (!now || screen.review || state.saving || isCurrent(ready)) return;
  const here = place(now);
  if (asked === here || ready?.failed === here) return;
  asked = here;
  setTimeout(() => fetchNext(now.id, queue(), here), AFTER_MS);
}

async function fetchNext(from, query, here) {
  if (asked !== here) return;
  const found = await (state.screen.mayWrite ? claimed(from, query) : seen(from, query)).catch(() => null);
  const late = asked !== here || !pair() || place(pair()) !== here;
  if (asked === here) asked = null;
  if (late) {
    if (found?.pair) lateClaims.push({pair: found.pair.id, curator: found.curator});
    return change({});
  }
  if (!found?.pair || found.pair.id === from) {
    ready = {screen: {}, failed: here};
    return;
  }
  ready = {from, query, who: curator(), screen: found};
  const {crop, start, fit} = found.pair;
  kept = [crop.url, fit.overlay ?? start.overlay].filter(Boolean).map((url) => Object.assign(new Image(), {src: url}));
  const solid = fit.solid ?? start.solid;
  document.body.dataset.ready = from; // the pair whose successor is there
  if (solid) fetch(solid).catch(() => null); // the 3D view finds it in the browser's cache
  change({}); // this page holds one pair more
}

const claimed = async (pairId, query) => (await ask("act", {name: "ahead", pair: pairId, queue: query})).json();

async function seen(pairId, query) {
  const named = new URLSearchParams(query);
  for (const [name, value] of Object.entries({pair: pairId, go: "next", as: curator()})) named.set(name, value);
  return (await fetch(`screen?${named}`, {cache: "no-store"})).json();
}

/** The next pair of the queue, at once where it is ready. */
export function next() {
  if (state.screen.review) return;
  if (isCurrent(ready)) show(take());
  else if (!state.screen.queue.next && state.screen.queue.place !== null) return;
  else if (state.screen.mayWrite) act("next", {saves: false});
  else look({go: "next", pair: pair().id});
}

export function previous() {
  if (!state.screen.review && state.screen.queue.previous) look({go: "previous", pair: pair().id});
}

/** Leave this pair by an action that goes on: what is ready is shown before the server has answered. */
export function leaveBy(name, values, {sure}) {
  const was = pair().id;
  if (state.screen.review || !sure || !isCurrent(ready)) return act(name, {then: readyPair() ?? undefined, ...values});
  const screen = take();
  show(screen);
  act(name, {pair: was, then: screen.pair.id, ...values});
}

function take() {
  const {screen} = ready;
  ready = null;
  kept = [];
  return screen;
}
