// What the page's 3D view uses of three.js; `build.sh` makes three.min.js of it.
export {
  BufferAttribute, BufferGeometry, Group, LineBasicMaterial, LineSegments, Mesh, OrthographicCamera, PerspectiveCamera, Raycaster,
  Scene, ShaderMaterial, Sphere, Vector2, Vector3, WebGLRenderer,
} from "three";
export {OrbitControls} from "three/addons/controls/OrbitControls.js";
