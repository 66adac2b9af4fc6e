"""How many sides the denoiser sets right: ``python -m apu.bench.denoise [--scenes N] [--seed S] [--json]``.

Scenes of every class are observed several times under three detectors: plain (jitter and hidden keypoints, but no bias,
outliers or swaps), with bias and outliers, and with swaps of left and right too, the benchmark's whole mixture.
``--fits plain`` also fits the likely readings (`apu.fan`) of the answers with a visible contact, under that detector. A
contact counts when its part names are those of a true one; it is right when its sides are, none before it claimed the
same sides, and it is not left out. Three groups of contacts:

- clear: the camera sees every keypoint of the true parts and of the sides they compete with;
- visible: of the true parts;
- all.
"""

import argparse
import json
import sys
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, TextIO

import numpy as np
import torch
from jaxtyping import Bool

from apu.bench.case import draws
from apu.body.model import BodyModel, load_body
from apu.body.parts import anchors
from apu.denoise import apply, denoise
from apu.fan import fit_likeliest
from apu.formats.match import trusted_keypoints
from apu.synth.detector import keypoints, visible
from apu.synth.noise import NOISE, without
from apu.synth.observe import Streams, observe
from apu.synth.recipe import load_classes
from apu.synth.scene import Scene
from apu.types import KEYPOINTS, Contact, PairObservation, Side

_SWAPS = ("swapped_limb", "swapped_person")
DETECTORS = {
    "plain": without(NOISE.detector, "bias", "outlier_seen", "outlier_hidden", *_SWAPS),
    "bias, outliers": without(NOISE.detector, *_SWAPS),
    "bias, outliers, swaps": NOISE.detector,
}
"""Noise conditions by name."""

Rule = Callable[[Sequence[Contact], PairObservation], Sequence[Contact | None]]
"""What becomes of an answer's contacts, in their order; None: it is left out."""
RULES: dict[str, Rule] = {
    "raw": lambda contacts, observation: contacts,
    "nearest": lambda contacts, observation: apply(denoise(contacts, trusted_keypoints(observation), rule="nearest")),
    "evidence": lambda contacts, observation: apply(denoise(contacts, observation)),
}
"""As stated; the paper's rule; this program's."""


@dataclass(frozen=True, kw_only=True, eq=False)
class Told:
    """An answer about a scene.

    Attributes:
        scene: number of the scene, of which there are several answers. counted: which contacts have the part names of
            true ones. clear, visible: of every contact, whether all true ones of its part names are.
    """

    scene: int
    observation: PairObservation
    stated: tuple[Contact, ...]
    true: tuple[Contact, ...]
    counted: tuple[bool, ...]
    clear: tuple[bool, ...]
    visible: tuple[bool, ...]


def right_sides(contacts: Sequence[Contact | None], true: Sequence[Contact]) -> list[bool]:
    """Which contacts are true ones with their sides; each true one counts once."""
    left = [contact.parts for contact in true]
    right = []
    for contact in contacts:
        right.append(contact is not None and contact.parts in left)
        if contact is not None and right[-1]:
            left.remove(contact.parts)
    return right


def tell(scene: Scene, number: int, body: BodyModel, seed: int) -> dict[str, Told]:
    """One observation of a scene under every noise condition; the answer is the same in all."""
    seen = visible(scene, body)
    true = tuple(c for c in scene.recipe.true_contacts if any(part.side is not Side.BOTH for part in c.parts))
    names = [_names(contact) for contact in true]
    shown = {name: all(_seen(c, seen) for c in true if _names(c) == name) for name in names}
    clear = {name: all(_seen(c, seen) and _seen(c.flipped, seen) for c in true if _names(c) == name) for name in names}
    observation, answer = observe(scene, body, seed)
    named = [_names(contact) for contact in answer.contacts]
    told = {}
    for condition, noise in DETECTORS.items():
        detected = keypoints(scene, body, seen, Streams.of(scene.recipe.name, seed).detector, noise=noise)
        told[condition] = Told(
            scene=number,
            observation=replace(observation, keypoints=detected),
            stated=answer.contacts,
            true=true,
            counted=tuple(name in shown for name in named),
            clear=tuple(clear.get(name, False) for name in named),
            visible=tuple(shown.get(name, False) for name in named),
        )
    return told


def tell_all(count: int, seed: int, body: BodyModel, *, each: int) -> Iterator[dict[str, Told]]:
    """`each` observations of `count` drawn scenes."""
    for number, draw in enumerate(draws(tuple(load_classes()), count, seed)):
        scene = draw.scene(body)
        for i in range(each):
            yield tell(scene, number, body, draw.noise_seed + i)


def rate(told: Sequence[Told], rule: Rule) -> dict[str, Any]:
    """Shares of right sides by group of contacts, with 95 % bootstrap intervals over scenes."""
    scene, right, groups = [], [], {"clear": [], "visible": [], "all": []}
    for one in told:
        right += right_sides(rule(one.stated, one.observation), one.true)
        scene += [one.scene] * len(one.stated)
        for name, flags in (("clear", one.clear), ("visible", one.visible), ("all", one.counted)):
            groups[name] += flags
    return {name: _share(scene, right, np.array(counted)) for name, counted in groups.items()}


def rate_fitted(told: Sequence[Told], body: BodyModel) -> dict[str, Any]:
    """The same of the reading that stands once all likely ones are fitted; of clear and visible contacts alone."""
    shown = [one for one in told if any(one.visible)]
    rated = rate(shown, lambda contacts, observation: fit_likeliest(observation, contacts, body)[0].contacts)
    return {name: rated[name] for name in ("clear", "visible")}


def _share(scene: Sequence[int], right: Sequence[bool], counted: Bool[np.ndarray, "contacts"]) -> dict[str, Any]:
    scenes, index = np.unique(scene, return_inverse=True)
    good, number = (
        np.bincount(index[counted], w[counted], len(scenes)) for w in (np.array(right, float), counted * 1.0)
    )
    drawn = np.random.default_rng(0).integers(len(scenes), size=(2000, len(scenes)))
    shares = good[drawn].sum(1) / np.maximum(number[drawn].sum(1), 1)
    return {
        "right": float(good.sum() / max(number.sum(), 1)),
        "ci95": np.percentile(shares, [2.5, 97.5]).tolist(),
        "n": int(number.sum()),
    }


def _names(contact: Contact) -> tuple[str, str]:
    return contact.parts[0].name, contact.parts[1].name


def _seen(contact: Contact, seen: Bool[np.ndarray, "2 67"]) -> bool:
    return all(
        seen[person, KEYPOINTS.index(name)]
        for person, part in enumerate(contact.parts)
        for line in anchors(part)
        for start, end, _ in line
        for name in (start, end)
    )


def table(rated: dict[str, dict[str, Any]]) -> str:
    """Per cent of right sides with their intervals, a line per condition and rule."""
    lines = [f"{'detector':24}{'rule':12}{'clear, %':>22}{'visible, %':>22}{'all, %':>22}"]
    for condition, rules in rated.items():
        for rule, of in rules.items():
            cells = ("{:.1f} [{:.1f}, {:.1f}]".format(*(100 * v for v in (of[k]["right"], *of[k]["ci95"])))
                     for k in ("clear", "visible", "all") if k in of)  # fmt: skip
            lines.append(f"{condition:24}{rule:12}" + "".join(f"{cell:>22}" for cell in cells))
    of = next(iter(next(iter(rated.values())).values()))
    return "\n".join(
        [*lines, f"contacts: {of['clear']['n']} clear, {of['visible']['n']} visible, {of['all']['n']} in all"]
    )


def main(scenes: int, seed: int, each: int, out: TextIO, *, fits: str = "", as_json: bool) -> None:
    """Print the share of right sides under every condition and rule."""
    body = load_body()
    told = list(tell_all(scenes, seed, body, each=each))
    rated = {name: {rule: rate([one[name] for one in told], of) for rule, of in RULES.items()} for name in DETECTORS}
    if fits:
        rated[fits]["fitted"] = rate_fitted([one[fits] for one in told], body)
    out.write((json.dumps(rated, indent=1) if as_json else table(rated)) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--scenes", type=int, default=104)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--each", type=int, default=5, help="observations of each scene")
    parser.add_argument(
        "--fits", choices=DETECTORS, default="", help="also fit the likely readings under this detector"
    )
    parser.add_argument("--json", action="store_true", dest="as_json")
    main(**vars(parser.parse_args()), out=sys.stdout)
