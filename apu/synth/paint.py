"""Make a scene look like a photograph: skin, hair and clothes by body part, a wall, a floor and soft shadows."""

from functools import lru_cache

import cv2
import numpy as np
import torch
from jaxtyping import Float, UInt8

from apu.body.model import BodyModel
from apu.body.rig import JOINTS
from apu.camera import project
from apu.render import render
from apu.synth.recipe import Looks, Recipe
from apu.types import Camera

_TROUSERS = ("pelvis", "left_hip", "right_hip", "left_knee", "right_knee")
_SHOES = ("left_ankle", "right_ankle", "left_foot", "right_foot")
_TOP = ("spine1", "spine2", "spine3", "left_collar", "right_collar", "left_shoulder", "right_shoulder")
_FOREARMS = ("left_elbow", "right_elbow")
_WALL, _FLOOR = np.array([214, 218, 221], np.float32), np.array([176, 164, 150], np.float32)
_BEHIND_M = 1.6
"""From the people's origin to the wall."""
_SHADOW = 0.45


def photograph(
    vertices: Float[np.ndarray, "2 vertices 3"], recipe: Recipe, body: BodyModel
) -> UInt8[np.ndarray, "height width 3"]:
    """The scene as its camera sees it, RGB."""
    colours = np.stack([_dressed(body, person.looks) for person in recipe.people])
    room = _room(vertices, recipe.camera, eye=recipe.eye, wall=recipe.distance + _BEHIND_M)
    return render(vertices, body.faces, recipe.camera, colours=colours, background=room)


def _rgb(colour: str) -> np.ndarray:
    return np.array([int(colour[i : i + 2], 16) for i in (1, 3, 5)], np.float32) / 255


@lru_cache(maxsize=2)
def _wardrobe(body: BodyModel) -> dict[str, np.ndarray]:
    """Which vertices are what, from skinning weights and the rest shape."""
    owner = torch.as_tensor(body.smplx.lbs_weights).argmax(1).cpu().numpy()
    rest = torch.as_tensor(body.smplx.v_template).cpu().numpy()

    def of(names: tuple[str, ...]) -> np.ndarray:
        return np.isin(owner, [JOINTS.index(name) for name in names])

    eyes = of(("left_eye", "right_eye"))
    head = of(("head", "jaw"))
    # Hair: above the brow and behind the ears, on a slope from the forehead to the nape.
    centre = rest[eyes].mean(0) if eyes.any() else rest[head].mean(0)
    up, back = rest[:, 1] - centre[1], centre[2] - rest[:, 2]
    hair = head & ~eyes & (up + 0.75 * (back - 0.075) > 0.02) & (back > -0.035 * (up > 0.045))
    pupils = eyes & (rest[:, 2] > np.quantile(rest[eyes, 2], 0.80) if eyes.any() else False)
    return {
        "hair": hair, "whites": eyes & ~pupils, "pupils": pupils, "shoes": of(_SHOES), "bottom": of(_TROUSERS),
        "top": of(_TOP), "forearms": of(_FOREARMS),
    }  # fmt: skip


def _dressed(body: BodyModel, looks: Looks) -> Float[np.ndarray, "vertices 3"]:
    wardrobe = _wardrobe(body)
    colours = np.tile(_rgb(looks.skin), (body.num_vertices, 1))
    for part, colour in (("bottom", looks.bottom), ("top", looks.top), ("shoes", looks.shoes), ("hair", looks.hair)):
        colours[wardrobe[part]] = _rgb(colour)
    if not looks.short_sleeves:
        colours[wardrobe["forearms"]] = _rgb(looks.top)
    colours[wardrobe["whites"]], colours[wardrobe["pupils"]] = 0.93, 0.12
    return colours


def _room(vertices: np.ndarray, camera: Camera, *, eye: float, wall: float) -> UInt8[np.ndarray, "height width 3"]:
    """A wall, a floor that darkens towards it, and the bodies' shadows straight below them."""
    rows = np.arange(camera.height, dtype=np.float32)[:, None] + 0.5
    columns = (np.arange(camera.width, dtype=np.float32)[None] + 0.5 - camera.K[0, 2]) / camera.width
    below = (rows - camera.K[1, 2]) / camera.K[1, 1]  # y / z of the ray
    floor = below > eye / wall
    depth = np.where(floor, eye / np.maximum(below, 1e-6), wall)
    light = np.where(floor, 1.12 - 0.06 * depth, 0.98 - 0.10 * (np.clip(below * wall / eye, -1, 1))) - 0.20 * columns**2
    picture = np.where(floor[..., None], _FLOOR, _WALL) * light[..., None]
    picture *= 1 - _SHADOW * _shadow(vertices, camera, eye)[..., None]
    return np.clip(picture + 0.5, 0, 255).astype(np.uint8)


def _shadow(vertices: np.ndarray, camera: Camera, eye: float) -> Float[np.ndarray, "height width"]:
    """Bodies flattened onto the floor: dark where they are near it, blurred as under a wide lamp."""
    near = vertices[vertices[..., 1] > eye - 1.0]
    pixels = project(np.column_stack([near[:, 0], np.full(len(near), eye), near[:, 2]]), camera)
    weight = 1 - (eye - near[:, 1])
    inside = (pixels >= 0).all(1) & (pixels < (camera.width, camera.height)).all(1)
    columns, rows = pixels[inside].astype(int).T
    shadow = np.zeros((camera.height, camera.width), np.float32)
    np.maximum.at(shadow, (rows, columns), weight[inside].astype(np.float32))
    shadow = cv2.dilate(shadow, np.ones((9, 25), np.uint8))
    return cv2.GaussianBlur(shadow, (0, 0), sigmaX=22, sigmaY=8)
