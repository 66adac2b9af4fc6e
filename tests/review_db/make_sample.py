"""Write the sample of the newest database version: `python tests/review_db/make_sample.py`, once per migration."""

import sqlite3
import tempfile
from pathlib import Path

from conftest import FLIP, make_answer, make_fit, make_observation
from sqlite_utils import Database

from apu.errors import AnswerError, ConflictError
from apu.types import Decision, Verdict
from review_db import Alternative, Drop, Order, PairFilter, SetNote, TakeSuggestion, Workspace
from review_db.runs import Runs
from review_db.schema import APPLICATION_ID, migrations
from review_db.studies import Studies


def work(workspace: Workspace, folder: Path) -> None:
    """One pair with every kind of row."""
    image, detections = folder / "hug.png", folder / "hug_keypoints.json"
    image.write_bytes(b"picture")
    detections.write_text("{}")
    number = workspace.add_image(image, size=(640, 480), source="demo", action="hugging")
    workspace.add_input(number, "openpose", detections)
    pair = workspace.add_pair(number, make_observation(0, image.name))
    workspace.add_answer_failure(pair, AnswerError("timeout", "no answer in 60 s"), asker="openai", model="toy")
    workspace.add_answer(pair, make_answer(), asker="replay", suggestions=[FLIP, None])
    workspace.edit_contacts(pair, TakeSuggestion(), curator="ada", revision=1)
    workspace.edit_contacts(pair, Drop(contact=2), curator="ada", revision=2)
    workspace.undo(pair, curator="ada", revision=3)
    try:
        workspace.edit_contacts(pair, SetNote(text="late"), curator="bob", revision=1)
    except ConflictError:
        pass
    job = workspace.jobs.queue("fit", pair, revision=4, curator="ada")
    workspace.jobs.claim("worker")
    workspace.add_fit(pair, make_fit(), revision=4, curator="ada", job=job, worker="worker")
    workspace.decide(pair, Decision(verdict=Verdict.ACCEPT, curator="ada", note="good"), revision=4)
    reading = Alternative(edit=None, words="as they stand", probability=0.6, score=-1.0, fit=make_fit(seed=3))
    workspace.fans.keep(pair, [reading], sheet=workspace.pair(pair).sheet)
    workspace.jobs.queue("fan", pair, revision=5, curator="ada", prepared=True)
    review = workspace.reviews.assign(pair, "eve")
    workspace.reviews.judge(review, Decision(verdict=Verdict.FLAG, curator="eve"), edits=[Drop(contact=1)])
    workspace.settings.set_reasons(["too dark", "other"])
    runs = Runs(workspace.database)
    run = runs.start("ask", curator="ada", pairs=[pair], options={"asker": "keypoints"})
    runs.take()
    runs.tell(runs.items(run, state="waiting", limit=1)[0].id, tokens=(1200, 80))
    studies = Studies(workspace.database)
    study = studies.create("blind", "ada", [pair], ["start", "curated"], shared=1, own=0, checks=0, seed=3)
    for method in ("start", "curated"):
        studies.add_mesh(study, pair, method, make_fit().params, "anny-free")
    item = studies.next(study, "eve")
    assert item is not None
    studies.rate(item.id, "eve", "left", seconds=4.5)
    workspace.claims.take(pair, "bob")
    workspace.claims.skip(pair, "ada")
    workspace.drafts.save(pair, "bob", revision=5, note="half", edits=[Drop(contact=1)])
    workspace.views.save("doubtful", "ada", PairFilter(confidence=(None, 0.5)), order=Order.UNCERTAIN)


if __name__ == "__main__":
    newest = migrations.pending(Database(memory=True))[-1].name
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        with Workspace.create(folder / "workspace") as workspace:
            work(workspace, folder)
        # Nobody has the file open any more, so Python's own library may read it; its dump leaves the mark out.
        connection = sqlite3.connect(folder / "workspace" / "review.db")
        lines = [f"PRAGMA application_id = {APPLICATION_ID};", *connection.iterdump()]
        connection.close()
    target = Path(__file__).parent / "samples" / f"{newest}.sql"
    target.write_text("\n".join(lines) + "\n")
