"""How fast the review page is; `apu bench ui` prints what `run` measures."""

from app.bench.run import UiFigures, run

__all__ = ["UiFigures", "run"]
