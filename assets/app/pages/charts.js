// Small charts as SVG, in the page's colours; each is saved as CSV (its data), SVG or PNG (as it is seen).
//
// A chart is a function of plain rows to an SVG element, so that one table holds its numbers, its picture and its file.

import {h, s} from "../dom.js";

const ROW = 26;
const percent = (value) => `${Math.round(100 * value)} %`;

const text = (x, y, words, props = {}) => s("text", {x, y, "dominant-baseline": "middle", ...props}, words);
const tip = (words) => s("title", {}, words);

function frame(width, height, label, ...children) {
  return s("svg", {class: "chart-svg", viewBox: `0 0 ${width} ${height}`, width, height, role: "img", "aria-label": label}, ...children);
}

/** Cut to what fits in so many pixels; the whole stands in the tip. */
const fitted = (words, width) => (words.length * 6.6 <= width ? words : `${words.slice(0, Math.max(1, Math.floor(width / 6.6) - 1))}…`);

/**
 * Shares of groups: a row for each group, a panel for each measure, a hollow dot before and a full one after, with the
 * 95 % interval as a line. `rows`: [{label, note, values: [{before, after}]}], a share is {value, low, high, count, of}.
 */
export function dots(rows, measures, {label, width = 1040, words = true}) {
  const names = 250;
  const gap = 28;
  const panel = (width - names - gap * measures.length) / measures.length;
  const height = 34 + rows.length * ROW + 22;
  const left = (index) => names + gap / 2 + index * (panel + gap);
  const node = frame(width, height, label);
  measures.forEach((name, index) => {
    const x = left(index);
    node.append(text(x, 12, name, {class: "chart-title"}));
    for (const tick of [0, 0.5, 1]) {
      node.append(s("line", {class: "chart-grid", x1: x + tick * panel, x2: x + tick * panel, y1: 26, y2: height - 20}),
        text(x + tick * panel, height - 9, percent(tick), {class: "chart-tick", "text-anchor": {0: "start", 1: "end"}[tick] ?? "middle"}));
    }
  });
  rows.forEach((row, number) => {
    const y = 34 + number * ROW + ROW / 2;
    if (number % 2) node.append(s("rect", {class: "chart-stripe", x: 0, y: y - ROW / 2, width, height: ROW}));
    node.append(s("g", {}, tip(row.label), text(8, y, fitted(row.label, names - 90), {class: "chart-label"}), text(names - 8, y, row.note, {class: "chart-tick", "text-anchor": "end"})));
    row.values.forEach((value, index) => {
      const x = left(index);
      const mark = (share, when, dy) => share.value !== null && node.append(s("g", {},
        tip(`${row.label}, ${measures[index].toLowerCase()}${words ? ` ${when} the denoiser` : ""}: ${percent(share.value)} (${share.count} of ${share.of}; 95 % interval ${percent(share.low)} to ${percent(share.high)})`),
        s("line", {class: `chart-whisker ${when}`, x1: x + share.low * panel, x2: x + share.high * panel, y1: y + dy, y2: y + dy}),
        s("circle", {class: `chart-dot ${when}`, cx: x + share.value * panel, cy: y + dy, r: 4})));
      mark(value.before, "before", -5);
      mark(value.after, "after", 5);
      if (value.before.value === null && value.after.value === null) node.append(text(x, y, "nothing to count", {class: "chart-tick"}));
    });
  });
  return node;
}

/** Bars of counts with their numbers: [{label, value, note}]. */
export function bars(rows, {label, width = 500, names = 200}) {
  const most = Math.max(1, ...rows.map((row) => row.value));
  const room = width - names - 96;
  const node = frame(width, rows.length * ROW + 4, label);
  rows.forEach((row, number) => {
    const y = number * ROW + ROW / 2 + 2;
    node.append(s("g", {}, tip(`${row.label}: ${row.value.toLocaleString("en")}${row.note ? ` ${row.note}` : ""}`),
      text(0, y, fitted(row.label, names - 12), {class: "chart-label"}),
      s("rect", {class: `chart-bar ${row.kind ?? ""}`, x: names, y: y - 7, width: Math.max(row.value ? 1 : 0, (row.value / most) * room), height: 14, rx: 2}),
      text(names + (row.value / most) * room + 8, y, `${row.value.toLocaleString("en")}${row.note ? `  ${row.note}` : ""}`, {class: "chart-tick"})));
  });
  return node;
}

/** Columns of counts over days: {day: count}. */
export function days(counts, {label, width = 500, height = 120}) {
  const names = Object.keys(counts);
  const most = Math.max(1, ...Object.values(counts));
  const step = Math.min(28, (width - 40) / Math.max(1, names.length));
  const node = frame(width, height, label, s("line", {class: "chart-grid", x1: 32, x2: width, y1: height - 20, y2: height - 20}),
    text(0, 10, most.toLocaleString("en"), {class: "chart-tick"}), text(0, height - 20, "0", {class: "chart-tick"}));
  names.forEach((name, number) => {
    const tall = (counts[name] / most) * (height - 32);
    node.append(s("g", {}, tip(`${name}: ${counts[name]}`),
      s("rect", {class: "chart-bar", x: 34 + number * step, y: height - 20 - tall, width: Math.max(1, step - 3), height: tall})));
  });
  if (names.length) node.append(text(34, height - 8, names[0], {class: "chart-tick"}));
  if (names.length * step > 160) node.append(text(34 + names.length * step, height - 8, names.at(-1), {class: "chart-tick", "text-anchor": "end"}));
  return node;
}

/**
 * A chart with its heading, a sentence on how to read it, and its files. `table` is [names, ...rows] of plain values.
 */
export function figure({title, words, chart, table, name}) {
  const save = (kind, make) => h("button", {type: "button", class: "small quiet", "aria-label": `${title} as ${kind}`, onclick: async () => download(`${name}.${kind.toLowerCase()}`, await make())}, kind);
  return h("figure", {class: "figure-block"},
    h("figcaption", {}, h("h2", {}, title), h("span", {class: "grow"}),
      save("CSV", () => new Blob([csv(table)], {type: "text/csv"})),
      chart && [save("SVG", () => new Blob([source(chart)], {type: "image/svg+xml"})), save("PNG", () => picture(chart))]),
    words && h("p", {class: "sentence"}, words),
    chart && h("div", {class: "chart", tabindex: "0", role: "group", "aria-label": `${title}, chart`}, chart));
}

/** A plain table of the same rows. */
export function table([names, ...rows], props = {}) {
  return h("div", {class: "table-wrap", tabindex: "0", role: "group", "aria-label": props["aria-label"] ?? "Table"}, h("table", {}, h("thead", {}, h("tr", {}, names.map((name) => h("th", {scope: "col"}, name)))),
    h("tbody", {}, rows.map((row) => h("tr", {}, row.map((cell, index) => h(index ? "td" : "th", {scope: index ? null : "row", class: typeof cell === "number" ? "number" : null},
      typeof cell === "number" ? cell.toLocaleString("en") : cell)))))));
}

/** Comma-separated values; a text that a spreadsheet would take for a formula is kept from being one. */
export function csv(rows) {
  const cell = (value) => {
    if (value === null || value === undefined) return "";
    if (typeof value === "number") return String(value);
    const words = /^[=+\-@\t\r]/.test(value) ? `'${value}` : String(value);
    return /[",\n\r]/.test(words) ? `"${words.replaceAll('"', '""')}"` : words;
  };
  return rows.map((row) => row.map(cell).join(",")).join("\r\n") + "\r\n";
}

export function download(name, blob) {
  const url = URL.createObjectURL(blob);
  const link = h("a", {href: url, download: name});
  document.body.append(link);
  link.click();
  link.remove();
  setTimeout(() => URL.revokeObjectURL(url), 10_000);
}

const DRAWN = ["fill", "stroke", "stroke-width", "font-family", "font-size", "font-weight", "opacity"];

const NOT_XML = /[\0-\x08\v\f\x0e-\x1f\ufffe\uffff]/g; // characters that a text may have and no XML file

/** The chart as a file of its own: the page's styles are written into its elements. */
function source(chart) {
  const copy = chart.cloneNode(true);
  const from = [...chart.querySelectorAll("*")];
  [...copy.querySelectorAll("*")].forEach((node, index) => {
    const style = getComputedStyle(from[index]);
    for (const name of DRAWN) node.setAttribute(name, style.getPropertyValue(name));
    node.removeAttribute("class");
  });
  const {width, height} = chart.viewBox.baseVal;
  copy.prepend(s("rect", {width, height, fill: getComputedStyle(document.body).backgroundColor}));
  return new XMLSerializer().serializeToString(copy).replace(NOT_XML, "\ufffd");
}

async function picture(chart) {
  const {width, height} = chart.viewBox.baseVal;
  const image = new Image();
  const url = URL.createObjectURL(new Blob([source(chart)], {type: "image/svg+xml"}));
  image.src = url;
  await image.decode();
  const canvas = h("canvas", {width: 2 * width, height: 2 * height});
  canvas.getContext("2d").drawImage(image, 0, 0, 2 * width, 2 * height);
  URL.revokeObjectURL(url);
  return new Promise((done) => canvas.toBlob(done, "image/png"));
}
