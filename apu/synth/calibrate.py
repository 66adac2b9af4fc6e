"""Measure the frozen mixture of errors: ``python -m apu.synth.calibrate [--scenes N] [--seed S]``.

Draws scenes class by class from `seed` on, simulates what is seen of them, fits each without contacts, and prints how
wrong the start is, in the image and beyond, and what such a fit leaves of it. Seeds 1000 to 1999 are the calibration's;
the benchmark takes others. docs/noise.md holds the figures.
"""

import argparse
import sys
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, fields, replace
from typing import TextIO

import numpy as np
import torch
from jaxtyping import Float

from apu.body.model import BodyModel, load_body
from apu.fit import FitOptions, fit_pair
from apu.fit.proxy import fit_body
from apu.fit.start import initial_params
from apu.metrics import align, joint_pa_mpjpe, reprojection_error
from apu.synth.draw import SceneError, draw_scene
from apu.synth.noise import EXACT, NOISE, EstimatorNoise, Noise
from apu.synth.observe import observe
from apu.synth.recipe import load_classes
from apu.synth.scene import Scene
from apu.types import SMPL_JOINTS, BodyParams

KINDS = {
    "depth and size": ("depth",),
    "lean": ("lean",),
    "foreshortening and its sign": ("foreshortening", "reversed"),
    "hidden limbs": ("hanging",),
    "place": ("offset", "place"),
    "joints, turn and shape": ("joint", "turn", "shape"),
}
"""The estimator's kinds of error, by their numbers; the first three hardly show in the image."""


@dataclass(frozen=True, kw_only=True)
class Sample:
    """One scene: the start and the fit without contacts.

    Attributes:
        start_mm, fit_mm: joint PA-MPJPE. start_512, fit_512: mean of both people's errors in the image.
        along: share of the start's squared error, after alignment, along the viewing rays.
    """

    start_mm: float
    start_512: float
    fit_mm: float
    fit_512: float
    along: float


def measure(
    scene: Scene, seed: int, body: BodyModel, *, noise: Noise = NOISE, options: FitOptions | None = None
) -> Sample:
    """Observe a scene and fit it without contacts."""
    observation = observe(scene, body, seed, noise=noise).observation
    start = initial_params(observation, body)
    fitted = fit_pair(observation, (), body, options=options)
    true = _joints(scene.params, body)
    return Sample(
        start_mm=joint_pa_mpjpe(_joints(start, body), true),
        start_512=float(np.mean(reprojection_error(body.keypoints(start), observation)[0])),
        fit_mm=joint_pa_mpjpe(_joints(fitted.params, body), true),
        fit_512=float(np.mean(fitted.reprojection_512)),
        along=_along(_joints(start, body), true),
    )


def scenes(count: int, seed: int, body: BodyModel) -> Iterator[tuple[Scene, int]]:
    """`count` scenes with the seed of each: every class in turn, the seed rising with each round."""
    names, turn = tuple(load_classes()), 0
    while count > 0:
        for name in names[:count]:
            try:
                yield draw_scene(name, seed + turn, fit_body(body)), seed + turn
            except SceneError:  # too few attempts for this one; the next seed makes up for it
                continue
            count -= 1
        turn += 1


def report(samples: Sequence[Sample], out: TextIO) -> None:
    """Means with 95 % bootstrap intervals over the scenes; the ratio is of the means, resampled together."""
    table = np.array([[getattr(sample, f.name) for f in fields(Sample)] for sample in samples])
    drawn = table[np.random.default_rng(0).integers(len(table), size=(2000, len(table)))].mean(1)
    columns = {f.name: i for i, f in enumerate(fields(Sample))}

    def line(words: str, digits: int, value: np.ndarray, spread: np.ndarray) -> None:
        low, high = np.percentile(spread, [2.5, 97.5])
        out.write(f"{words:44}{value:8.{digits}f}   [{low:.{digits}f}, {high:.{digits}f}]\n")

    for name, words, digits in (
        ("start_mm", "start: joint PA-MPJPE, mm", 1),
        ("start_512", "start: error in the image, 512-units", 1),
        ("along", "start: share of the error along the rays", 2),
        ("fit_mm", "fit without contacts: joint PA-MPJPE, mm", 1),
        ("fit_512", "fit without contacts: image, 512-units", 1),
    ):
        line(words, digits, table.mean(0)[columns[name]], drawn[:, columns[name]])
    ratio = drawn[:, columns["fit_mm"]] / drawn[:, columns["start_mm"]]
    line(
        "without contacts / start", 3, table[:, columns["fit_mm"]].mean() / table[:, columns["start_mm"]].mean(), ratio
    )


def alone(kind: Sequence[str], noise: Noise = NOISE) -> Noise:
    """One kind of an estimator's errors and nothing else, with a perfect detector."""
    numbers = {f.name: getattr(noise.estimator, f.name) if f.name in kind else 0.0 for f in fields(EstimatorNoise)}
    return replace(EXACT, estimator=EstimatorNoise(**numbers))


def _joints(params: BodyParams, body: BodyModel) -> Float[np.ndarray, "2 22 3"]:
    return body.forward(params).joints[:, : len(SMPL_JOINTS)].astype(float)


def _along(joints: Float[np.ndarray, "2 22 3"], true: Float[np.ndarray, "2 22 3"]) -> float:
    error = align(joints.reshape(-1, 3), true.reshape(-1, 3)) - true.reshape(-1, 3)
    rays = (true / np.linalg.norm(true, axis=-1, keepdims=True)).reshape(-1, 3)
    return float(np.square((error * rays).sum(-1)).sum() / np.square(error).sum())


def main(count: int, seed: int, out: TextIO) -> None:
    """Print the whole, class by class where there are several scenes of each, then every kind of error by itself."""
    body = load_body()
    drawn = list(scenes(count, seed, body))
    # On a busy machine too the fits end where they would.
    samples = [measure(scene, number, body, options=FitOptions(max_seconds=600.0)) for scene, number in drawn]
    out.write(f"{len(drawn)} scenes of {len(load_classes())} classes from seed {seed}; mean [95 %]\n")
    report(samples, out)
    out.write(
        "\neach kind of the estimator's errors by itself: joint PA-MPJPE mm, image 512-units, share along the rays\n"
    )
    for words, kind in KINDS.items():
        starts = []
        for scene, number in drawn:
            observation = observe(scene, body, number, noise=alone(kind)).observation
            start, true = initial_params(observation, body), _joints(scene.params, body)
            error = np.mean(reprojection_error(body.keypoints(start), observation)[0])
            starts.append((joint_pa_mpjpe(_joints(start, body), true), error, _along(_joints(start, body), true)))
        out.write("{:44}{:8.1f}{:8.1f}{:8.2f}\n".format(words, *np.mean(starts, axis=0)))


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--scenes", type=int, default=120, dest="count")
    parser.add_argument("--seed", type=int, default=1000)
    main(**vars(parser.parse_args()), out=sys.stdout)
