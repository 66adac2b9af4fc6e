"""The script that photographs the pages for the documents runs, and takes each in both themes."""

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import cv2
import numpy as np
import pytest

from apu.files import asset

pytestmark = pytest.mark.browser

ROOT = Path(__file__).parents[2]
TAKE = """
import sys
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from make import photograph
photograph(Path(sys.argv[2]), Path(sys.argv[3]), ("pair",))
"""


def test_a_page_is_photographed_light_and_dark(make_workspace: Callable[..., Path], tmp_path: Path) -> None:
    where = [ROOT / "docs" / "screenshots", make_workspace(3), tmp_path]
    code = {"PYTHONPATH": str(asset("app").parents[1])}
    subprocess.run([sys.executable, "-c", TAKE, *map(str, where)], check=True, timeout=300, env=os.environ | code)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["pair-dark.webp", "pair-light.webp"]
    dark, light = (cv2.imread(str(tmp_path / f"pair-{scheme}.webp")) for scheme in ("dark", "light"))
    assert dark.shape == light.shape == (900, 1440, 3)
    assert np.mean(dark) + 80 < np.mean(light)
