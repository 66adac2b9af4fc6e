"""Scenes without end: a class of interaction, a seed, and two people in true contact as chance would have them.

Everything that differs between two photographs of the same thing is drawn: builds and ages, which hand, small and
large differences of pose, where the photographer stood. What is drawn is solved to real contact and checked; what has
a flaw is drawn again.

``python -m apu.synth.draw [--seeds N] [CLASS ...]`` says how often that happens, and how long it takes.
"""

import argparse
import re
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from scipy.spatial.transform import Rotation

from apu.body.model import BodyModel, load_body
from apu.camera import project
from apu.errors import ApuError
from apu.fit.proxy import FitBody, fit_body
from apu.synth.check import flaws
from apu.synth.recipe import CAMERA_AXES, Person, Recipe, load_classes
from apu.synth.scene import Scene
from apu.synth.solve import solve
from apu.types import NUM_BETAS, BodyParams


class SceneError(ApuError):
    """No attempt of a class and seed gave a scene without flaws."""


@dataclass(frozen=True, kw_only=True)
class Variation:
    """How much scenes of one class differ; lengths in metres, angles in degrees.

    Attributes:
        shape: standard deviation of the betas, cut at `most_shape`.
        angle: standard deviation of every angle of the recipe's poses; idle: of the trunk, head and legs besides.
        facing, place: standard deviations of where people look and stand.
        eye: lowest and highest camera. fill: least and most of the picture's height or width that the people take.
        apart: the people's centres are at least this share of their largest distance seen from anywhere apart.
        attempts: draws until one has no flaw.
    """

    shape: float = 0.7
    most_shape: float = 1.6
    angle: float = 5.0
    idle: float = 3.0
    facing: float = 5.0
    place: float = 0.02
    eye: tuple[float, float] = (0.7, 1.45)
    fill: tuple[float, float] = (0.75, 0.96)
    apart: float = 0.35
    attempts: int = 20


VARIATION = Variation()


def draw_scene(name: str, seed: int, body: FitBody, *, variation: Variation = VARIATION) -> Scene:
    """A scene of a class; the same class and seed give the same scene, bit by bit on one machine.

    Args:
        name: one of `apu.synth.recipe.load_classes`. seed: any integer from 0 on. body: `apu.fit.proxy.fit_body` of
            any model.

    Returns:
        A scene without `flaws`, person 0 the left one in the picture.

    Raises:
        ValueError: an unknown class. SceneError: every attempt had a flaw.
    """
    classes = load_classes()
    if name not in classes:
        raise ValueError(f"name must be one of {', '.join(classes)}; got {name!r}")
    found: tuple[str, ...] = ()
    for attempt in range(variation.attempts):
        scene, found = attempt_scene(classes[name], seed, attempt, body, variation)
        if not found:
            return scene
    raise SceneError(
        f"{name}, seed {seed}: {variation.attempts} attempts all had flaws, the last one: {'; '.join(found)}; "
        "take another seed"
    )


def draw_scenes(
    names: Sequence[str], seeds: Sequence[int], body: FitBody, *, variation: Variation = VARIATION
) -> Iterator[Scene]:
    """`draw_scene` of every class with every seed, class by class."""
    for name in names:
        for seed in seeds:
            yield draw_scene(name, seed, body, variation=variation)


def attempt_scene(
    recipe: Recipe, seed: int, attempt: int, body: FitBody, variation: Variation = VARIATION
) -> tuple[Scene, tuple[str, ...]]:
    """One attempt at a scene, and its flaws."""
    rng = np.random.default_rng([seed, attempt, *recipe.name.encode()])
    drawn = varied(recipe, rng, variation)
    params = solve(drawn, body)
    drawn, params = photographed(drawn, params, body.model, rng, variation)
    return Scene(recipe=drawn, params=params), flaws(drawn, params, body.model, body.regions)


def varied(recipe: Recipe, rng: np.random.Generator, variation: Variation = VARIATION) -> Recipe:
    """The recipe with other people, mirrored or not, each standing and moving a little differently."""
    people = [_varied_person(person, rng, variation) for person in recipe.people]
    # Who is larger needs more room.
    grown = sum(_size(person) for person in people) / sum(_size(person) for person in recipe.people)
    people = [
        p.model_copy(
            update={
                "place": (p.place[0] * grown, p.place[1] * grown),
                "above": p.above * _size(people[1 - i]) / _size(recipe.people[1 - i]),
                "rests": {part: height * _size(p) / _size(recipe.people[i]) for part, height in p.rests.items()},
            }
        )
        for i, p in enumerate(people)
    ]
    drawn = recipe.model_copy(update={"people": tuple(people), "turn": 0.0})
    return drawn.mirrored if rng.random() < 0.5 else drawn


def _varied_person(person: Person, rng: np.random.Generator, variation: Variation) -> Person:
    shape = np.clip(variation.shape * rng.standard_normal(NUM_BETAS - 1), -variation.most_shape, variation.most_shape)
    idle = {"spine": ("bend", "lean", "turn"), "head": ("nod", "tilt", "turn"), "left_leg": ("flex", "open"),
            "right_leg": ("flex", "open"), "left_arm": ("raise", "elbow"), "right_arm": ("raise", "elbow")}  # fmt: skip
    pose = {}
    for part in sorted({*idle, *person.pose}):
        named = person.pose.get(part, {})
        spreads = {name: variation.idle for name in idle.get(part, ())} | dict.fromkeys(named, variation.angle)
        pose[part] = {n: named.get(n, 0.0) + spread * rng.standard_normal() for n, spread in sorted(spreads.items())}
    return person.model_copy(
        update={
            "shape": tuple(shape.tolist()),
            "child": rng.uniform(*person.children),
            "place": tuple((np.array(person.place) + variation.place * rng.standard_normal(2)).tolist()),
            "tilt": tuple((np.array(person.tilt) + variation.idle * rng.standard_normal(2)).tolist()),
            "facing": person.facing + variation.facing * rng.standard_normal(),
            "pose": pose,
        }
    )


def _size(person: Person) -> float:
    """Roughly the height, metres."""
    return 1.69 + 0.1 * (person.shape[0] if person.shape else 0.0) - person.child


def photographed(
    recipe: Recipe, params: BodyParams, body: BodyModel, rng: np.random.Generator, variation: Variation = VARIATION
) -> tuple[Recipe, BodyParams]:
    """The solved scene from where a photographer might stand: from any side, but not with one person behind the other.

    Person 0 becomes the left one in the picture.
    """
    posed = body.forward(params)
    floor = np.array([0.0, recipe.eye, 0.0])
    middle = (posed.vertices.min((0, 1)) + posed.vertices.max((0, 1))) / 2
    pivot = middle * (1, 0, 1) + floor

    def view(degrees: float) -> Rotation:
        return CAMERA_AXES * Rotation.from_euler("y", degrees, degrees=True) * CAMERA_AXES.inv()

    def apart(degrees: float) -> float:
        across = (posed.joints @ view(degrees).as_matrix()[0]).astype(float)
        left, right = (across.min(1) + across.max(1)) / 2
        return abs(right - left)

    least = variation.apart * max(apart(degrees) for degrees in range(0, 180, 5))
    while apart(angle := rng.uniform(-180, 180)) < least:
        pass
    seen = view(angle)
    eye, fill = rng.uniform(*variation.eye), rng.uniform(*variation.fill)
    camera = recipe.camera
    points = seen.apply(posed.vertices.reshape(-1, 3) - pivot) + np.array([0.0, eye, 0.0])
    # The nearest place from which every point is within the wanted share of the picture.
    reach = np.abs(points[:, :2]) * (2 * camera.K[0, 0]) / (fill * np.array([camera.width, camera.height]))
    distance = float((reach.max(1) - points[:, 2]).max())
    pelvis = posed.joints[:, 0]
    moved = seen.apply(pelvis - pivot) + np.array([0.0, eye, distance])
    params = replace(
        params,
        global_orient=(seen * Rotation.from_rotvec(params.global_orient)).as_rotvec().astype(np.float32),
        transl=(params.transl + moved - pelvis).astype(np.float32),
    )
    recipe = recipe.model_copy(update={"turn": recipe.turn + angle, "eye": eye, "distance": distance})
    boxes = project(body.keypoints(params), camera)[..., 0]
    left, right = boxes.min(1) + boxes.max(1)
    return (recipe, params) if left <= right else (recipe.swapped, params.take([1, 0]))


def main(names: Sequence[str], seeds: int) -> None:
    """Print how often attempts succeed and what a scene costs, class by class."""
    body = fit_body(load_body())
    for name in names or load_classes():
        began, attempts, failures = time.process_time(), 0, 0
        reasons = Counter()
        for seed in range(seeds):
            for attempt in range(VARIATION.attempts):
                attempts += 1
                _, found = attempt_scene(load_classes()[name], seed, attempt, body)
                if not found:
                    break
                reasons.update(re.sub(r"-?[0-9.]+", "N", flaw) for flaw in found)
            else:
                failures += 1
        seconds = (time.process_time() - began) / seeds
        line = f"{name:20s} {seeds - failures}/{seeds} in {attempts / seeds:.1f} attempts, {seconds:.2f} s each\n"
        for reason, count in reasons.most_common(4):
            line += f"    {count:3d} x {reason}\n"
        sys.stdout.write(line)
        sys.stdout.flush()


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("names", nargs="*", metavar="CLASS")
    parser.add_argument("--seeds", type=int, default=4)
    main(**vars(parser.parse_args()))
