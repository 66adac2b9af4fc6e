// Times a curator's work inside the page: from the key or the click to the frame that shows what was asked for.
(() => {
  const PATIENCE_MS = 30000;
  const frame = () => new Promise((done) => requestAnimationFrame(done));
  const one = (selector) => document.querySelector(selector);
  const press = (name) => document.body.dispatchEvent(new KeyboardEvent("keydown", {key: name, code: `Key${name.toUpperCase()}`, bubbles: true, cancelable: true}));

  async function until(holds) {
    const end = performance.now() + PATIENCE_MS;
    while (!holds()) {
      if (performance.now() > end) throw new Error(`it never happened that ${holds}`);
      await frame();
    }
    await frame(); // the frame that shows it is drawn
  }

  async function timed(what, holds) {
    const start = performance.now();
    what();
    await until(holds);
    return performance.now() - start;
  }

  const pair = () => new URL(location.href).searchParams.get("pair");
  const shows = (id) => one(".photo image")?.getAttribute("href") === `image/${id}` && one(".line.chosen") !== null;
  const pause = (ms) => new Promise((done) => setTimeout(done, ms));

  /** Milliseconds since the navigation until the first pair can be worked on. */
  async function ready() {
    await until(() => pair() && shows(pair()));
    return performance.now();
  }

  /** The next pair, once it has been preloaded. */
  async function next() {
    await ready();
    await until(() => document.body.dataset.ready === pair());
    await pause(50);
    const before = pair();
    return timed(() => press(" "), () => pair() !== before && shows(pair()));
  }

  const sides = () => [...document.querySelectorAll(".line.chosen .side")].map((node) => node.textContent).join();

  async function edit() {
    await ready();
    await until(() => !one(".bar .said").textContent.startsWith("saving"));
    const before = sides();
    return timed(() => press("f"), () => sides() !== before);
  }

  async function openDrawer() {
    if (one(".queue").hidden) press("q");
    await until(() => one(".queue").dataset.shown !== undefined && one(".entry:not(.head)"));
  }

  /** Another queue: list and counts. A view's button does the same as a filter's. */
  async function filter(query) {
    await openDrawer();
    const button = Object.assign(document.createElement("button"), {type: "button"});
    button.dataset.view = query;
    one(".queue .filters").append(button);
    const before = one(".queue").dataset.turn;
    const time = await timed(() => button.click(), () => one(".queue").dataset.turn !== before);
    button.remove();
    return time;
  }

  /** A pair of a filtered list that nothing has preloaded. */
  async function jump(query, line) {
    await filter(query);
    const lines = [...document.querySelectorAll(".entry:not(.head)")].filter((entry) => entry.dataset.id !== pair());
    const {id} = lines[line % lines.length].dataset;
    return timed(() => document.querySelector(`.entry[data-id="${id}"]`).click(), () => pair() === id && shows(id));
  }

  /** Milliseconds since the navigation until the library's first page has its lines; their pictures come after. */
  async function listed() {
    await until(() => one(".tiles")?.dataset.turn && one(".tile-pair"));
    return performance.now();
  }

  /** Another list in the library: its next page, or another value of a field of its filter. */
  async function list(name, value) {
    await listed();
    const before = one(".tiles").dataset.turn;
    const act = () => {
      if (name === "page") return one(".paging [aria-label='Next page']").click();
      if (name === "state") return one(`.filters [name=state][value=${value}]`).click();
      const field = one(".filters").elements[name];
      field.value = value;
      field.dispatchEvent(new Event(name === "q" ? "input" : "change", {bubbles: true}));
    };
    return timed(act, () => one(".tiles").dataset.turn !== before);
  }

  window.bench = {ready, next, edit, filter, jump, listed, list};
})();
