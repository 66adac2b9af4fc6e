"""From figures of pairs to means, ratios and bootstrap confidence intervals."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float, Int

from apu.bench.measure import FIGURES, Figure

RESAMPLES, BOOTSTRAP_SEED = 2000, 0
COSTS = ("seconds_per_pair", "memory_mb")
RATIOS = {"ratio_to_no_contacts": "no_contacts", "ratio_to_start": "start"}
"""Of the joint PA-MPJPE to another method's, on the pairs that both have."""
_RATED = "joint_pa_mpjpe_mm"


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """What came of one pair.

    Attributes:
        name, interaction: the pair's. figures: by method, then by name of `FIGURES` and `COSTS`.
        failures: by method, one sentence; of ``"pair"`` where there was nothing to fit.
        notes: sentences on what could not be used of the pair.
    """

    name: str
    interaction: str
    figures: Mapping[str, Mapping[str, Figure]] = field(default_factory=dict)
    failures: Mapping[str, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()


def summarise(outcomes: Sequence[Outcome], methods: Sequence[str]) -> dict[str, dict[str, Any]]:
    """Per method: ``n``, ``n_failed``, every figure's mean with ``*_ci95`` = [low, high], and the ratios.

    Only pairs that every method finished count, so that no method gains by failing on a hard pair; a pair that a method
    does not apply to (nobody was asked, or the filter dropped it) stays out of that method's means alone. A mean weighs
    pairs as `apu.bench.measure.measure` says. Intervals are percentiles of `RESAMPLES` bootstrap samples of the pairs
    with a fixed seed; ratios are paired: each sample's own means, divided. None where there are no values, or too few
    for an interval.
    """
    finished = [outcome for outcome in outcomes if not outcome.failures]
    return {
        method: {
            "n": sum(method in outcome.figures for outcome in finished),
            "n_failed": sum(not outcome.failures.keys().isdisjoint({method, "pair"}) for outcome in outcomes),
            **_means(finished, method),
            **{name: value for ratio, base in RATIOS.items() for name, value in _ratio(finished, method, base, ratio)},
        }
        for method in methods
    }


def _means(outcomes: Sequence[Outcome], method: str) -> dict[str, Any]:
    means: dict[str, Any] = {}
    for name in (*FIGURES, *COSTS):
        found = [o.figures[method][name] for o in outcomes if name in o.figures.get(method, {})]
        values, weights = np.array(found, float).reshape(-1, 2).T
        means[name] = plain(_mean(values, weights)) if len(values) else None
        i = _resampled(len(values))
        means[f"{name}_ci95"] = _interval(_mean(values[i], weights[i])) if i.size else None
    return means


def _ratio(outcomes: Sequence[Outcome], method: str, base: str, name: str) -> list[tuple[str, Any]]:
    both = [o.figures for o in outcomes if _RATED in o.figures.get(method, {}) and _RATED in o.figures.get(base, {})]
    a, b = (np.array([figures[m][_RATED].value for figures in both]) for m in (method, base))
    if not len(both) or b.sum() == 0:
        return [(name, None), (f"{name}_ci95", None)]
    i = _resampled(len(both))
    interval = _interval(a[i].mean(-1) / b[i].mean(-1)) if i.size and method != base else None
    return [(name, float(a.mean() / b.mean())), (f"{name}_ci95", interval)]


def _mean(values: Float[np.ndarray, "... n"], weights: Float[np.ndarray, "... n"]) -> Float[np.ndarray, "..."]:
    """Weighted; 0 where nothing weighs anything, as the depth of no vertex."""
    total = weights.sum(-1)
    return np.where(total > 0, (values * weights).sum(-1) / np.where(total > 0, total, 1.0), 0.0)


def _resampled(n: int) -> Int[np.ndarray, "resamples n"]:
    """Pairs drawn with replacement; the same for every method with as many pairs. Empty for fewer than two pairs."""
    if n < 2:
        return np.zeros((0, n), int)
    return np.random.default_rng(BOOTSTRAP_SEED).integers(n, size=(RESAMPLES, n))


def _interval(samples: Float[np.ndarray, "resamples"]) -> list[float] | None:
    return np.percentile(samples, [2.5, 97.5]).tolist() if np.isfinite(samples).all() else None


def plain(value: float | np.ndarray) -> float | None:
    """A number that JSON has a word for."""
    return float(value) if np.isfinite(value) else None
