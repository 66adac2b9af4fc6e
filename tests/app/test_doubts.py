"""Contacts that a fit could not satisfy, or only against the keypoints."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np

from app.doubts import probably_wrong
from app.meshes import Meshes
from apu.types import BODY_25
from review_db import PairRecord, Workspace

from .conftest import TRUE, result


def fitted(path: Path, *fits) -> PairRecord:
    with Workspace.open(path) as workspace:
        for fit in fits:
            workspace.add_fit(1, fit, revision=1)
        return workspace.pair(1)


def on_keypoints(record: PairRecord, meshes: Meshes) -> np.ndarray:
    return np.array(record.observation.keypoints[..., :2], float)


def test_a_contact_that_stays_open_is_probably_wrong(make_workspace: Callable[..., Path]) -> None:
    record = fitted(make_workspace(1), result((0.001, 0.062)))
    said = probably_wrong(record, None, lambda meshes: on_keypoints(record, meshes))
    assert said == {2: "Probably wrong: 6.2 cm stay open, for the keypoints hold the parts apart."}


def test_a_contact_that_the_fit_did_without_is(make_workspace: Callable[..., Path]) -> None:
    left_out = replace(result((0.001, 0.084)), contacts=(TRUE[0], replace(TRUE[1], weight=0.0)))
    record = fitted(make_workspace(1), left_out)
    said = probably_wrong(record, None, lambda meshes: on_keypoints(record, meshes))
    assert said == {
        2: "Probably wrong: the fit did without it, for the rest agrees better so; the parts are 8.4 cm apart."
    }


def test_parts_that_meet_though_the_fit_did_without_their_contact_are_not(make_workspace: Callable[..., Path]) -> None:
    left_out = replace(result((0.001, 0.004)), contacts=(TRUE[0], replace(TRUE[1], weight=0.0)))
    record = fitted(make_workspace(1), left_out)
    assert probably_wrong(record, None, lambda meshes: on_keypoints(record, meshes)) == {}


def test_a_closed_contact_that_costs_nothing_is_not(make_workspace: Callable[..., Path]) -> None:
    record = fitted(make_workspace(1), result((0.001, 0.002)))
    assert probably_wrong(record, None, lambda meshes: on_keypoints(record, meshes)) == {}


def test_a_contact_that_pulls_a_limb_from_its_keypoints_is(make_workspace: Callable[..., Path]) -> None:
    without = replace(result((0.001, 0.0)), contacts=TRUE[:1], gaps_m=np.array([0.001]))
    stated = replace(result((0.001, 0.002)), contacts=(TRUE[0].flipped, TRUE[1]))
    record = fitted(make_workspace(1), replace(without, contacts=(TRUE[0].flipped,)), stated)
    last = record.fits[-1].id

    def joints(meshes: Meshes) -> np.ndarray:
        at = on_keypoints(record, meshes)
        if meshes.number == last:
            at[0, BODY_25.index("left_wrist")] += 60
        return at

    (reason,) = probably_wrong(record, None, joints).values()
    assert reason.startswith("Probably wrong: it pulls A's left arm from its keypoints, ")
    assert reason.endswith("away against 0 without it.")


def test_a_stale_fit_says_nothing(make_workspace: Callable[..., Path]) -> None:
    from review_db import Flip

    path = make_workspace(1)
    fitted(path, result((0.001, 0.062)))
    with Workspace.open(path) as workspace:
        workspace.edit_contacts(1, Flip(contact=1), curator="ada", revision=1)
        assert probably_wrong(workspace.pair(1), None, lambda meshes: np.zeros((2, 67, 2))) == {}
