"""Regions: a symmetric cover of the skin, the table from parts, and users' contact_regions.json."""

import json
from dataclasses import replace

import numpy as np
import pytest
from scipy.sparse import coo_array
from scipy.sparse.csgraph import connected_components
from scipy.spatial import KDTree

from apu.body.parts import PAIRED, PARTS
from apu.body.regions import NAMES, Regions, read_contact_regions, regions_of, surface_regions
from apu.errors import FormatError, InputError
from apu.files import asset
from apu.types import BodyPart, Side, mirror_name

ALL_PARTS = [BodyPart(name=name, side=side) for name in PARTS for side in Side]


@pytest.fixture(scope="module")
def regions(body) -> Regions:
    return regions_of(body)


@pytest.fixture(scope="module")
def arrays(body):
    model = body.smplx
    vertices = model.v_template.numpy()
    return vertices, body.faces, model.lbs_weights.numpy(), model.J_regressor.numpy() @ vertices


@pytest.fixture(scope="module")
def mirror(body):
    """The vertex opposite to each."""
    vertices = body.smplx.v_template.numpy()
    return KDTree(vertices).query(vertices * (-1.0, 1.0, 1.0))[1]


def contact_regions(tmp_path, lists, key="rid_to_smplx_fids"):
    path = tmp_path / "contact_regions.json"
    path.write_text(json.dumps({key: lists}))
    return path


def test_there_are_75_regions_of_at_least_40_vertices(regions):
    assert len(regions.names) == len(set(regions.names)) == 75
    assert min(len(vertices) for vertices in regions.vertices) >= 40


def test_every_vertex_and_every_face_is_covered(regions, body):
    assert np.array_equal(np.unique(np.concatenate(regions.vertices)), np.arange(body.num_vertices))
    assert np.array_equal(np.sort(np.concatenate(regions.faces)), np.arange(len(body.faces)))


def test_only_vertices_on_the_midline_belong_to_two_regions(regions, body):
    counts = np.bincount(np.concatenate(regions.vertices))
    assert counts.max() == 2
    assert np.abs(body.smplx.v_template.numpy()[counts == 2, 0]).max() < 1e-6


def test_regions_are_exactly_mirror_symmetric(regions, mirror, body):
    for region, other in enumerate(regions.mirror):
        assert regions.mirror[other] == region
        assert regions.names[other] == mirror_name(regions.names[region])
        assert np.array_equal(np.unique(mirror[regions.vertices[region]]), regions.vertices[other])
        image = {tuple(sorted(face)) for face in mirror[body.faces[regions.faces[region]]].tolist()}
        assert image == {tuple(sorted(face)) for face in body.faces[regions.faces[other]].tolist()}


def test_left_regions_lie_on_the_left(regions, body):
    x = body.smplx.v_template.numpy()[:, 0]
    for name, vertices in zip(regions.names, regions.vertices, strict=True):
        if name.startswith("left_"):
            assert x[vertices].min() > -1e-6, name


def test_regions_hang_together(regions, body):
    """Nine tenths of a region are one piece; in the face eyeballs and tongue, on the fingers the thumb are others."""
    edges = np.concatenate([body.faces[:, [0, 1]], body.faces[:, [1, 2]]])
    for name, vertices in zip(regions.names, regions.vertices, strict=True):
        inner = edges[np.isin(edges, vertices).all(1)]
        graph = coo_array((np.ones(len(inner)), inner.T), shape=(body.num_vertices,) * 2)
        pieces = np.bincount(connected_components(graph, directed=False)[1][vertices])
        assert pieces.max() >= (0.7 if "face" in name or "fingers" in name else 0.9) * len(vertices), name


@pytest.mark.parametrize("part", ALL_PARTS, ids=str)
def test_every_part_and_side_has_vertices_and_a_mirror(regions, mirror, part):
    vertices = regions.part_vertices(part)
    assert len(vertices) >= 40
    assert vertices.dtype == np.int64
    assert np.array_equal(np.unique(mirror[vertices]), regions.part_vertices(part.flipped))
    assert {regions.mirror[region] for region in regions.of_part(part)} == set(regions.of_part(part.flipped))


@pytest.mark.parametrize("name", PARTS)
def test_both_sides_are_the_union_and_paired_parts_do_not_touch(regions, name):
    left, right, both = (set(regions.part_vertices(BodyPart(name=name, side=side)).tolist()) for side in Side)
    assert left | right == both
    if name in PAIRED:
        assert not left & right


def test_every_region_belongs_to_a_part(regions):
    used = {region for part in ALL_PARTS for region in regions.of_part(part)}
    assert used == set(range(75))


def test_parts_nest_as_their_names_say(regions):
    def ids(name):
        return set(regions.of_part(BodyPart(name=name, side=Side.LEFT)))

    assert ids("upper arm") | ids("elbow") | ids("forearm") == ids("arm")
    assert ids("thigh") | ids("knee") < ids("leg")
    assert ids("face") < ids("head")
    for one, other in (("hand", "arm"), ("foot", "leg"), ("chest", "back"), ("chest", "stomach"), ("head", "neck")):
        assert not ids(one) & ids(other)


def test_parts_lie_where_their_names_say(regions, body):
    vertices = body.smplx.v_template.numpy()
    joints = body.smplx.J_regressor.numpy() @ vertices

    def centre(name, side=Side.LEFT):
        return vertices[regions.part_vertices(BodyPart(name=name, side=side))].mean(0)

    assert centre("chest")[2] > centre("back")[2] + 0.1
    assert centre("stomach", Side.BOTH)[2] > centre("back", Side.BOTH)[2] + 0.1
    heights = [centre(name)[1] for name in ("head", "neck", "chest", "stomach", "thigh", "knee", "foot")]
    assert heights == sorted(heights, reverse=True)
    reach = [centre(name)[0] for name in ("neck", "shoulder", "upper arm", "elbow", "forearm", "hand")]
    assert reach == sorted(reach)
    waist = vertices[regions.part_vertices(BodyPart(name="waist"))]
    around = np.degrees(np.arctan2(waist[:, 2] - waist[:, 2].mean(), waist[:, 0]))
    assert np.diff(np.sort(around)).max() < 20  # a ring
    assert np.linalg.norm(centre("elbow") - joints[18]) < 0.03
    assert np.linalg.norm(centre("knee") - joints[4]) < 0.03


def test_sides_of_limbs_lie_where_their_names_say(regions, body):
    vertices = body.smplx.v_template.numpy()
    at = {name: vertices[ids].mean(0) for name, ids in zip(regions.names, regions.vertices, strict=True)}
    for limb, outward in (("upper_arm", 1), ("forearm", 1), ("thigh", 0), ("lower_leg", 0)):
        assert at[f"left_{limb}_front"][2] > at[f"left_{limb}_back"][2] + 0.02
        assert at[f"left_{limb}_outer"][outward] > at[f"left_{limb}_inner"][outward] + 0.02
    assert at["left_hand_back"][1] > at["left_palm"][1] + 0.01
    assert at["left_foot_top"][1] > at["left_foot_sole"][1] + 0.02


def test_an_unknown_part_is_a_callers_mistake(regions):
    with pytest.raises(ValueError, match="tail"):
        regions.of_part(BodyPart(name="tail"))


def test_the_stored_table_is_the_rules_result(regions):
    stored = json.loads(asset("body/regions.json").read_text())
    assert tuple(stored["names"]) == regions.names == NAMES
    assert tuple(stored["mirror"]) == regions.mirror
    assert stored["vertices"] == [ids.tolist() for ids in regions.vertices]
    assert stored["parts"] == {str(part): list(ids) for part, ids in regions.parts.items()}


def test_the_rule_depends_on_neither_vertex_order_nor_size(regions, arrays):
    vertices, faces, weights, joints = arrays
    order = np.random.default_rng(0).permutation(len(vertices))
    place = np.argsort(order)
    other = surface_regions(1.3 * vertices[order], place[faces], weights[order], 1.3 * joints)
    for region, ids in enumerate(regions.vertices):
        assert len(np.setxor1d(order[other.vertices[region]], ids)) <= 2  # rounding at a border


def test_children_have_all_regions_too(body):
    model = body.smplx
    kid = (model.v_template + model.shapedirs[..., 10]).numpy()
    regions = surface_regions(kid, body.faces, model.lbs_weights.numpy(), model.J_regressor.numpy() @ kid)
    assert min(len(vertices) for vertices in regions.vertices) >= 15


def test_contact_regions_of_a_user_give_the_same_parts(tmp_path, regions, body):
    order = np.random.default_rng(3).permutation(75)
    path = contact_regions(tmp_path, [regions.faces[region].tolist() for region in order])
    read = regions_of(replace(body, contact_regions=path))
    assert read.names == tuple(NAMES[region] for region in order)
    place = np.argsort(order)
    assert [place[regions.mirror[region]] for region in order] == list(read.mirror)
    for part in ALL_PARTS:
        assert {int(order[region]) for region in read.of_part(part)} == set(regions.of_part(part))
        faces = np.concatenate([regions.faces[region] for region in regions.of_part(part)])
        assert np.array_equal(read.part_vertices(part), np.unique(body.faces[faces]))


def test_contact_regions_cut_otherwise_still_fill_every_part(tmp_path, arrays):
    vertices, faces, weights, joints = arrays
    centres = vertices[faces].mean(1)
    half = np.flatnonzero(centres[:, 0] > 0.01)
    seeds = [int(half[0])]
    for _ in range(36):  # farthest point sampling of 37 seeds on the left, mirrored, and one in the middle
        seeds.append(
            int(half[np.min([np.linalg.norm(centres[half] - centres[s], axis=1) for s in seeds], axis=0).argmax()])
        )
    places = np.concatenate([centres[seeds], centres[seeds] * (-1, 1, 1), [[0, 0.1, 0.1]]])
    nearest = np.linalg.norm(centres[:, None] - places, axis=2).argmin(1)
    path = contact_regions(tmp_path, [np.flatnonzero(nearest == k).tolist() for k in range(75)])
    regions = read_contact_regions(path, vertices, faces, weights, joints)
    assert len(set(regions.names)) == 75
    assert all(regions.mirror[regions.mirror[region]] == region for region in range(75))
    for part in ALL_PARTS:
        assert len(regions.part_vertices(part)) > 0
    hand = vertices[regions.part_vertices(BodyPart(name="hand", side=Side.LEFT))]
    assert hand[:, 0].min() > 0.4


def test_a_missing_file_is_named(tmp_path, body):
    with pytest.raises(InputError, match=r"absent\.json.*contact_regions\.json"):
        regions_of(replace(body, contact_regions=tmp_path / "absent.json"))


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("not json", "rid_to_smplx_fids"),
        ("[]", "rid_to_smplx_fids"),
        ('{"other": []}', "rid_to_smplx_fids"),
        ('{"rid_to_smplx_fids": [["a"]]}', "rid_to_smplx_fids"),
        ('{"rid_to_smplx_fids": [[0], [1]]}', "got 2"),
        (json.dumps({"rid_to_smplx_fids": [[0]] * 74 + [[]]}), "region 74 has no faces"),
        (json.dumps({"rid_to_smplx_fids": [[0]] * 74 + [[99_999_999]]}), "99999999"),
        (json.dumps({"rid_to_smplx_fids": [[0]] * 74 + [[-1]]}), "-1"),
    ],
)
def test_a_wrong_file_is_refused_with_a_sentence(tmp_path, body, text, words):
    path = tmp_path / "contact_regions.json"
    path.write_text(text)
    with pytest.raises(FormatError, match=words):
        regions_of(replace(body, contact_regions=path))
