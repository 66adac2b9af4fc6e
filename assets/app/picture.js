// Pictures that change while one looks: the old one stays until the new one is there, and the newest wins.

const base = (url) => url?.split("?")[0];

/** Show the picture at `url` in an `img` or an SVG `image`; null empties it. */
export function show(node, url) {
  node.wanted = url ?? null;
  if (!url) empty(node);
  else if (!node.loading) load(node);
}

async function load(node) {
  node.loading = true;
  while (node.wanted && node.wanted !== node.shown) {
    const url = node.wanted;
    const picture = new Image();
    picture.src = url;
    const arrived = await picture.decode().then(() => true, () => false);
    // A running fit draws faster than pictures come: a late one is still worth showing, unless other meshes are asked for.
    if (arrived && base(node.wanted) === base(url)) fill(node, url);
    else if (!arrived && node.wanted === url) empty(node, url);
  }
  node.loading = false;
}

function fill(node, url) {
  node.shown = url;
  node.setAttribute(attribute(node), url);
  node.toggleAttribute("hidden", false);
}

function empty(node, shown = null) {
  node.shown = shown;
  node.removeAttribute(attribute(node));
  node.toggleAttribute("hidden", true);
}

const attribute = (node) => (node.nodeName === "image" ? "href" : "src");
