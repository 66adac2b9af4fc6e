// Cameras: one that the user turns and that stays as it is from meshes to meshes, and the fixed looks at a pair.

import {OrbitControls, OrthographicCamera, PerspectiveCamera, Vector3} from "../apu-vendor/three/three.min.js";

const FIELD = 22; // degrees over the height: nearly without perspective
const NARROW = 0.75; // narrower views, width over height, see as much of the width
const TILT = (7 * Math.PI) / 180; // front and side look down a little, so the floor is seen
const FIRST = new Vector3(0.42, 0.2, 0.9).normalize(); // from the front, a little from the right and above
const KEY_TURN = 0.12; // radians
const LOOKS = {
  front: new Vector3(0, Math.sin(TILT), Math.cos(TILT)),
  side: new Vector3(Math.cos(TILT), Math.sin(TILT), 0),
  top: new Vector3(0, 1, 1e-4).normalize(),
};

/** The camera of the large view; `changed` is called after every move, `left` when the user turns away from a fixed look. */
export class Eye {
  constructor(element, {changed, left}) {
    this.camera = new PerspectiveCamera(FIELD, 1, 0.05, 100);
    this.photo = new PerspectiveCamera();
    this.orbit = new OrbitControls(this.camera, element);
    this.look = "free";
    this.field = FIELD;
    this.ball = null;
    this.pair = null;
    this.changed = changed;
    this.using = this.quiet = false;
    this.orbit.addEventListener("start", () => {
      if (this.look === "photo") this.free();
      this.using = true;
    });
    this.orbit.addEventListener("end", () => { this.using = false; });
    this.orbit.addEventListener("change", () => {
      if (this.quiet) return;
      if (this.using && this.look !== "free") { // a mere click leaves the look as it is
        this.look = "free";
        left();
      }
      changed();
    });
    element.addEventListener("keydown", (event) => this.press(event, left));
  }

  /** What is being looked through. */
  get current() {
    return this.look === "photo" ? this.photo : this.camera;
  }

  /** Look at a pair's people; another pair is seen from where the last one was. */
  at(pair, ball) {
    const before = this.ball;
    if (this.pair === pair) return;
    this.pair = pair;
    this.ball = ball;
    if (!before) {
      this.place(FIRST);
      return;
    }
    const offset = this.camera.position.clone().sub(this.orbit.target).multiplyScalar(ball.radius / before.radius);
    this.orbit.target.sub(before.centre).add(ball.centre);
    this.camera.position.copy(this.orbit.target).add(offset);
    if (LOOKS[this.look]) this.place(LOOKS[this.look]);
    this.orbit.update();
  }

  /** Take a fixed look, or leave it ("free"). */
  take(look) {
    if (look === this.look) return;
    if (this.look === "photo") this.free();
    this.look = look;
    if (LOOKS[look] && this.ball) this.place(LOOKS[look]);
    this.changed();
  }

  place(direction) {
    const {centre, radius} = this.ball;
    this.field = FIELD;
    this.camera.position.copy(centre).addScaledVector(direction, (0.92 * radius) / Math.sin((FIELD * Math.PI) / 360));
    this.orbit.target.copy(centre);
    this.orbit.update();
  }

  /** From the photograph's camera on as a free one that looks at the people. */
  free() {
    if (!this.ball) return;
    const {centre, radius} = this.ball;
    this.camera.position.set(0, 0, 0);
    this.orbit.target.copy(centre);
    this.field = (360 / Math.PI) * Math.asin(Math.min(0.9, (0.95 * radius) / centre.length()));
    this.quiet = true;
    this.orbit.update();
    this.quiet = false;
  }

  leave(left) {
    if (this.look === "free") return;
    this.take("free");
    left();
  }

  /** The size of the view in pixels and, for the photograph's camera, what part of the photograph it shows. */
  fit(width, height, K, crop) {
    this.camera.aspect = width / height;
    this.camera.fov = (360 / Math.PI) * Math.atan(Math.tan((this.field * Math.PI) / 360) * Math.max(1, NARROW / this.camera.aspect));
    this.camera.updateProjectionMatrix();
    if (K) this.photo = photograph(width, height, K, crop);
  }

  /** Turn about the people by so many radians. */
  turn(angle) {
    this.take("free");
    this.orbit.rotateLeft(angle);
  }

  /** Arrows turn, with Shift they move; plus and minus come nearer and go away. */
  press(event, left) {
    const [x, y] = {ArrowLeft: [1, 0], ArrowRight: [-1, 0], ArrowUp: [0, 1], ArrowDown: [0, -1]}[event.key] ?? [0, 0];
    const dolly = {"+": "dollyIn", "=": "dollyIn", "-": "dollyOut"}[event.key];
    if ((!x && !y && !dolly) || event.ctrlKey || event.metaKey || event.altKey) return;
    event.preventDefault();
    event.stopPropagation();
    this.leave(left);
    if (dolly) this.orbit[dolly](0.9);
    else if (event.shiftKey) this.orbit.pan(40 * x, 40 * y);
    else if (x) this.orbit.rotateLeft(KEY_TURN * x);
    else this.orbit.rotateUp(KEY_TURN * y);
  }
}

/** The photograph's own camera, K in its pixels, over its crop and as much around that as the view's shape needs. */
export function photograph(width, height, K, crop) {
  const camera = new PerspectiveCamera();
  const scale = Math.max(crop.width / width, crop.height / height); // pixels of the photograph per pixel here
  const [w, h] = [width * scale, height * scale];
  const [x, y] = [crop.x - (w - crop.width) / 2, crop.y - (h - crop.height) / 2];
  const [near, far] = [0.05, 100];
  const [[fx, , cx], [, fy, cy]] = K;
  camera.projectionMatrix.makePerspective(
    (near * (x - cx)) / fx, (near * (x + w - cx)) / fx, (near * (cy - y)) / fy, (near * (cy - y - h)) / fy, near, far);
  camera.projectionMatrixInverse.copy(camera.projectionMatrix).invert();
  return camera;
}

/** A camera without perspective that frames both people from the front, the side or above. */
export function still(look, {low, high}, width, height) {
  const camera = new OrthographicCamera();
  const [a, b] = [[low[0], -high[1], -high[2]], [high[0], -low[1], -low[2]]]; // the box in the scene's axes
  const centre = new Vector3(...a.map((value, axis) => (value + b[axis]) / 2));
  camera.position.copy(centre).addScaledVector(LOOKS[look], 20);
  camera.lookAt(centre);
  camera.updateMatrixWorld();
  const inverse = camera.matrixWorldInverse;
  let [x, y] = [0, 0];
  for (let corner = 0; corner < 8; corner++) {
    const point = new Vector3(...[0, 1, 2].map((axis) => (corner & (1 << axis) ? b : a)[axis])).applyMatrix4(inverse);
    [x, y] = [Math.max(x, Math.abs(point.x)), Math.max(y, Math.abs(point.y))];
  }
  const half = 1.08 * Math.max(x / width, y / height); // metres per half pixel
  Object.assign(camera, {left: -half * width, right: half * width, top: half * height, bottom: -half * height, near: 1, far: 40});
  camera.updateProjectionMatrix();
  return camera;
}
