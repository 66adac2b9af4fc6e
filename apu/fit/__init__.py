"""Unite two bodies under contacts: terms, solver, starts and restarts."""

from apu.fit.mixture import Mixture, load_mixture
from apu.fit.options import FitOptions, Phase
from apu.fit.start import initial_params
from apu.fit.unite import FitCancelled, FitProgress, fit_pair

__all__ = ["FitCancelled", "FitOptions", "FitProgress", "Mixture", "Phase", "fit_pair", "initial_params", "load_mixture"]
