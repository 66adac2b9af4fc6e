"""A contact sheet of the shipped scenes: ``python -m apu.synth.sheet OUT.png [SCENE ...]``."""

import argparse
from collections.abc import Sequence
from pathlib import Path

import cv2
import numpy as np
import PIL.Image
import torch
from jaxtyping import UInt8

from apu.body.model import BodyModel, load_body
from apu.fit.proxy import fit_body
from apu.render import view
from apu.synth.draw import draw_scenes
from apu.synth.paint import photograph
from apu.synth.recipe import load_classes
from apu.synth.scene import Scene

_TILE = 240


def sheet(scenes: list[Scene], body: BodyModel, *, columns: int = 2) -> UInt8[np.ndarray, "height width 3"]:
    """Every scene as its photograph, then from the front, the side and above."""
    strips = [_strip(scene, body) for scene in scenes]
    strips += [np.full_like(strips[0], 255)] * (-len(strips) % columns)
    return np.vstack([np.hstack(strips[i : i + columns]) for i in range(0, len(strips), columns)])


def _strip(scene: Scene, body: BodyModel) -> UInt8[np.ndarray, "height width 3"]:
    vertices = body.forward(scene.params).vertices
    picture = photograph(vertices, scene.recipe, body)
    picture = cv2.resize(picture, (_TILE * picture.shape[1] // picture.shape[0], _TILE), interpolation=cv2.INTER_AREA)
    views = [view(vertices, body.faces, direction, (_TILE, _TILE)) for direction in ("front", "side", "top")]
    strip = np.ascontiguousarray(np.hstack([picture, *views]))
    cv2.putText(strip, scene.recipe.interaction, (8, 20), cv2.FONT_HERSHEY_SIMPLEX, 0.5, (40, 40, 40), 1, cv2.LINE_AA)
    return strip


def main(out: Path, names: Sequence[str], seeds: int) -> None:
    """Write a sheet of drawn scenes of all classes, or of the named ones."""
    body = load_body()
    scenes = list(draw_scenes(names or tuple(load_classes()), range(seeds), fit_body(body)))
    PIL.Image.fromarray(sheet(scenes, body, columns=max(seeds, 2))).quantize(256, kmeans=2).save(out, optimize=True)


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("out", type=Path, metavar="OUT.png")
    parser.add_argument("names", nargs="*", metavar="CLASS")
    parser.add_argument("--seeds", type=int, default=2)
    main(**vars(parser.parse_args()))
