"""How often the fan holds the truth: ``python -m apu.bench.fan [--scenes N] [--seed S] [--no-fits] [--json]``.

Of each simulated answer the best is sought that can be made of it: every contact that is true but for its sides with
the true ones, the others dropped, and the people exchanged back (`EXCHANGED` of the answers have them exchanged). Pairs
of which no contact can be made true do not count. Counted is how often that reading

- is what the contacts say as they stand,
- is the likeliest by the image, before any fit (`apu.fan.readings`),
- ranks first, and among the first two, once all are fitted (`apu.fan.score`),
- is in the fan at all.
"""

import argparse
import json
import sys
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TextIO

import numpy as np
import torch

from apu.bench.case import Case, draws
from apu.bench.denoise import right_sides
from apu.body.model import BodyModel, load_body
from apu.errors import ApuError
from apu.fan import Reading, score, weighed_readings
from apu.fit import fit_pairs
from apu.synth.recipe import load_classes
from apu.types import Contact, FitResult

EXCHANGED = 0.05
"""So often the simulated answer takes the two people for each other."""


@dataclass(frozen=True, kw_only=True)
class Found:
    """Where the truth is in one fan.

    Attributes:
        size: readings in it. stands, likeliest: as said above.
        place: its rank, from 0; None: it is not in the fan.
    """

    size: int
    stands: bool
    likeliest: bool
    place: int | None


def find(case: Case, stated: Sequence[Contact], body: BodyModel | None) -> Found | None:
    """The truth's place in the fan of an answer; without a body nothing is fitted and the image ranks.

    None: no contact of the answer can be made true.
    """
    most = max(_reachable(stated, case), _reachable([contact.swapped for contact in stated], case))
    if not most:
        return None
    fan = weighed_readings(case.observation, stated)
    right = [len(each.active) == most and all(right_sides(each.active, case.contacts or ())) for each in fan]
    likely = sorted(range(len(fan)), key=lambda i: -fan[i].probability)
    order = likely if body is None else _ranked(case, fan, body)
    return Found(
        size=len(fan),
        stands=right[0],
        likeliest=right[likely[0]],
        place=next((place for place, i in enumerate(order) if right[i]), None),
    )


def _ranked(case: Case, fan: Sequence[Reading], body: BodyModel) -> list[int]:
    fits = fit_pairs([case.observation] * len(fan), [reading.active for reading in fan], body)
    scores = [score(r, fit) if isinstance(fit, FitResult) else -np.inf for r, fit in zip(fan, fits, strict=True)]
    return sorted(range(len(fan)), key=lambda i: -scores[i])


def _reachable(stated: Sequence[Contact], case: Case) -> int:
    """How many contacts are true but for their sides."""
    said, true = (Counter(_names(contact) for contact in each) for each in (stated, case.contacts or ()))
    return (said & true).total()


def _names(contact: Contact) -> tuple[str, str]:
    return contact.parts[0].name, contact.parts[1].name


def find_all(scenes: int, seed: int, *, fits: bool) -> Iterator[Found]:
    """The fans of drawn scenes."""
    body, chance = load_body(), np.random.default_rng(seed)
    for draw in draws(tuple(load_classes()), scenes, seed):
        exchanged = chance.random() < EXCHANGED
        try:
            case = draw(body)
        except ApuError:
            continue  # a class whose scene cannot be drawn from this seed
        stated = tuple(contact.swapped for contact in case.stated or ()) if exchanged else case.stated or ()
        found = find(case, stated, body if fits else None)
        if found:
            yield found


def rates(found: Sequence[Found]) -> dict[str, Any]:
    """Shares of the answers that can be made true."""
    places = [each.place for each in found]
    number = max(len(found), 1)
    return {
        "n": len(found),
        "readings": sum(each.size for each in found) / number,
        "stands": sum(each.stands for each in found) / number,
        "likeliest": sum(each.likeliest for each in found) / number,
        "first": sum(place == 0 for place in places) / number,
        "first_two": sum(place is not None and place < 2 for place in places) / number,
        "in_fan": sum(place is not None for place in places) / number,
    }


def table(rated: dict[str, Any]) -> str:
    """The shares in words."""
    lines = {
        "as the contacts stand": "stands",
        "likeliest by the image": "likeliest",
        "ranked first": "first",
        "ranked first or second": "first_two",
        "in the fan": "in_fan",
    }
    head = f"{rated['n']} answers that can be made true, {rated['readings']:.1f} readings each"
    return "\n".join([head, *(f"{words:26}{100 * rated[name]:6.1f} %" for words, name in lines.items())])


def main(scenes: int, seed: int, out: TextIO, *, fits: bool, as_json: bool) -> None:
    """Print how often the fan holds the truth, and where."""
    rated = rates(list(find_all(scenes, seed, fits=fits)))
    out.write((json.dumps(rated, indent=1) if as_json else table(rated)) + "\n")


if __name__ == "__main__":
    torch.set_num_threads(1)
    parser = argparse.ArgumentParser(description=main.__doc__)
    parser.add_argument("--scenes", type=int, default=104)
    parser.add_argument("--seed", type=int, default=60000)
    parser.add_argument("--no-fits", action="store_false", dest="fits", help="rank by the image alone")
    parser.add_argument("--json", action="store_true", dest="as_json")
    main(**vars(parser.parse_args()), out=sys.stdout)
