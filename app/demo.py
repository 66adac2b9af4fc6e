"""The demo's workspace: simulated pictures and detections, taken in by the same steps as anybody's data."""

import tempfile
from collections.abc import Iterator
from pathlib import Path

from app.steps import Outcome, ask_pairs, import_folder, propose_pairs
from apu.ask import Replay
from apu.synth.demo import SOURCE, write_demo
from review_db import Workspace


def make_demo(workspace: Path, *, seed: int = 0) -> Iterator[Outcome]:
    """Render the shipped scenes, simulate detections and answers, and import, propose and ask as for any data.

    A workspace that is cut short while it is made is finished by the next call: every step does only what is left.

    Args:
        workspace: folder of the workspace; made if missing. seed: of the simulated noise.
    """
    with tempfile.TemporaryDirectory(prefix="apu-demo-") as folder:
        files = Path(folder)
        write_demo(files, seed=seed)
        with (
            Workspace.create(workspace)
            if not (workspace / "review.db").exists()
            else Workspace.open(workspace) as opened
        ):
            yield from import_folder(
                opened, files / "images", keypoints=files / "keypoints", meshes=files / "meshes", source=SOURCE
            )
            yield from propose_pairs(opened)
            yield from ask_pairs(opened, Replay(files / "answers"), name="replay")
