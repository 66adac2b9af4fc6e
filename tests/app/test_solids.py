"""Meshes in binary: what the page reads is what the method computed."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.solids import HEAT_STEP_M, body_block, heat_block, mesh_block, pack, unpack
from apu.body.collide import penetration
from apu.body.model import BodyModel
from apu.body.parts import PARTS
from apu.body.regions import regions_of
from apu.metrics.surface import penetration_depth
from apu.types import BodyPart, Side

from .conftest import CAMERA, standing


@given(
    names=st.lists(st.text(max_size=5), max_size=4, unique=True),
    kind=st.sampled_from([np.uint8, np.int16, np.uint16, np.uint32]),
    sizes=st.lists(st.integers(0, 5), min_size=4, max_size=4),
)
def test_what_is_packed_comes_back(names: list[str], kind: type, sizes: list[int]) -> None:
    arrays = {name: np.arange(3 * size, dtype=kind).reshape(size, 3) for name, size in zip(names, sizes, strict=False)}
    header = {"words": "ä ${x}", "number": 0.1}
    block = pack(header, arrays)
    assert len(block) % 4 == 0
    told, read = unpack(block)
    assert told == header
    assert list(read) == names
    for name, array in arrays.items():
        np.testing.assert_array_equal(read[name], array)
        assert read[name].dtype == kind


def test_vertices_keep_a_twentieth_of_a_millimetre(body: BodyModel) -> None:
    vertices = body.forward(standing(gap=2.0)).vertices
    block = mesh_block(vertices, CAMERA.K)
    header, arrays = unpack(block)
    back = header["centre"] + header["scale"] * arrays["vertices"].astype(float)
    assert np.abs(back - vertices).max() < 5e-5
    assert len(block) < 2 * body.num_vertices * 6 + 1000
    np.testing.assert_array_equal(header["K"], CAMERA.K)


def test_vertices_that_are_no_numbers_are_refused() -> None:
    with pytest.raises(ValueError, match="finite"):
        mesh_block(np.full((2, 4, 3), np.nan), CAMERA.K)


def test_the_page_finds_every_part_of_the_body(body: BodyModel) -> None:
    regions = regions_of(body)
    header, arrays = unpack(body_block(body.name, body.faces, body.num_vertices, regions))
    np.testing.assert_array_equal(arrays["faces"], body.faces)
    starts = np.concatenate([[0], arrays["regionEnds"][:-1]])
    pieces = [
        arrays["regionVertices"][start:end] for start, end in zip(starts, arrays["regionEnds"].tolist(), strict=True)
    ]
    assert len(header["parts"]) == 3 * len(PARTS)
    for entry in header["parts"]:
        found = np.unique(np.concatenate([pieces[region] for region in entry["regions"]]))
        part = BodyPart(name=entry["name"], side=Side(entry["side"]))
        np.testing.assert_array_equal(found, regions.part_vertices(part))
    for face, region in enumerate(arrays["regionOfFace"].tolist()):
        assert face in regions.faces[region]


def test_heat_is_the_depth_inside_the_other_and_nothing_elsewhere(body: BodyModel) -> None:
    import torch

    vertices = body.forward(standing(gap=-0.08)).vertices
    depth = penetration(torch.as_tensor(vertices), body.faces)[0].numpy()
    header, arrays = unpack(heat_block(depth))
    heat = arrays["depth"] * header["step"]
    assert heat.shape == depth.shape
    assert np.abs(heat - depth).max() <= HEAT_STEP_M / 2 + 1e-6
    assert not heat[depth < HEAT_STEP_M / 2].any()
    deepest, _ = penetration_depth(vertices, body.faces)
    assert deepest > 0.005
    assert abs(heat.max() - deepest) <= HEAT_STEP_M


def test_depths_beyond_the_scale_stay_at_its_end() -> None:
    assert unpack(heat_block(np.array([[0.0, 9.0]])))[1]["depth"].tolist() == [[0, 255]]
