"""How fast the store is and whether it loses anything; `apu bench store` prints what `run` measures."""

from review_db.bench.run import StoreFigures, run

__all__ = ["StoreFigures", "run"]
