"""Seconds of one piece of work, on a CPU or a GPU."""

import time
from collections.abc import Callable, Iterable
from typing import TypeVar

import numpy as np
import torch

_T = TypeVar("_T")


def timed(work: Callable[[], _T], device: torch.device) -> tuple[_T, float]:
    """What it gives, and wall seconds; on a GPU, until its work is done."""
    _wait(device)
    began = time.perf_counter()
    result = work()
    _wait(device)
    return result, time.perf_counter() - began


def median(values: Iterable[float]) -> float:
    """Their median."""
    return float(np.median(list(values)))


def _wait(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
