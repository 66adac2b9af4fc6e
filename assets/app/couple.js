// Two people as meshes: places and normals that change while a fit runs, colours that follow the contacts.

import {BufferAttribute, BufferGeometry, Group, Mesh, ShaderMaterial, Sphere, Vector3} from "../apu-vendor/three/three.min.js";
import {nearest} from "./gaps.js";

const TINTS = [[227, 189, 140], [143, 166, 191]];
const SIDES = {left: [213, 94, 0], right: [0, 114, 178], both: [122, 122, 122]};
const STRENGTH = {lit: 1, plain: 0.65, dim: 0.18}; // shares of the side's colour

// The light of apu/render.py, over the viewer's left shoulder, so that all pictures of a pair look alike.
const VERTEX = `
  attribute vec4 tint;
  attribute float depth;
  varying vec3 vTint;
  varying float vDepth;
  varying vec3 vNormal;
  void main() {
    vTint = tint.rgb;
    vDepth = depth;
    vNormal = normalize(normalMatrix * normal);
    gl_Position = projectionMatrix * modelViewMatrix * vec4(position, 1.0);
  }`;
const FRAGMENT = `
  varying vec3 vTint;
  varying float vDepth;
  varying vec3 vNormal;
  uniform float opacity;
  uniform float unit; // metres of a whole depth
  uniform int show; // 0: skin, 1: only what lies inside the other, 2: the skin around it
  vec3 heat(float metres) {
    vec3 low = vec3(0.99, 0.86, 0.33), middle = vec3(0.86, 0.22, 0.50), high = vec3(0.35, 0.06, 0.45);
    return metres < 0.015 ? mix(low, middle, metres / 0.015) : mix(middle, high, clamp((metres - 0.015) / 0.015, 0.0, 1.0));
  }
  void main() {
    float metres = vDepth * unit;
    if (show == 1 && metres < 0.0004) discard;
    vec3 n = normalize(vNormal);
    float light = 0.44 + 0.10 * n.y + 0.56 * max(dot(n, vec3(-0.35, 0.60, 0.72)), 0.0);
    vec3 colour = show == 1 ? heat(metres) * (0.7 + 0.3 * light) : vTint * light;
    gl_FragColor = vec4(min(colour, 1.0), opacity);
  }`;

const material = (show, opacity) => new ShaderMaterial({
  vertexShader: VERTEX, fragmentShader: FRAGMENT, transparent: opacity < 1, depthWrite: opacity === 1,
  uniforms: {show: {value: show}, opacity: {value: opacity}, unit: {value: 0}},
});

export class Couple {
  /** @param body what is the same for all meshes, see solid.js. */
  constructor(body) {
    this.body = body;
    this.group = new Group();
    this.group.rotation.x = Math.PI; // the photograph's axes (y down, z forward) to OpenGL's
    this.group.visible = false;
    this.skin = material(0, 1);
    this.inside = material(1, 1);
    this.shell = material(2, 0.28);
    const faces = new BufferAttribute(body.faces, 1);
    this.people = [0, 1].map((person) => {
      const geometry = new BufferGeometry();
      geometry.setIndex(faces);
      for (const [name, array, size, normalized] of [
        ["position", new Float32Array(3 * body.count), 3, false], ["normal", new Float32Array(3 * body.count), 3, false],
        ["tint", new Uint8Array(4 * body.count), 4, true], ["depth", new Uint8Array(body.count), 1, true],
      ]) geometry.setAttribute(name, new BufferAttribute(array, size, normalized));
      geometry.boundingSphere = new Sphere();
      const mesh = new Mesh(geometry, this.skin);
      const shell = new Mesh(geometry, this.shell);
      for (const part of [mesh, shell]) part.frustumCulled = false;
      shell.raycast = () => {};
      shell.renderOrder = 1;
      mesh.userData = {person, couple: this};
      this.group.add(mesh, shell);
      return {mesh, shell, geometry, shown: true};
    });
    this.url = null; // of the vertices that are shown
    this.gaps = new Map();
    this.painted = "";
    this.heated = false;
  }

  get places() {
    return this.people.map(({geometry}) => geometry.attributes.position.array);
  }

  /** Move the vertices to those of a block; `heat` of other meshes is dropped. */
  move(url, {vertices, centre, scale, K}) {
    const low = [Infinity, Infinity, Infinity];
    const high = [-Infinity, -Infinity, -Infinity];
    this.people.forEach(({geometry}, person) => {
      const {position, normal} = geometry.attributes;
      const start = person * position.array.length;
      for (let i = 0; i < position.array.length; i += 3)
        for (let axis = 0; axis < 3; axis++) {
          const value = centre[axis] + scale * vertices[start + i + axis];
          position.array[i + axis] = value;
          if (value < low[axis]) low[axis] = value;
          if (value > high[axis]) high[axis] = value;
        }
      smoothNormals(position.array, this.body.faces, normal.array);
      position.needsUpdate = normal.needsUpdate = true;
      geometry.boundingSphere.center.set(...centre);
      geometry.boundingSphere.radius = scale * 32768 * Math.sqrt(3);
    });
    Object.assign(this, {url, K, low, high});
    this.gaps.clear();
    this.heat(null);
    this.group.visible = true;
  }

  /** Middle and radius of both people in the scene's axes (y up). */
  get ball() {
    const middle = this.low.map((value, axis) => (value + this.high[axis]) / 2);
    return {
      centre: new Vector3(middle[0], -middle[1], -middle[2]), radius: Math.hypot(...this.high.map((value, axis) => value - middle[axis])),
      floor: -this.high[1],
    };
  }

  showPerson(person, shown) {
    const each = this.people[person];
    each.shown = each.mesh.visible = shown;
    each.shell.visible = shown && this.heated;
  }

  /** Show depths (a block), or the skin again (null). */
  heat(depths) {
    this.heated = Boolean(depths);
    this.people.forEach((each, person) => {
      if (depths) {
        const {depth} = each.geometry.attributes;
        depth.array.set(depths.depth.subarray(person * this.body.count, (person + 1) * this.body.count));
        depth.needsUpdate = true;
        this.inside.uniforms.unit.value = 255 * depths.step;
      }
      each.mesh.material = depths ? this.inside : this.skin;
      each.shell.visible = this.heated && each.shown;
    });
  }

  /**
   * Colour the parts of contacts: `{parts: [part, part], strength: "lit" | "plain" | "dim"}`, later ones over earlier
   * ones; a part may be null. True where that changed anything.
   */
  paint(contacts) {
    const wanted = JSON.stringify(contacts);
    if (wanted === this.painted) return false;
    this.painted = wanted;
    this.people.forEach(({geometry}, person) => {
      const {tint} = geometry.attributes;
      const own = TINTS[person];
      for (let i = 0; i < tint.array.length; i += 4) {
        tint.array[i] = own[0];
        tint.array[i + 1] = own[1];
        tint.array[i + 2] = own[2];
      }
      for (const {parts, strength} of contacts) {
        if (!parts[person]) continue;
        const [share, side] = [STRENGTH[strength], SIDES[parts[person].side]];
        const colour = own.map((value, channel) => Math.round((1 - share) * value + share * side[channel]));
        for (const id of this.body.vertices(parts[person])) tint.array.set(colour, 4 * id);
      }
      tint.needsUpdate = true;
    });
    return true;
  }

  /** The shortest way between two parts: `{distance, ends}` in metres of the photograph's axes. */
  gap(parts) {
    const key = parts.map(({side, name}) => `${side} ${name}`).join();
    if (!this.gaps.has(key)) this.gaps.set(key, nearest(this.places, parts.map((part) => this.body.vertices(part))));
    return this.gaps.get(key);
  }

  dispose() {
    this.group.removeFromParent();
    for (const {geometry} of this.people) geometry.dispose();
    for (const each of [this.skin, this.inside, this.shell]) each.dispose();
  }
}

/** Each triangle gives its area vector to its three corners. */
function smoothNormals(places, faces, normals) {
  normals.fill(0);
  for (let face = 0; face < faces.length; face += 3) {
    const [a, b, c] = [3 * faces[face], 3 * faces[face + 1], 3 * faces[face + 2]];
    const ux = places[b] - places[a], uy = places[b + 1] - places[a + 1], uz = places[b + 2] - places[a + 2];
    const vx = places[c] - places[a], vy = places[c + 1] - places[a + 1], vz = places[c + 2] - places[a + 2];
    const x = uy * vz - uz * vy, y = uz * vx - ux * vz, z = ux * vy - uy * vx;
    for (const corner of [a, b, c]) {
      normals[corner] += x;
      normals[corner + 1] += y;
      normals[corner + 2] += z;
    }
  }
}
