"""A fit that names its method takes part in studies, whoever made it or brought it in."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from starlette.testclient import TestClient

from app.study import make_meshes
from review_db import Workspace
from review_db.studies import Studies, fitted_by

from .conftest import make_app, result, standing

HOST = {"host": "127.0.0.1:7860", "accept": "application/json"}


@pytest.fixture
def path(make_workspace: Callable[..., Path]) -> Path:
    path = make_workspace(3)
    fit = result((0.0, 0.0))
    with Workspace.open(path) as workspace:
        for pair in (1, 2):
            named = replace(fit, params=standing(gap=0.1), options={"method": "prior, run 2", "weight": 0.5})
            workspace.add_fit(pair, named, revision=1)
            workspace.add_fit(pair, fit, revision=1)
        workspace.add_fit(3, replace(fit, options={"method": "wrong"}), revision=1)
        workspace.add_fit(3, replace(fit, options={"method": ["start"]}), revision=1)
    return path


def test_a_named_fit_is_a_method_over_the_pairs_that_it_has(path: Path) -> None:
    with Workspace.open(path) as workspace:
        assert fitted_by(workspace.database) == {"prior, run 2": (1, 2)}
        studies = Studies(workspace.database)
        study = studies.create("does it help", "ada", [1, 2, 3], ["prior, run 2", "start"], shared=2, own=0, checks=1)
        make = make_meshes(workspace, study)
        for pair in studies.pairs(study):
            make(pair)
        assert studies.pairs(study) == ()
        item = studies.next(study, "ben")
        assert item is not None
        params, body = studies.mesh(item.id, "prior, run 2")
        assert body == "anny-free"
        assert np.allclose(params.transl, standing(gap=0.1).transl)
        with pytest.raises(ValueError, match="too few"):
            studies.create("too many", "ada", [1, 2, 3], ["prior, run 2", "start"], shared=3, own=0, checks=0)
        with pytest.raises(ValueError, match="prior, run 2"):
            studies.create("unknown", "ada", [1, 2], ["prior, run 3", "start"], shared=1, own=0, checks=0)


def test_the_page_offers_it_and_hides_it_from_raters(path: Path) -> None:
    with TestClient(make_app(path, worker=False), headers=HOST) as client:
        assert client.get("/study/data").json()["methods"][-1] == "prior, run 2"
        sent = {"name": "x", "methods": ["start", "prior, run 2"], "shared": 2, "own": 0, "checks": 0}
        made = client.post("/study/create", json=sent | {"curator": "ada"}).json()
        with Workspace.open(path) as workspace:
            make = make_meshes(workspace, made["study"])
            for pair in (1, 2):
                make(pair)
        item = client.get(f"/study/next?study={made['study']}&curator=ben").json()
        left, right = (
            client.get(f"/study/picture/{item['item']}/{side}/front?curator=ben") for side in ("left", "right")
        )
        assert (left.status_code, right.status_code) == (200, 200)
        assert left.content != right.content
        assert "prior" not in str(item) + str(left.headers)
