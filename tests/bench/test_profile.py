"""The sampling profiler: time goes to the innermost part, and all of it goes somewhere."""

import time

import pytest

from apu.bench.profile import sampled


def busy(seconds: float) -> None:
    until = time.perf_counter() + seconds
    while time.perf_counter() < until:
        pass


class Worker:
    def outer(self) -> None:
        busy(0.05)
        self.inner()

    def inner(self) -> None:
        busy(0.4)


def test_time_goes_to_the_innermost_part() -> None:
    parts = {f"{__name__}:Worker.inner": "inner", f"{__name__}:Worker.outer": "outer"}

    def work() -> None:
        Worker().outer()
        busy(0.05)

    began = time.perf_counter()
    spent = sampled(work, parts)
    whole = time.perf_counter() - began
    assert spent.keys() == {"inner", "outer", "rest"}
    assert sum(spent.values()) == pytest.approx(whole, rel=0.2)
    assert spent["inner"] > max(spent["outer"], spent["rest"])


def test_an_error_of_the_work_is_not_swallowed() -> None:
    def fail() -> None:
        raise KeyError("lost")

    with pytest.raises(KeyError, match="lost"):
        sampled(fail, {})
