// Who works on what: the open pair and the next one are claimed while this page is open, and left with it.

import {readyPair} from "./ahead.js";
import {ask, change, curator, lateClaims, state} from "./state.js";

const RENEW_MS = 60000;
let held = []; // pairs that this page holds: the open one and the one after it
let who = null; // in whose name
let turn = Promise.resolve(); // claims go one after the other: of two under way the server may take either first
let timer = 0;

/** Claim what is shown and leave what was; called after every change. */
export function follow({screen}) {
  if (!screen.mayWrite) return;
  if (who !== curator()) {
    if (held.length) claim({left: held, curator: who});
    [who, held] = [curator(), []];
  }
  const now = [...new Set([screen.review ? null : screen.pair?.id, readyPair()].filter(Boolean))];
  const left = held.filter((id) => !now.includes(id));
  const fresh = now.some((id) => !held.includes(id));
  held = now;
  if (fresh || left.length) renew(left);
  for (const late of lateClaims.splice(0)) if (late.curator !== who || !held.includes(late.pair)) claim({left: [late.pair], curator: late.curator});
}

const claim = (values) => (turn = turn.then(() => ask("claim", values)).catch(() => null));

async function renew(left = []) {
  clearTimeout(timer);
  timer = setTimeout(renew, RENEW_MS);
  if (!held.length && !left.length) return;
  const pairs = held;
  const answer = await claim({pairs, left, curator: who});
  if (!answer?.ok) return; // the next action says so
  const by = (await answer.json()).held[state.screen.pair?.id] ?? "";
  if (pairs.includes(state.screen.pair?.id) && by !== state.screen.held) change({screen: {...state.screen, held: by}});
}

addEventListener("pagehide", () => {
  if (!held.length) return;
  const body = JSON.stringify({left: held, curator: who});
  held = [];
  navigator.sendBeacon("claim", new Blob([body], {type: "application/json"}));
});

addEventListener("pageshow", (event) => event.persisted && state.screen && follow(state));
