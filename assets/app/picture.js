// Pictures that change while one looks: the old one stays until the new one is there, and the newest wins.

const states = new WeakMap(); // element -> {wanted, shown, failed, loading}

const base = (url) => url?.split("?")[0];
const pairOf = (url) => url?.split("/", 2).join("/");

/** Show the picture at `url` in an `img` or an SVG `image`; null empties it. */
export function show(node, url) {
  if (!states.has(node)) states.set(node, {wanted: null, shown: null, failed: null, loading: false});
  const state = states.get(node);
  state.wanted = url ?? null;
  if (!url) fill(node, state, null);
  else if (!state.loading) load(node, state);
}

async function load(node, state) {
  state.loading = true;
  while (state.wanted && ![state.shown, state.failed].includes(state.wanted)) {
    const url = state.wanted;
    const picture = new Image();
    picture.src = url;
    const arrived = await picture.decode().then(() => true, () => false);
    // A running fit moves on before its pictures come: a late one is worth showing, but not that of other meshes.
    if (arrived && base(state.wanted) === base(url)) fill(node, state, url);
    else if (!arrived && state.wanted === url) miss(node, state, url);
  }
  state.loading = false;
}

/** A picture that does not come is not asked for again; an earlier one of the same pair is better than none. */
function miss(node, state, url) {
  state.failed = url;
  if (pairOf(state.shown) === pairOf(url)) return;
  fill(node, state, null);
  node.dispatchEvent(new Event("missing"));
}

function fill(node, state, url) {
  state.shown = url;
  const name = node.nodeName === "image" ? "href" : "src";
  node.setAttribute("decoding", "sync"); // it is decoded already: no frame without it
  if (url) node.setAttribute(name, url);
  else node.removeAttribute(name);
  node.toggleAttribute("hidden", !url);
}
