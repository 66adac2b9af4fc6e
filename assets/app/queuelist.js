// The pairs of the queue as a list of any length: only the lines in sight are there, and asked for by the hundred.

import {h, replace} from "./dom.js";

const LINE_PX = 28;
const PAGE = 100;
const BEYOND = 8;
const MOST_PX = 8_000_000; // browsers draw no taller box; longer lists are scrolled more coarsely

export function list(open) {
  const inside = h("div", {class: "inside"});
  const box = h("div", {class: "lines", role: "listbox", tabindex: 0, "aria-label": "Pairs of the queue"}, inside);
  const head = h("div", {class: "entry head", "aria-hidden": "true"},
    ["pair", "photograph", "interaction", "state"].map((text) => h("span", {}, text)),
    h("span", {class: "figure", title: "Reprojection error of the latest fit"}, "error"), h("span", {class: "figure", title: "Largest gap of the latest fit"}, "gap"));
  const pages = new Map(); // number of the page -> its lines, or null while they are asked for
  let [query, total, turn, here, aim] = [null, 0, 0, null, -1];

  const stretch = () => Math.min(1, MOST_PX / (Math.max(total, 1) * LINE_PX));
  const first = () => Math.floor(box.scrollTop / LINE_PX / stretch());
  const line = (index) => pages.get(Math.floor(index / PAGE))?.[index % PAGE] ?? null;

  function draw() {
    inside.style.height = `${total * LINE_PX * stretch()}px`;
    inside.style.position = "relative";
    const from = Math.max(0, first() - BEYOND);
    const to = Math.min(total, first() + Math.ceil(box.clientHeight / LINE_PX) + BEYOND);
    for (let page = Math.floor(from / PAGE); page * PAGE < to; page += 1) if (!pages.has(page)) fetchPage(page);
    const offset = box.scrollTop - first() * LINE_PX; // 0 but for lists too long to scroll by the line
    const rows = [];
    for (let index = from; index < to; index += 1) {
      const entry = line(index);
      if (entry) rows.push(row(entry, index, (stretch() < 1 ? offset : 0) + index * LINE_PX, entry.id === here, index === aim));
    }
    replace(inside, ...rows, !total && query !== null && h("p", {class: "sentence nothing"}, "No pair is like this. Take a filter away."));
  }

  async function fetchPage(page, mine = turn) {
    pages.set(page, null);
    const named = new URLSearchParams(query);
    named.set("start", page * PAGE);
    named.set("limit", PAGE);
    const answer = await fetch(`queue/lines?${named}`, {cache: "no-store"}).catch(() => null);
    const told = answer?.ok ? await answer.json() : null;
    if (mine !== turn) return;
    pages.set(page, told?.lines ?? []);
    if (page === 0 && told) total = Math.max(total, told.lines.length);
    draw();
  }

  box.addEventListener("scroll", draw, {passive: true});
  new ResizeObserver(draw).observe(box);
  box.addEventListener("click", (event) => {
    const id = Number(event.target.closest(".entry")?.dataset.id);
    if (id) open(id);
  });
  box.addEventListener("keydown", (event) => {
    const steps = {ArrowDown: 1, ArrowUp: -1, PageDown: 10, PageUp: -10};
    if (event.key === "Enter" && line(aim)) open(line(aim).id);
    else if (event.key in steps) move(steps[event.key]);
    else return;
    event.preventDefault();
    event.stopPropagation();
  });

  function move(by) {
    aim = Math.min(Math.max(aim + by, 0), total - 1);
    if (aim < first()) box.scrollTop = aim * LINE_PX * stretch();
    if ((aim + 1) * LINE_PX > first() * LINE_PX + box.clientHeight) box.scrollTop = ((aim + 1) * LINE_PX - box.clientHeight) * stretch();
    draw();
    box.setAttribute("aria-activedescendant", line(aim) ? `apu-line-${line(aim).id}` : "");
  }

  return {
    node: h("div", {class: "found"}, head, box),
    /** Show another queue from its beginning. */
    load: async (named, id) => {
      turn += 1;
      [query, here, aim, box.scrollTop] = [named.toString(), id, -1, 0];
      pages.clear();
      await fetchPage(0);
    },
    setTotal: (count) => {
      total = count;
      draw();
    },
    point: (id) => {
      if (id === here) return;
      here = id;
      draw();
    },
    openFirst: () => line(0) && open(line(0).id),
    focus: () => {
      box.focus();
      move(aim < 0 ? 1 : 0);
    },
  };
}

const figure = (value, unit = "") => h("span", {class: "figure"}, value === null ? "–" : value.toFixed(1) + unit);

function row(line, index, top, isHere, isAim) {
  const held = line.held && `${line.held} is working on it`;
  const title = [line.image, held, line.by && `${line.words} by ${line.by}`, line.simulated && "simulated"].filter(Boolean).join(" · ");
  return h("div", {class: `entry${isAim ? " aim" : ""}`, role: "option", id: `apu-line-${line.id}`, "data-id": line.id, style: `top:${top}px`, title,
    "aria-selected": String(isHere), "aria-current": isHere && "true", "aria-posinset": index + 1},
    h("span", {}, String(line.id)), h("span", {}, line.image), h("span", {}, line.interaction),
    h("span", {class: line.state}, h("span", {class: "mark"}), line.held ? "held" : line.disagrees ? "disagreed" : line.words),
    figure(line.error), figure(line.gap, " cm"));
}
