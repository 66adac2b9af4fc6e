"""One pair of the benchmark: what a fit is given, what models say, and the truth it is held against."""

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float

from apu.body.model import BodyModel
from apu.fit.proxy import fit_body
from apu.formats.skeletons import SKELETONS, Skeleton
from apu.synth.draw import SceneError, draw_scene
from apu.synth.observe import observe
from apu.synth.scene import Scene
from apu.types import SMPL_JOINTS, Contact, PairObservation

_SEEDS = 3
"""Tried for a scene: each is a dozen attempts already, so that this many fail for a class that cannot be drawn."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Truth:
    """Where the people are.

    Attributes:
        skeleton: a name of `apu.formats.skeletons.SKELETONS`.
        joints: its comparable ones, metres; NaN where unknown.
        in_camera: in the camera's frame; else in another right-handed one, which errors without alignment cannot use.
        vertices: of the body that is fitted, metres, where they are known.
    """

    skeleton: str
    joints: Float[np.ndarray, "2 compared 3"]
    in_camera: bool = True
    vertices: Float[np.ndarray, "2 vertices 3"] | None = None

    @property
    def of(self) -> Skeleton:
        """How the joints are named and which points of a body they are held against."""
        return SKELETONS[self.skeleton]


@dataclass(frozen=True, kw_only=True, eq=False)
class Case:
    """A pair with its truth, person 0 the left one in the image.

    Attributes:
        name: unique in a run. interaction: the class it counts for.
        contacts: the true ones; None where nobody wrote them down.
        stated: contacts as a model states them; None where none was asked.
        notes: what of the pair's data could not be used, one sentence each.
    """

    name: str
    interaction: str
    observation: PairObservation
    truth: Truth
    contacts: tuple[Contact, ...] | None
    stated: tuple[Contact, ...] | None
    notes: tuple[str, ...] = ()


@runtime_checkable
class Source(Protocol):
    """Where a case comes from, drawn or read: what one process can send another, which then makes the case."""

    @property
    def name(self) -> str:
        """Unique in a run."""
        ...

    @property
    def interaction(self) -> str:
        """The class it counts for."""
        ...

    def __call__(self, body: BodyModel) -> Case:
        """The case, or an `ApuError` that says why there is none."""
        ...


@dataclass(frozen=True, kw_only=True)
class Draw:
    """A simulated pair that is made where and when it is needed; the same class and seeds make the same pair."""

    name: str
    interaction: str
    scene_seed: int
    noise_seed: int

    def __call__(self, body: BodyModel) -> Case:
        """The pair.

        Raises:
            SceneError: as `scene`.
        """
        scene = self.scene(body)
        observed = observe(scene, body, self.noise_seed)
        posed = body.forward(scene.params)
        return Case(
            name=self.name,
            interaction=self.interaction,
            observation=observed.observation,
            truth=Truth(
                skeleton="smplx_55",
                joints=posed.joints[:, : len(SMPL_JOINTS)],
                vertices=posed.vertices,
            ),
            contacts=scene.recipe.true_contacts,
            stated=observed.answer.contacts,
        )

    def scene(self, body: BodyModel) -> Scene:
        """Its scene; where none without flaws comes of the seed, that of the next seed that gives one.

        Raises:
            SceneError: the next ones gave none either.
        """
        for further in range(_SEEDS - 1):
            with suppress(SceneError):
                return draw_scene(self.interaction, self.scene_seed + further, fit_body(body))
        return draw_scene(self.interaction, self.scene_seed + _SEEDS - 1, fit_body(body))


def draws(classes: Sequence[str], count: int, seed: int) -> list[Draw]:
    """`count` draws, one class after the other and round again; a class's scenes do not depend on the other classes."""
    drawn = []
    for i in range(count):
        turn, interaction = i // len(classes), classes[i % len(classes)]
        scene, noise = np.random.SeedSequence([seed, turn]).generate_state(2).tolist()
        drawn.append(
            Draw(name=f"{interaction} {turn + 1}", interaction=interaction, scene_seed=scene, noise_seed=noise)
        )
    return drawn
