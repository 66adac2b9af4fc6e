// The canvas of the 3D view: a large view, or two that turn together, and three small ones, all drawn by one renderer
// and only when something has changed.

import {BufferAttribute, BufferGeometry, LineBasicMaterial, LineSegments, Raycaster, Scene, Vector2, Vector3, WebGLRenderer} from "../apu-vendor/three/three.min.js";
import {Couple} from "./couple.js";
import {block, loadBody} from "./solid.js";
import {Eye, photograph, still} from "./views.js";

const MOST_PIXELS = 1.5; // per pixel of the page
const STILLS = ["photo", "front", "side", "top"];

/** Without WebGL this throws. */
export class Stage {
  /**
   * @param canvas to draw on. smooth: its edges. views: the elements over it that the large views fill (two, the second may be hidden).
   * @param stills the elements of the small views. left: the user has turned away from a fixed look.
   * @param drawn called after each frame.
   */
  constructor({canvas, smooth, views, stills, left, drawn}) {
    Object.assign(this, {canvas, views, stills, drawn});
    this.renderer = new WebGLRenderer({canvas, antialias: smooth, preserveDrawingBuffer: true, powerPreference: "low-power"});
    this.renderer.autoClear = false;
    this.renderer.setScissorTest(true);
    this.scene = new Scene();
    this.floor = floor();
    this.scene.add(this.floor);
    this.eye = new Eye(views[0].parentElement, {changed: () => this.ask(false), left});
    this.couples = [];
    this.wanted = [];
    this.dirty = null; // what the next frame draws: "large" or "all"
    this.ray = new Raycaster();
    canvas.addEventListener("webglcontextrestored", () => this.ask());
    new ResizeObserver(() => this.ask()).observe(canvas);
  }

  /** Draw soon; the small views only where `all` may have changed. */
  ask(all = true) {
    if (!this.dirty) requestAnimationFrame(() => this.draw());
    this.dirty = all || this.dirty === "all" ? "all" : "large";
  }

  /** Show meshes at these addresses, one or two, of a pair; resolves to whether each could be had. */
  async show(pair, urls, heat) {
    this.pair = pair;
    this.wanted = urls;
    this.heat = heat;
    while (this.couples.length > urls.length) this.couples.pop().dispose();
    for (const couple of this.couples) if (couple.pair !== pair.id) couple.group.visible = false;
    if (this.drawnUrls !== urls.join()) this.ask();
    this.drawnUrls = urls.join();
    return Promise.all(urls.map((_, index) => this.follow(index)));
  }

  /** One request at a time; a running fit moves on before its vertices come, and the newest that came is shown. */
  async follow(index) {
    const busy = (this.busy ??= []);
    busy[index] ??= this.load(index).finally(() => { busy[index] = null; });
    return busy[index];
  }

  async load(index) {
    const body = await loadBody();
    let found = null;
    for (let url = this.wanted[index]; body && url; url = this.wanted[index]) {
      found = await block(url);
      const now = this.wanted[index];
      if (!now || (now !== url && now.split("?")[0] !== url.split("?")[0])) continue;
      if (found) await this.move(index, body, url, found);
      else if (this.couples[index]) this.couples[index].group.visible = false;
      if (this.wanted[index] === url) break;
    }
    return Boolean(found);
  }

  async move(index, body, url, vertices) {
    const couple = (this.couples[index] ??= this.add(new Couple(body)));
    if (couple.url === url && couple.group.visible && couple.heated === this.heat) return;
    if (couple.url !== url) {
      couple.move(url, vertices);
      couple.pair = this.pair.id;
      this.eye.at(this.pair.id, couple.ball);
    }
    couple.group.visible = true;
    if (this.heat !== couple.heated) {
      const [path, query] = url.split("?");
      const depths = this.heat ? await block(`${path}/heat${query ? `?${query}` : ""}`) : null;
      if (couple.url === url) couple.heat(depths);
    }
    this.ask();
  }

  add(couple) {
    this.scene.add(couple.group);
    couple.paint([]);
    return couple;
  }

  paint(contacts, people) {
    const before = JSON.stringify(people);
    const changed = this.couples.map((couple) => couple.paint(contacts)).some(Boolean) || before !== this.people;
    this.people = before;
    for (const couple of this.couples) people.forEach((shown, person) => couple.showPerson(person, shown));
    if (changed) this.ask();
  }

  draw() {
    const all = this.dirty === "all";
    this.dirty = null;
    const size = this.canvas.getBoundingClientRect();
    if (!size.width || !size.height) return;
    const started = performance.now();
    if (all) {
      this.renderer.setPixelRatio(Math.min(devicePixelRatio, MOST_PIXELS));
      const now = this.renderer.getSize(new Vector2());
      if (now.x !== size.width || now.y !== size.height) this.renderer.setSize(size.width, size.height, false);
      const style = getComputedStyle(this.canvas);
      this.floor.material.color.set(style.getPropertyValue("--grid").trim() || "#888");
      this.renderer.setClearColor(style.getPropertyValue("--scene").trim() || "#888");
    }
    const first = this.views[0].getBoundingClientRect();
    this.eye.fit(first.width, first.height, this.couples[0]?.K, this.pair?.crop);
    this.views.forEach((view, index) => this.drawView(size, view, this.couples[index], () => this.eye.current));
    if (all) this.stills.forEach((view, index) => this.drawView(size, view, this.couples[0], ({width, height}) =>
      STILLS[index] === "photo" ? photograph(width, height, this.couples[0].K, this.pair.crop) : still(STILLS[index], this.couples[0], width, height)));
    this.drawn(performance.now() - started);
  }

  drawView(size, element, couple, camera) {
    const box = element.getBoundingClientRect();
    if (!box.width || !box.height) return;
    const place = [box.left - size.left, size.bottom - box.bottom, box.width, box.height];
    this.renderer.setViewport(...place);
    this.renderer.setScissor(...place);
    this.renderer.clear();
    if (!couple?.group.visible) return;
    const hidden = this.couples.filter((each) => each !== couple && each.group.visible);
    for (const each of hidden) each.group.visible = false;
    const {centre, floor: height} = couple.ball;
    this.floor.position.set(Math.round(2 * centre.x) / 2, height, Math.round(2 * centre.z) / 2);
    this.renderer.render(this.scene, camera(box));
    for (const each of hidden) each.group.visible = true;
  }

  /** What is under a place of the page: `{person, parts}`, the smallest part first; null where there is no one. */
  pick(x, y) {
    const index = this.views.findIndex((view) => inside(view.getBoundingClientRect(), x, y));
    const couple = this.couples[index];
    if (!couple?.group.visible) return null;
    const box = this.views[index].getBoundingClientRect();
    this.ray.setFromCamera(new Vector2((2 * (x - box.left)) / box.width - 1, 1 - (2 * (y - box.top)) / box.height), this.eye.current);
    const hit = this.ray.intersectObjects(couple.people.filter(({shown}) => shown).map(({mesh}) => mesh), false)[0];
    return hit ? {person: hit.object.userData.person, parts: couple.body.partsAt(hit.faceIndex)} : null;
  }

  /** Where a place in the photograph's axes is in the large view `index`: x, y from its corner; null behind the camera. */
  project(index, [x, y, z]) {
    const camera = this.eye.current;
    const point = new Vector3(x, -y, -z).applyMatrix4(camera.matrixWorldInverse);
    if (point.z > -0.05) return null;
    point.applyMatrix4(camera.projectionMatrix);
    const {width, height} = this.views[index].getBoundingClientRect();
    return [((1 + point.x) / 2) * width, ((1 - point.y) / 2) * height];
  }
}

const inside = ({left, right, top, bottom}, x, y) => x >= left && x < right && y >= top && y < bottom;

/** A faint half-metre grid at the people's feet. */
function floor() {
  const ends = [];
  for (let line = -4; line <= 4; line++) ends.push(line / 2, 0, -2, line / 2, 0, 2, -2, 0, line / 2, 2, 0, line / 2);
  const geometry = new BufferGeometry();
  geometry.setAttribute("position", new BufferAttribute(new Float32Array(ends), 3));
  return new LineSegments(geometry, new LineBasicMaterial());
}
