"""Unite two bodies under contacts: terms, solver, starts and restarts."""

from apu.fit.options import FitOptions, Phase
from apu.fit.start import initial_params
from apu.fit.unite import fit_pair, fit_pairs, lies_closer_exchanged
from apu.fit.watch import FitCancelled, FitProgress

__all__ = [
    "FitCancelled",
    "FitOptions",
    "FitProgress",
    "Phase",
    "fit_pair",
    "fit_pairs",
    "initial_params",
    "lies_closer_exchanged",
]
