// Vertices from the server: the blocks of app/solids.py as typed arrays; what was asked for lately stays in memory.

const KEPT = 12;
const ARRAYS = {int16: Int16Array, uint8: Uint8Array, uint16: Uint16Array, uint32: Uint32Array};

const blocks = new Map(); // url -> promise of a block, latest last

/** A block's header with its arrays as members. */
function unpack(buffer) {
  const start = 4 + new DataView(buffer).getUint32(0, true);
  const {arrays, ...header} = JSON.parse(new TextDecoder().decode(new Uint8Array(buffer, 4, start - 4)));
  let offset = start;
  for (const [name, {type, shape}] of Object.entries(arrays)) {
    const count = shape.reduce((product, size) => product * size, 1);
    header[name] = new ARRAYS[type](buffer, offset, count);
    offset += Math.ceil(header[name].byteLength / 4) * 4;
  }
  return header;
}

/** The block at an address; null where the server has none (any more). */
export function block(url) {
  const known = blocks.get(url) ?? load(url);
  blocks.delete(url);
  blocks.set(url, known);
  for (const old of blocks.keys()) if (blocks.size > KEPT) blocks.delete(old);
  return known;
}

async function load(url) {
  try {
    const reply = await fetch(new URL(`../${url}`, import.meta.url)); // wherever the page lies
    return reply.status === 200 ? unpack(await reply.arrayBuffer()) : null;
  } catch {
    return null;
  }
}

let body = null;

/** The body's faces and regions, with the vertices of each part and the parts of each region. */
export function loadBody() {
  body ??= load("solid/body").then((found) => {
    if (!found) body = null;
    return found && new Body(found);
  });
  return body;
}

class Body {
  constructor({vertices, faces, regionOfFace, regionVertices, regionEnds, parts}) {
    Object.assign(this, {count: vertices, faces, regionOfFace});
    this.regions = [...regionEnds].map((end, region) => regionVertices.subarray(region ? regionEnds[region - 1] : 0, end));
    this.parts = parts;
    this.found = new Map();
  }

  /** Vertex ids of a part of one side, each once. */
  vertices({name, side}) {
    const key = `${side} ${name}`;
    if (!this.found.has(key)) {
      const part = this.parts.find((each) => each.name === name && each.side === side);
      this.found.set(key, [...new Set((part?.regions ?? []).flatMap((region) => [...this.regions[region]]))]);
    }
    return this.found.get(key);
  }

  /** The parts that a face belongs to, the smallest first; one on the midline belongs to both sides. */
  partsAt(face) {
    const region = this.regionOfFace[face];
    const parts = this.parts.filter(({side, regions}) => side !== "both" && regions.includes(region));
    const names = [...new Set(parts.sort((a, b) => a.regions.length - b.regions.length).map(({name}) => name))];
    return names.map((name) => {
      const sides = parts.filter((part) => part.name === name);
      return {name, side: sides.length === 1 ? sides[0].side : "both"};
    });
  }
}
