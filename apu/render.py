"""Pictures and 3D files of posed bodies: over the photograph, from the side, and as GLB.

Two rasterisers give the same pictures, because everything that could differ is settled before them: shading is baked
into vertex colours, and any camera becomes a centred one (`_centred`). ``"opencv"``, the default, needs neither
GPU nor display nor system library and is several times faster than software OpenGL; ``"pyrender"`` draws through EGL.

Colour tells people apart by tint (`PERSON_COLOURS`) and a person's own sides by `SIDE_COLOURS`, only on contacts.
All functions take P people in the camera's frame (docs/conventions.md) and colours as sRGB fractions 0..1.
"""

import os
import threading
from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

import cv2
import numpy as np
import scipy.sparse
import trimesh
from jaxtyping import Float, Int, UInt8
from trimesh.exchange.gltf import export_glb
from trimesh.visual import TextureVisuals
from trimesh.visual.material import PBRMaterial

from apu.camera import crop_camera, project
from apu.errors import ApuError
from apu.types import Camera, Side

Backend = Literal["opencv", "pyrender"]
Colours = Float[np.ndarray, "people vertices 3"]
Direction = Literal["front", "side", "top"]

PERSON_COLOURS = np.array([[0.89, 0.74, 0.55], [0.56, 0.65, 0.75]], np.float32)
"""Person A warm sand, person B cool slate."""

SIDE_COLOURS = {Side.LEFT: (0.835, 0.369, 0.0), Side.RIGHT: (0.0, 0.447, 0.698), Side.BOTH: (0.478, 0.478, 0.478)}
"""The person's own side: vermilion #D55E00, blue #0072B2, grey #7A7A7A; told apart by colour-blind people too."""

NEAR_M, FAR_M = 0.05, 100.0
_LIGHT = np.array([-0.35, -0.6, -0.72], np.float32)  # over the viewer's left shoulder; unit length
_BACKDROP = np.array([0.93, 0.93, 0.92], np.float32)
_FLOOR_LINE = np.array([0.80, 0.80, 0.79], np.float32)
_GLTF = np.array([1, -1, -1], np.float32)  # OpenCV's axes <-> OpenGL's and glTF's: half a turn about x
_GL_LOCK = threading.Lock()
_PITCH = np.array([[1, 0, 0], [0, np.cos(0.12), -np.sin(0.12)], [0, np.sin(0.12), np.cos(0.12)]], np.float32)
_TURNS = {
    "front": _PITCH,
    "side": _PITCH @ np.array([[0, 0, 1], [0, 1, 0], [-1, 0, 0]], np.float32),
    "top": np.array([[1, 0, 0], [0, 0, -1], [0, 1, 0]], np.float32),
}
"""Axes of the viewing cameras in the photograph's; front and side look down by 7 degrees, so the floor is seen."""


@dataclass(frozen=True, kw_only=True)
class Raster:
    """What a camera sees of the bodies alone.

    Attributes:
        colour: sRGB fractions multiplied by `coverage`. coverage: part of the pixel that is body, 0..1.
        depth: distance along z in metres, inf where there is no body.
    """

    colour: Float[np.ndarray, "height width 3"]
    coverage: Float[np.ndarray, "height width"]
    depth: Float[np.ndarray, "height width"]


def person_colours(people: int, vertices: int) -> Colours:
    """Every vertex in its person's tint; a third person gets the first one's again."""
    tints = PERSON_COLOURS[np.arange(people) % len(PERSON_COLOURS)]
    return np.repeat(tints[:, None], vertices, axis=1)


def highlight(colours: Colours, person: int, vertices: Int[np.ndarray, "some"], side: Side) -> Colours:
    """A copy of the colours in which these vertices of one person carry their side's colour."""
    tinted = colours.copy()
    tinted[person, vertices] = SIDE_COLOURS[side]
    return tinted


def rasterize(
    vertices: Float[np.ndarray, "people vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    camera: Camera,
    *,
    colours: Colours | None = None,
    shaded: bool = True,
    backend: Backend = "opencv",
) -> Raster:
    """Draw bodies without a background.

    Triangles are seen from outside only (counter-clockwise from there, as in SMPL-X); those that reach nearer
    than `NEAR_M` are left out. Cost follows the people's box in the image, not the image.

    Args:
        vertices: metres, camera frame.
        faces: vertex indices, the same for all people.
        camera: whose picture it is; the principal point may lie anywhere.
        colours: per vertex; None: `person_colours`.
        shaded: Lambert light and soft ambient on smooth normals; False: the colours as they are.
        backend: which rasteriser.

    Raises:
        ValueError: shapes that do not fit, or an unknown backend.
        ApuError: ``"pyrender"`` where EGL does not work.
    """
    vertices, colours = _checked(vertices, faces, colours)
    if backend not in _RASTERISERS:
        raise ValueError(f"backend must be one of {', '.join(_RASTERISERS)}; got {backend!r}")
    size = camera.height, camera.width
    full = Raster(colour=np.zeros((*size, 3), np.float32), coverage=np.zeros(size, np.float32),
                  depth=np.full(size, np.inf, np.float32))  # fmt: skip
    window, visible = _window(vertices, faces, camera)
    if not len(visible):
        return full
    lit = (_shade(vertices, faces, colours) if shaded else colours).reshape(-1, 3)
    x0, y0, x1, y1 = window
    part = crop_camera(camera, np.array(window), (x1 - x0, y1 - y0))
    colour, coverage, depth = _RASTERISERS[backend](vertices.reshape(-1, 3), visible, part, lit)
    full.colour[y0:y1, x0:x1], full.coverage[y0:y1, x0:x1], full.depth[y0:y1, x0:x1] = colour, coverage, depth
    return full


def render(
    vertices: Float[np.ndarray, "people vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    camera: Camera,
    *,
    colours: Colours | None = None,
    background: UInt8[np.ndarray, "height width 3"] | None = None,
    opacity: float = 1.0,
    shaded: bool = True,
    backend: Backend = "opencv",
) -> UInt8[np.ndarray, "height width 3"]:
    """Bodies over a picture of the camera's size, or over a calm grey where there is none.

    `opacity` is the bodies', 0..1; the rest as in `rasterize`.

    Raises:
        ValueError: see `rasterize`; or a background of another size, or an opacity outside 0..1.
    """
    if not 0 <= opacity <= 1:
        raise ValueError(f"opacity must lie in [0, 1], got {opacity}")
    if background is None:
        background = np.full((camera.height, camera.width, 3), _BACKDROP * 255, np.uint8)
    if background.shape != (camera.height, camera.width, 3):
        raise ValueError(f"background must be {camera.height} x {camera.width} x 3, got {background.shape}")
    return _over(
        rasterize(vertices, faces, camera, colours=colours, shaded=shaded, backend=backend), background, opacity
    )


def overlay(
    image: UInt8[np.ndarray, "height width 3"],
    vertices: Float[np.ndarray, "people vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    camera: Camera,
    *,
    box: Sequence[float] | None = None,
    size: tuple[int, int] | None = None,
    opacity: float = 0.75,
    colours: Colours | None = None,
    backend: Backend = "opencv",
) -> UInt8[np.ndarray, "rows columns 3"]:
    """Bodies over a part of the photograph, drawn at the size at which it will be shown.

    `box` (xyxy, rounded to whole pixels) is the part to show, all of it by default; it may reach beyond the
    photograph. `size` (width, height) is the result's, the box's own by default. The rest as in `render`.

    Raises:
        ValueError: see `render`; or a box without area.
    """
    x0, y0, x1, y1 = (0, 0, camera.width, camera.height) if box is None else (round(edge) for edge in box)
    cropped = crop_camera(camera, np.array((x0, y0, x1, y1)), size)
    picture = _crop(image, (x0, y0, x1, y1), (cropped.width, cropped.height))
    return render(vertices, faces, cropped, background=picture, opacity=opacity, colours=colours, backend=backend)


def view(
    vertices: Float[np.ndarray, "people vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    direction: Direction,
    size: tuple[int, int],
    *,
    colours: Colours | None = None,
    backend: Backend = "opencv",
) -> UInt8[np.ndarray, "height width 3"]:
    """All people from one side, nearly without perspective, over a faint half-metre grid at their lowest point.

    ``"front"`` looks as the camera does, ``"side"`` comes from the image's right, ``"top"`` from above with the
    camera's side at the bottom. `size` is (width, height); the rest as in `rasterize`.

    Raises:
        ValueError: an unknown direction, or no vertices to frame.
    """
    vertices, colours = _checked(vertices, faces, colours)
    if direction not in _TURNS:
        raise ValueError(f"direction must be one of {', '.join(_TURNS)}; got {direction!r}")
    if not vertices.size:
        raise ValueError("vertices must hold at least one person to frame")
    turn = _TURNS[direction]
    flat = vertices.reshape(-1, 3)
    seen = flat @ turn.T
    low, high = seen.min(0), seen.max(0)
    extent = float(max((high - low)[:2] * (1, size[0] / size[1]))) * 1.15  # metres over the picture's width
    distance = 12 * extent + float(high[2] - low[2]) / 2
    move = np.array([0, 0, distance], np.float32) - (low + high) / 2
    camera = Camera.of_image(*size, focal=size[0] * distance / extent)
    picture = _floor(flat, turn, move, camera)
    return render(vertices @ turn.T + move, faces, camera, colours=colours, background=picture, backend=backend)


def to_glb(
    vertices: Float[np.ndarray, "people vertices 3"],
    faces: Int[np.ndarray, "faces 3"],
    *,
    colours: Colours | None = None,
    lines: Iterable[tuple[Sequence[float], Sequence[float], Side]] = (),
    origin: Sequence[float] | None = None,
) -> bytes:
    """The people as binary glTF: one smooth mesh each (named A, B, ...), thin rods for contact gaps.

    glTF is Y up and looks along -Z, so y and z change sign; `origin` (camera's frame, metres) becomes the file's; None:
    the middle of the people's floor, around which viewers orbit.

    `lines` are (from, to, side): metres in the camera's frame, drawn in the side's colour.
    """
    vertices, colours = _checked(vertices, faces, colours)
    flat = vertices.reshape(-1, 3)
    middle = (flat.min(0) + flat.max(0)) / 2 if flat.size else np.zeros(3, np.float32)
    floor = (middle[0], flat[:, 1].max(initial=middle[1]), middle[2])
    origin = np.array(floor if origin is None else origin, np.float32)
    scene = trimesh.Scene()
    for name, body, normals, colour in zip(
        "ABCDEFGH", vertices, vertex_normals(vertices, faces), colours, strict=False
    ):
        mesh = trimesh.Trimesh((body - origin) * _GLTF, faces, vertex_normals=normals * _GLTF, process=False)
        mesh.visual = _material(colour)
        scene.add_geometry(mesh, node_name=name, geom_name=name)
    for number, (start, end, side) in enumerate(lines, 1):
        ends = (np.array([start, end], np.float32) - origin) * _GLTF
        if np.linalg.norm(ends[1] - ends[0]) < 1e-4:
            continue
        rod = trimesh.creation.cylinder(radius=0.004, segment=ends, sections=8)
        rod.visual = _material(np.tile(np.array(SIDE_COLOURS[side]), (len(rod.vertices), 1)))
        scene.add_geometry(rod, node_name=f"gap {number}", geom_name=f"gap {number}")
    return export_glb(scene)


def vertex_normals(
    vertices: Float[np.ndarray, "people vertices 3"], faces: Int[np.ndarray, "faces 3"]
) -> Float[np.ndarray, "people vertices 3"]:
    """Unit normals, outwards: each triangle gives its area vector to its three corners."""
    a, b, c = (vertices[:, faces[:, corner]] for corner in range(3))
    u, v = b - a, c - a
    areas = np.stack([u[..., i] * v[..., j] - u[..., j] * v[..., i] for i, j in ((1, 2), (2, 0), (0, 1))], axis=-1)
    corners = scipy.sparse.csr_array(
        (np.ones(faces.size, np.float32), faces.ravel(), np.arange(0, faces.size + 1, 3)),
        shape=(len(faces), vertices.shape[1]),
    ).T
    normals = np.stack([corners @ area for area in areas])
    return normals / np.maximum(np.linalg.norm(normals, axis=-1, keepdims=True), 1e-12)


def _checked(vertices: np.ndarray, faces: np.ndarray, colours: Colours | None) -> tuple[np.ndarray, np.ndarray]:
    vertices = np.asarray(vertices, np.float32)
    if vertices.ndim != 3 or vertices.shape[2] != 3:
        raise ValueError(f"vertices must have shape (people, vertices, 3), got {vertices.shape}")
    if faces.ndim != 2 or faces.shape[1] != 3:
        raise ValueError(f"faces must have shape (faces, 3), got {faces.shape}")
    if colours is None:
        return vertices, person_colours(*vertices.shape[:2])
    if colours.shape != vertices.shape:
        raise ValueError(f"colours must have the vertices' shape {vertices.shape}, got {colours.shape}")
    return vertices, np.asarray(colours, np.float32)


def _shade(vertices: np.ndarray, faces: np.ndarray, colours: np.ndarray) -> np.ndarray:
    """Lambert's cosine, and an ambient light that is a little brighter from above."""
    normals = vertex_normals(vertices, faces)
    light = 0.44 - 0.10 * normals[..., 1] + 0.56 * np.maximum(normals @ _LIGHT, 0)
    return np.minimum(colours * light[..., None], 1)


def _window(vertices: np.ndarray, faces: np.ndarray, camera: Camera) -> tuple[tuple[int, int, int, int], np.ndarray]:
    """The whole pixels that bodies can cover, xyxy, and the triangles in front of the camera, people joined."""
    joined = (faces[None] + np.arange(len(vertices))[:, None, None] * vertices.shape[1]).reshape(-1, 3).astype(np.int32)
    front = vertices[..., 2].ravel() > NEAR_M
    if not front.all():
        joined = joined[front[joined].all(1)]
    if not len(joined):
        return (0, 0, 0, 0), joined
    pixels = project(vertices.reshape(-1, 3)[front].astype(np.float64), camera)
    limit = (camera.width, camera.height)
    x0, y0 = np.clip(np.floor(pixels.min(0)), 0, limit).astype(int).tolist()
    x1, y1 = np.clip(np.ceil(pixels.max(0)), 0, limit).astype(int).tolist()
    return (x0, y0, x1, y1), joined if x1 > x0 and y1 > y0 else joined[:0]


def _centred(vertices: np.ndarray, camera: Camera) -> tuple[np.ndarray, float]:
    """Sheared vertices whose centred, square-pixel camera gives the same picture, and its focal length in pixels.

    u = (k00 x + k01 y + k02 z) / z = f x' / z + w/2 with f x' = k00 x + k01 y + (k02 - w/2) z, and likewise for v.
    """
    focal = float(camera.K[1, 1])
    shear = np.array(camera.K, float)
    shear[:2, 2] -= camera.width / 2, camera.height / 2
    shear[:2] /= focal
    return np.ascontiguousarray(vertices @ shear.T.astype(np.float32)), focal


def _opencv(
    vertices: np.ndarray, faces: np.ndarray, camera: Camera, colours: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Twice the size and averaged, since `cv2.triangleRasterize` does not smooth edges."""
    sheared, focal = _centred(vertices, camera)
    size = camera.width, camera.height
    colour = np.zeros((2 * size[1], 2 * size[0], 3), np.float32)
    depth = np.full(colour.shape[:2], FAR_M, np.float32)
    cv2.triangleRasterize(
        sheared * _GLTF, faces, np.ascontiguousarray(colours), colour, depth, np.eye(4, dtype=np.float32),
        float(2 * np.arctan(size[1] / 2 / focal)), NEAR_M, FAR_M,
    )  # fmt: skip
    hit = depth < 0.99 * FAR_M  # what was not drawn comes back only nearly as it was
    coverage = cv2.resize(hit.astype(np.float32), size, interpolation=cv2.INTER_AREA)
    colour = cv2.resize(colour, size, interpolation=cv2.INTER_AREA)
    return colour, coverage, np.where(hit, depth, np.inf)[::2, ::2]


def _pyrender(
    vertices: np.ndarray, faces: np.ndarray, camera: Camera, colours: np.ndarray
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """OpenGL with four samples per pixel; a new EGL context each time, since contexts belong to threads."""
    sheared, focal = _centred(vertices, camera)
    with _egl() as pyrender:
        body = pyrender.Primitive(positions=sheared * _GLTF, indices=faces.astype(np.uint32), color_0=colours, mode=4)
        scene = pyrender.Scene(bg_color=(0, 0, 0, 0))
        scene.add(pyrender.Mesh([body]))
        middle = camera.width / 2, camera.height / 2
        scene.add(pyrender.IntrinsicsCamera(focal, focal, *middle, znear=NEAR_M, zfar=FAR_M))
        canvas = pyrender.OffscreenRenderer(camera.width, camera.height)
        try:
            flags = pyrender.RenderFlags.FLAT | pyrender.RenderFlags.RGBA
            rgba, depth = canvas.render(scene, flags=flags)
        finally:
            canvas.delete()
    rgba = rgba.astype(np.float32) / 255
    return rgba[..., :3], rgba[..., 3], np.where(depth > 0, depth, np.inf)


_RASTERISERS = {"opencv": _opencv, "pyrender": _pyrender}


@contextmanager
def _egl() -> Iterator[ModuleType]:
    """Pyrender on EGL, one thread at a time; the environment, where it looks for its platform, is left as found."""
    with _GL_LOCK:
        before = os.environ.get("PYOPENGL_PLATFORM")
        os.environ["PYOPENGL_PLATFORM"] = "egl"
        try:
            import pyrender

            yield pyrender
        except Exception as error:  # PyOpenGL raises its own, drivers theirs
            raise ApuError(f"OpenGL through EGL does not work here ({error}); render with backend='opencv'") from error
        finally:
            if before is None:
                del os.environ["PYOPENGL_PLATFORM"]
            else:
                os.environ["PYOPENGL_PLATFORM"] = before


def _over(raster: Raster, background: np.ndarray, opacity: float) -> np.ndarray:
    """Premultiplied colours over the background; only the rows and columns that change."""
    picture = background.copy()
    rows, columns = (np.flatnonzero(raster.coverage.any(axis)) for axis in (1, 0))
    if len(rows):
        part = np.s_[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]
        rest = 1 - opacity * raster.coverage[part][..., None]
        picture[part] = np.clip(255 * opacity * raster.colour[part] + rest * background[part] + 0.5, 0, 255)
    return picture


def _crop(image: np.ndarray, box: tuple[int, int, int, int], size: tuple[int, int]) -> np.ndarray:
    """Whole pixels of the photograph at another size; calm grey where the box reaches beyond it."""
    height, width = image.shape[:2]
    x0, y0, x1, y1 = box
    inside = image[max(y0, 0) : max(y1, 0), max(x0, 0) : max(x1, 0)]
    margins = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
    padded = cv2.copyMakeBorder(inside, *margins, cv2.BORDER_CONSTANT, value=(_BACKDROP * 255).tolist())
    shrink = size[0] < x1 - x0
    return cv2.resize(padded, size, interpolation=cv2.INTER_AREA if shrink else cv2.INTER_CUBIC)


def _floor(flat: np.ndarray, turn: np.ndarray, move: np.ndarray, camera: Camera) -> np.ndarray:
    """The backdrop with a grid of half metres at the people's lowest point."""
    picture = np.full((camera.height, camera.width, 3), _BACKDROP * 255, np.uint8)
    low, high = np.floor(2 * flat.min(0) - 2) / 2, np.ceil(2 * flat.max(0) + 2) / 2
    y = flat[:, 1].max()
    ends = [((x, y, low[2]), (x, y, high[2])) for x in np.arange(low[0], high[0] + 0.25, 0.5)]
    ends += [((low[0], y, z), (high[0], y, z)) for z in np.arange(low[2], high[2] + 0.25, 0.5)]
    pixels = project(np.array(ends, np.float32) @ turn.T + move, camera)
    segments = np.rint(pixels * 16 - 8).astype(np.int32)  # OpenCV's pixel centres are whole numbers
    cv2.polylines(picture, list(segments), False, (_FLOOR_LINE * 255).tolist(), 1, cv2.LINE_AA, 4)
    return picture


def _material(colours: np.ndarray) -> TextureVisuals:
    """A matt material tinted by vertex colours, which glTF wants linear."""
    linear = np.where(colours <= 0.04045, colours / 12.92, ((colours + 0.055) / 1.055) ** 2.4)
    rgba = np.concatenate([linear, np.ones_like(linear[:, :1])], axis=1)
    matt = PBRMaterial(metallicFactor=0.0, roughnessFactor=0.85)
    visual = TextureVisuals(material=matt)
    visual.vertex_attributes["color"] = np.rint(255 * rgba).astype(np.uint8)
    return visual
