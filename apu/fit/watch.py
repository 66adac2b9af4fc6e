"""What is told of a fit on its way: to the caller, step by step, and to the record of its result."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property

import torch
from jaxtyping import Bool, Int
from torch import Tensor

from apu.body.skinning import Pose
from apu.errors import FitError
from apu.fit.objective import Evaluation
from apu.fit.options import Phase
from apu.fit.solver import Step
from apu.types import BodyParams


class FitCancelled(FitError):
    """The person who started the fit stopped it."""


def check_cancelled(cancelled: Callable[[], bool] | None) -> None:
    """Ask the caller whether to go on.

    Raises:
        FitCancelled: the caller said no.
    """
    if cancelled is not None and cancelled():
        raise FitCancelled("the fit was cancelled")


@dataclass(frozen=True, kw_only=True, eq=False)
class FitProgress:
    """A fit on its way.

    Attributes:
        pair: which of the batch. stage: 1 (shape free), then 2 (shape held, interpenetration in full; in restarts the
            shape is free once more).
        step: steps taken so far. fraction: of the work, 0 to 1; an estimate that never goes back.
        pose: the state now, as the fit has it. terms: the objective.
    """

    pair: int
    stage: int
    step: int
    fraction: float
    pose: Pose
    terms: dict[str, float]

    @cached_property
    def params(self) -> BodyParams:
        """The state as parameters; made when somebody asks."""
        return self.pose.params()


class Watch:
    """Notes the terms of every step, tells the caller, and stops the solver when the caller asks for it.

    Args:
        pairs: of every row of the batch, which of the caller's pairs it is.
        progress, cancelled: as for `apu.fit.fit_pair`. deadline: of this thread's time, seconds.
        last: the phase that a fit ends with; who converges in another one has not arrived.
    """

    def __init__(
        self,
        pairs: Sequence[int],
        progress: Callable[[FitProgress], None] | None,
        cancelled: Callable[[], bool] | None,
        *,
        deadline: float,
        last: Phase,
    ):
        self.deadline, self.last, self.owner = deadline, last, torch.tensor(pairs)
        self._progress, self._cancelled = progress, cancelled
        self._phase: Phase
        self._rows = torch.zeros(0, dtype=torch.long)
        self._done, self._fraction, self._stage = 0.0, dict.fromkeys(pairs, 0.0), dict.fromkeys(pairs, 1)
        self._steps: list[tuple[Tensor, Tensor, dict[str, Tensor]]] = []
        self._kicks, self._converged = [0] * len(pairs), [False] * len(pairs)

    @property
    def late(self) -> bool:
        """The time is over."""
        return time.thread_time() > self.deadline

    def enter(self, phase: Phase, rows: Int[Tensor, "N"], *, done: float) -> None:
        """A phase begins: of which pairs, and how much of the work was done before."""
        self._phase, self._rows, self._done = phase, rows, done

    def __call__(self, step: Step) -> None:
        """Note a step's terms and tell the caller.

        Raises:
            FitCancelled: the caller said so.
        """
        rows = self._rows[step.pairs]
        self._steps.append((rows, step.total, step.terms))
        self.check()
        if self._progress is not None:
            pairs = self.owner[rows.cpu()]
            for pair in pairs.unique().tolist():
                mine = (pairs == pair).nonzero()[:, 0]
                self._tell(pair, mine[step.total[mine].argmin()], step, self._progress)

    def _tell(self, pair: int, best: Tensor, step: Step, progress: Callable[[FitProgress], None]) -> None:
        done = 0.9 * (self._done + (1 - self._done) * 0.5 * (step.index + 1) / self._phase.steps)
        self._fraction[pair] = max(self._fraction[pair], done)
        self._stage[pair] = max(self._stage[pair], 1 if self._phase.shape else 2)
        progress(
            FitProgress(
                pair=pair, stage=self._stage[pair], step=len(self._steps),
                fraction=self._fraction[pair], pose=step.pose[best],
                terms={name: float(value[best]) for name, value in step.terms.items()},
            )
        )  # fmt: skip

    def check(self) -> None:
        """Ask the caller whether to go on.

        Raises:
            FitCancelled: the caller said no.
        """
        check_cancelled(self._cancelled)

    def restarted(self, rows: Int[Tensor, "N"]) -> None:
        """These pairs took the outcome of a restart."""
        for row in rows.tolist():
            self._kicks[row] += 1

    def ended(self, rows: Int[Tensor, "N"], converged: Bool[Tensor, "N"]) -> None:
        """The last phase of these pairs stopped, by itself or not."""
        for row, by_itself in zip(rows.tolist(), converged.tolist(), strict=True):
            self._converged[row] = by_itself

    def conclude(self, evaluation: Evaluation, rows: Int[Tensor, "N"]) -> None:
        """The terms of the states that stand come last, whichever restart ended last."""
        self._steps.append((rows, evaluation.total, evaluation.terms))

    def history(self, row: int) -> dict[str, list[float]]:
        """The terms of a row's pair, one value per step in which it moved: those of its leading row at that step.

        The last ones are those of the result.
        """
        of_pair = self.owner == self.owner[row]
        names = list(dict.fromkeys(name for *_, terms in self._steps for name in terms))
        history: dict[str, list[float]] = {name: [] for name in names}
        for rows, total, terms in self._steps:
            mine = of_pair[rows.cpu()].nonzero()[:, 0]
            if len(mine):
                best = mine[total[mine].argmin()]
                # Every term has one value per step, so that the curves share their axis.
                for name in names:
                    history[name].append(float(terms[name][best]) if name in terms else 0.0)
        return history

    def stop(self, row: int) -> str:
        """Why a pair's fit ended."""
        reason = "converged" if self._converged[row] else "time" if self.late else "steps"
        return f"{reason}, {self._kicks[row]} restarts" if self._kicks[row] else reason
