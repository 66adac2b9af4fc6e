"""Damaged files end in one sentence, whatever is damaged: no crash, no hang, no memory.

``APU_MUTATIONS=500 pytest tests/formats/test_mutations.py`` is the long form; ``python tests/formats/mutations.py 500``
prints its figures.
"""

import contextlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import PIL.Image
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apu.ask.schema import parse_answer
from apu.errors import AnswerError, InputError, UnsafeFileError
from apu.formats import read_coco, read_flickrci3d, read_image, read_openpose

from .mutations import CPU_S, MEMORY_MB, READERS

COUNT = int(os.environ.get("APU_MUTATIONS", "60"))
SCRIPT = Path(__file__).with_name("mutations.py")
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=6) | st.dictionaries(st.text(max_size=20), inner, max_size=6),
    max_leaves=20,
)


@pytest.fixture(scope="module")
def results() -> dict[str, Any]:
    """What became of every reader, each in a process of its own."""
    command = [sys.executable, "-W", "error", str(SCRIPT), str(COUNT)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parents[2])}
    return json.loads(subprocess.run(command, env=environment, check=True, stdout=subprocess.PIPE).stdout)


@pytest.mark.parametrize("reader", READERS)
def test_a_damaged_file_is_read_or_refused_in_one_sentence(results: dict[str, Any], reader: str) -> None:
    result = results[reader]
    assert result["failures"] == []
    assert result["read"] + result["refused"] == result["tried"] == COUNT
    assert result["refused"] > COUNT / 4  # the damage is damage
    assert result["peak_mb"] < MEMORY_MB
    assert result["slowest_s"] < CPU_S


@settings(max_examples=80, deadline=None)
@given(value=JSON)
def test_any_json_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, value: Any) -> None:
    path = tmp_path_factory.mktemp("json") / "a.json"
    text = json.dumps(value)
    path.write_text(text)
    for read in (read_openpose, read_coco, read_flickrci3d):
        with contextlib.suppress(InputError):
            read(path)
    with pytest.raises(AnswerError):
        parse_answer(text, model="toy")


def test_a_jpeg_in_endless_scans_is_refused_before_decoding(tmp_path: Path) -> None:
    """300 kB of them took 27 s at 49 million pixels."""
    path = tmp_path / "scans.jpg"
    PIL.Image.new("L", (64, 64), 128).save(path, progressive=True)
    data = path.read_bytes()
    scan = data[data.rfind(b"\xff\xda") : -2]
    path.write_bytes(data[:-2] + 50 * scan + data[-2:])
    assert read_image(path).width == 64
    path.write_bytes(data[:-2] + 100 * scan + data[-2:])
    with pytest.raises(UnsafeFileError, match=r"scans\.jpg is a JPEG in more than 100 scans; save it anew"):
        read_image(path)


def test_a_fourth_channel_counts_against_the_limit(tmp_path: Path) -> None:
    path = tmp_path / "print.jpg"
    PIL.Image.new("CMYK", (6200, 6200)).save(path, progressive=True)
    with pytest.raises(UnsafeFileError, match=r"print\.jpg has more than 50 million pixels"):
        read_image(path)
