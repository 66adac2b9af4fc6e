"""Shared by all tests: shapes in signatures are checked, PyTorch keeps to one thread, the body is loaded once."""

import sys
from pathlib import Path
from types import ModuleType

import jaxtyping
from beartype import BeartypeConf, beartype

# An int is a fine float (PEP 484's numeric tower); the hook takes its checker by name only.
sys.modules["shape_checker"] = checker = ModuleType("shape_checker")
checker.check = beartype(conf=BeartypeConf(is_pep484_tower=True))  # type: ignore[attr-defined]
# All of the method but the modules of Warp kernels, whose annotations are Warp's own types.
KERNELS = ("apu.body.collide", "apu.body.kernels", "apu.fit.kernels")
ROOT = Path(__file__).parents[1]
modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in (ROOT / "apu").rglob("*.py")]
jaxtyping.install_import_hook([m for m in modules if m not in KERNELS], "shape_checker.check")

import pytest  # noqa: E402
import torch  # noqa: E402
from hypothesis import settings  # noqa: E402

from apu.body.model import BodyModel, load_body  # noqa: E402

torch.set_num_threads(1)

# The same examples in every run, so that a change is judged by itself; `--hypothesis-profile search` looks for others.
settings.register_profile("same", derandomize=True)
settings.register_profile("search", derandomize=False)
settings.load_profile("same")

REAL = ROOT.parent / "shared" / "real"


@pytest.fixture(scope="session")
def body() -> BodyModel:
    """The licence-free body."""
    return load_body()


@pytest.fixture(scope="session")
def real() -> Path:
    """The folder of the two real photographs, which are not part of the project."""
    if not REAL.is_dir():
        pytest.skip("the real photographs (../shared/real) are not here; they are not part of the project")
    return REAL
