// What an edit will make of the contacts, drawn at once; the server's answer stands in its place when it comes.

const OTHER = {left: "right", right: "left", both: "both"};

const turned = (part) => ({...part, side: OTHER[part.side]});

const words = (part) => (part.side === "both" ? part.name : `${part.side} ${part.name}`);

function moved(line, parts) {
  const was = line.was || line.parts.map(words).join(" – ");
  const same = was === parts.map(words).join(" – ");
  return {...line, parts, was: same ? "" : was, suggestion: null, words: `A's ${words(parts[0])} – B's ${words(parts[1])}`};
}

const flipped = (line, people) => moved(line, line.parts.map((part, person) => (people.includes(person) ? turned(part) : part)));

const onLine = (how) => (contacts, {contact, ...action}) => contacts.map((line) => (line.id === contact ? how(line, action) : line));

const EDITS = {
  flip: onLine((line) => flipped(line, [0, 1])),
  "flip-side": onLine((line, {person}) => flipped(line, [person])),
  drop: onLine((line) => ({...line, dropped: true, suggestion: null})),
  restore: onLine((line) => ({...line, dropped: false})),
  mirror: (contacts, {person}) => contacts.map((line) => flipped(line, [person])),
};

/** A screen as it will be once these actions on its pair are done; those that only the server can tell are left out. */
export function foreseen(screen, actions) {
  const mine = actions.filter((action) => action && EDITS[action.name] && action.pair === screen.pair?.id);
  if (!mine.length) return screen;
  const contacts = mine.reduce((lines, action) => EDITS[action.name](lines, action), screen.pair.contacts);
  return {...screen, pair: {...screen.pair, contacts, canUndo: true, stale: screen.pair.fitted}};
}
