"""How long pairs take that are fitted together: on a GPU as one batch, on a CPU in one process per core."""

import os
import time
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from itertools import cycle, islice
from pathlib import Path

import torch

from apu.bench.methods import Pair
from apu.bench.timing import median, timed
from apu.body.model import BodyModel, load_body
from apu.errors import FitError
from apu.fit import fit_pair, fit_pairs
from apu.processes import processes

_SETTLE_S = 0.2
"""So long a process of a pool is busy with its first task, for the others to take theirs."""


def seconds_per_pair(
    pairs: Sequence[Pair], body: BodyModel, body_path: Path | None, *, sizes: Sequence[int], repeats: int
) -> dict[str, float]:
    """Seconds per pair of pairs fitted together, by their number; the pairs repeat where there are too few.

    On a CPU in one process per core, which have started and fitted before; a GPU takes them all at once.

    Raises:
        FitError: a pair could not be fitted.
    """
    on_gpu, cores = body.device.type == "cuda", os.cpu_count() or 1
    taken = {}
    with processes(cores, _prepare, body_path, pairs[0]) if not on_gpu else nullcontext() as pool:
        if pool is not None:
            list(pool.map(time.sleep, [_SETTLE_S] * cores))  # every process is there
        for size in sizes:
            some = list(islice(cycle(pairs), size))
            if pool is None:
                together = partial(_fit_all, some, body)
            else:
                # Pieces, so that pairs that repeat do not all go to one process.
                shares = [some[size * core // cores : size * (core + 1) // cores] for core in range(cores)]
                together = lambda shares=shares: list(pool.map(_fit_share, shares))  # noqa: E731
            taken[str(size)] = median(timed(together, body.device)[1] for _ in range(repeats)) / size
    return taken


_body: BodyModel
"""Of a process that fits its share of a batch."""


def _prepare(body_path: Path | None, pair: Pair) -> None:
    global _body
    torch.set_num_threads(1)
    _body = load_body(body_path)
    fit_pair(*pair, _body)  # compiles kernels


def _fit_share(pairs: Sequence[Pair]) -> None:
    _fit_all(pairs, _body)


def _fit_all(pairs: Sequence[Pair], body: BodyModel) -> None:
    """Raises the first failure."""
    results = fit_pairs([pair[0] for pair in pairs], [pair[1] for pair in pairs], body)
    if failed := [result for result in results if isinstance(result, FitError)]:
        raise failed[0]
