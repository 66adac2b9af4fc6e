"""Recipes: who stands where, in which pose, and what touches what; written by hand in ``assets/demo/recipes.json``.

A recipe's frame is the floor's: x to the image's right, y up, z towards the camera, metres; a person who faces 0
degrees looks into the camera, 90 to the image's right, -90 to its left. `start` places the people in the camera's
frame; `apu.synth.solve` brings them into true contact from there.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from pathlib import Path
from types import MappingProxyType
from typing import Annotated

import numpy as np
from pydantic import BaseModel, ConfigDict, Field
from scipy.spatial.transform import Rotation

from apu.body.model import BodyModel
from apu.body.parts import PARTS
from apu.files import asset
from apu.synth.pose import local_rotations, mirrored
from apu.types import NUM_BETAS, BodyParams, BodyPart, Camera, Contact, Side

PICTURE = (1280, 960)
"""Width and height of the pictures, pixels."""

CAMERA_AXES = Rotation.from_euler("x", 180, degrees=True)  # floor frame (y up) -> camera frame (y down)
_Colour = Annotated[str, Field(pattern="^#[0-9a-f]{6}$")]


_Share = Annotated[float, Field(ge=0, le=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Looks(_Strict):
    """Colours of one person, ``#rrggbb``; short sleeves and bare legs show skin."""

    skin: _Colour
    hair: _Colour
    top: _Colour
    bottom: _Colour
    shoes: _Colour
    short_sleeves: bool = False


class Person(_Strict):
    """One person of a recipe.

    Attributes:
        words: a description as a model would give it.
        shape: the first betas, standard deviations; the first is mostly height. child: adult (0) to infant (1).
        children: the range of ages for drawn scenes.
        place: x and z on the floor. facing: degrees. pose: see `apu.synth.pose.VOCABULARY`.
        tilt: of the whole body forwards and to its own left, degrees.
        rests: parts that lie on something and its height above the floor, metres; feet stand flat.
        above: height of the lowest point of somebody who is carried, metres.
    """

    words: str
    shape: tuple[float, ...] = Field(default=(), max_length=NUM_BETAS - 1)
    child: _Share = 0.0
    children: tuple[_Share, _Share] = (0.0, 0.0)
    place: tuple[float, float]
    facing: float
    tilt: tuple[float, float] = (0.0, 0.0)
    above: float = Field(default=0.0, ge=0)
    rests: Mapping[str, float] = {"left foot": 0.0, "right foot": 0.0}
    pose: Mapping[str, Mapping[str, float]] = {}
    looks: Looks

    @property
    def mirrored(self) -> "Person":
        """The person's mirror image."""
        return self.model_copy(
            update={
                "place": (-self.place[0], self.place[1]),
                "facing": -self.facing,
                "tilt": (self.tilt[0], -self.tilt[1]),
                "rests": {_other_side(words): height for words, height in self.rests.items()},
                "pose": mirrored(self.pose),
            }
        )


class Recipe(_Strict):
    """One scene: person 0 is the left one in the image.

    Attributes:
        name: of the files. interaction, orientation: as a model would put them.
        turn: of the whole scene about the origin, degrees, like facing.
        contacts: pairs of parts, e.g. ``["left hand", "right back"]``; all of them are true in the solved scene.
        laid: hands that touch are laid on with the palm; otherwise any point of them touches.
        distance: from the camera to the origin, metres. eye: the camera's height above the floor, metres.
    """

    name: Annotated[str, Field(pattern="^[a-z_]+$")]
    interaction: str
    orientation: str
    people: tuple[Person, Person]
    contacts: tuple[tuple[str, str], ...]
    laid: bool = True
    turn: float = 0.0
    distance: float = Field(default=2.7, gt=1)
    eye: float = Field(default=0.95, gt=0)

    @property
    def camera(self) -> Camera:
        """A level camera without calibration, as in docs/conventions.md."""
        return Camera.of_image(*PICTURE)

    @property
    def true_contacts(self) -> tuple[Contact, ...]:
        """The contacts in the program's types."""
        return tuple(Contact(parts=(part(a), part(b)), source="simulated") for a, b in self.contacts)

    @property
    def swapped(self) -> "Recipe":
        """The same scene with its people in the other order."""
        return self.model_copy(
            update={"people": self.people[::-1], "contacts": tuple((b, a) for a, b in self.contacts)}
        )

    @property
    def mirrored(self) -> "Recipe":
        """The scene's mirror image: left is right in the room and on every body."""
        return self.model_copy(
            update={
                "people": tuple(person.mirrored for person in self.people),
                "contacts": tuple((_other_side(a), _other_side(b)) for a, b in self.contacts),
                "turn": -self.turn,
            }
        )


def _other_side(words: str) -> str:
    return str(part(words).flipped)


def part(words: str) -> BodyPart:
    """``"left upper arm"`` as a part with its side; without a side: both.

    Raises:
        ValueError: not one of the 17 parts.
    """
    side, _, name = words.partition(" ")
    result = BodyPart(name=name, side=Side(side)) if side in ("left", "right") else BodyPart(name=words)
    if result.name not in PARTS:
        raise ValueError(f"a part must be one of {', '.join(PARTS)}, with its side before it; got {words!r}")
    return result


def load_recipes(path: Path | None = None) -> dict[str, Recipe]:
    """The recipes by name, in the file's order; by default the shipped ones."""
    text = (path or asset("demo/recipes.json")).read_text(encoding="utf-8")
    return {recipe.name: recipe for recipe in map(Recipe.model_validate, json.loads(text))}


@cache
def load_classes() -> Mapping[str, Recipe]:
    """Every class of interaction by name: the demo's recipes, then the others."""
    return MappingProxyType(load_recipes() | load_recipes(asset("synth/recipes.json")))


def start(recipe: Recipe, body: BodyModel) -> BodyParams:
    """The people as the recipe words them: pelvis over its place, lowest point on the floor, camera's frame."""
    scene = Rotation.from_euler("y", recipe.turn, degrees=True)
    betas = np.zeros((2, NUM_BETAS), np.float32)
    for row, person in zip(betas, recipe.people, strict=True):
        row[: len(person.shape)] = person.shape
        row[-1] = person.child
    params = BodyParams(
        global_orient=orientations(recipe).as_rotvec().astype(np.float32),
        body_pose=np.stack([local_rotations(person.pose) for person in recipe.people]),
        betas=betas,
        transl=np.zeros((2, 3), np.float32),
    )
    posed = body.forward(params)
    pelvis, lowest = posed.joints[:, 0], posed.vertices[..., 1].max(axis=1)
    above = np.array([person.above for person in recipe.people])
    place = scene.apply([(x, 0, z) for x, z in (person.place for person in recipe.people)])
    transl = np.column_stack(
        [place[:, 0] - pelvis[:, 0], recipe.eye - above - lowest, recipe.distance - place[:, 2] - pelvis[:, 2]]
    )
    return replace(params, transl=transl.astype(np.float32))


def orientations(recipe: Recipe) -> Rotation:
    """How either person's whole body is turned in the camera's frame: tilted, facing somewhere, with the scene."""
    angles = [(recipe.turn + p.facing, p.tilt[0], -p.tilt[1]) for p in recipe.people]
    return CAMERA_AXES * Rotation.from_euler("YXZ", angles, degrees=True)
