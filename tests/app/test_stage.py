"""The stage: people as meshes and as body maps, contacts lit up in every place at once, fits beside each other."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.request import urlopen

import cv2
import numpy as np
import pytest
from playwright.sync_api import Page, expect

from app.meshes import crop_box
from app.solids import unpack
from apu.body.model import BodyModel
from apu.body.regions import Regions, regions_of
from apu.types import BodyPart, Side
from review_db import Workspace

from .conftest import observe, result, standing
from .test_live_fit import beat

pytestmark = pytest.mark.browser

WIDE: Any = {"width": 1440, "height": 900}
SAND, SLATE, VERMILION, BLUE = (227, 189, 140), (143, 166, 191), (213, 94, 0), (0, 114, 178)
HAND = BodyPart(name="hand", side=Side.LEFT)
NO_WEBGL = "HTMLCanvasElement.prototype.getContext = () => null;"


@pytest.fixture(scope="module")
def regions(body: BodyModel) -> Regions:
    return regions_of(body)


def look(page: Page, camera: str = "photo") -> None:
    """Wait for the meshes, then take one of the fixed cameras."""
    expect(page.locator("canvas.scene[data-solid^='solid/']")).to_have_count(1, timeout=20_000)
    page.locator(f".still[data-act={camera}]").click()
    expect(page.locator("canvas.scene")).to_have_attribute("data-look", camera)


def eye(page: Page) -> list[float]:
    """Where the camera of the large view is; waits until it stays."""
    read = "document.querySelector('canvas.scene').dataset.eye"
    page.wait_for_function(
        f"new Promise(done => {{ const was = {read}; setTimeout(() => done(was === {read}), 150) }})"
    )
    return [float(value) for value in page.evaluate(read).split()]


class Seen:
    """Where the photograph's camera shows parts of the meshes on the page."""

    def __init__(self, page: Page, body: BodyModel, regions: Regions, solid: str = "solid/1/guess/0") -> None:
        self.page, self.regions = page, regions
        address = "/".join(page.url.split("/")[:3])
        with urlopen(f"{address}/{solid}") as answer:  # noqa: S310 - the test's own server
            header, arrays = unpack(answer.read())
        vertices = header["centre"] + header["scale"] * arrays["vertices"].astype(float)
        pixels = vertices @ np.array(header["K"]).T
        self.pixels, self.depth = pixels[..., :2] / pixels[..., 2:], vertices[..., 2]
        x0, y0, x1, y1 = crop_box(observe(body, "pair.png"))
        box = page.locator(".large .half").first.bounding_box()
        assert box is not None
        scale = max((x1 - x0) / box["width"], (y1 - y0) / box["height"])
        middle = np.array([(x0 + x1) / 2, (y0 + y1) / 2])
        self.pixels = (self.pixels - middle) / scale + (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)

    def at(self, person: int, name: str, side: str) -> tuple[float, float]:
        """The part's middle, where it is nearest to the camera."""
        ids = self.regions.part_vertices(BodyPart(name=name, side=Side(side)))
        middle = np.median(self.pixels[person, ids], axis=0)
        off = np.linalg.norm(self.pixels[person, ids] - middle, axis=1)
        near = ids[off <= np.quantile(off, 0.2)]
        x, y = self.pixels[person, near[self.depth[person, near].argmin()]]
        return float(x), float(y)

    def colour(self, person: int, name: str, side: str) -> np.ndarray:
        """What the page shows there, RGB."""
        x, y = self.at(person, name, side)
        shot = cv2.imdecode(np.frombuffer(self.page.screenshot(), np.uint8), cv2.IMREAD_COLOR)
        assert shot is not None
        return shot[round(y) - 1 : round(y) + 2, round(x) - 1 : round(x) + 2, ::-1].reshape(-1, 3).mean(0)


def like(colour: np.ndarray, base: tuple[int, int, int]) -> bool:
    """Of that hue, whatever the light makes of it."""
    a, b = colour / np.linalg.norm(colour), np.array(base) / np.linalg.norm(base)
    return bool(a @ b > 0.985)


def test_the_camera_turns_by_mouse_wheel_and_keys_and_stays_from_pair_to_pair(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    page = visit(f"{serve(make_workspace(2), worker=False)}/?pair=1", **WIDE)
    look(page, "front")
    views = [eye(page)]
    for camera in ("Shift+Digit3", "Shift+Digit4", "Shift+Digit1", "Shift+Digit2"):
        page.keyboard.press(camera)
        views.append(eye(page))
    assert views[0] == views[-1]
    assert len({tuple(view) for view in views}) == 4
    assert views[3] == [0, 0, 0]  # the photograph's camera is the origin of its own axes

    box = page.locator(".large").bounding_box()
    assert box is not None
    x, y = box["x"] + 40, box["y"] + box["height"] - 60
    page.mouse.move(x, y)
    page.mouse.down()
    page.mouse.move(x + 90, y + 20, steps=4)
    page.mouse.up()
    turned = eye(page)
    assert turned != views[0]
    expect(page.locator(".still[aria-pressed=true]")).to_have_count(0)
    page.mouse.wheel(0, -300)
    nearer = eye(page)
    assert nearer != turned
    chosen = page.locator(".line.chosen").inner_text()
    page.locator(".large").focus()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    mine = eye(page)
    assert mine != nearer
    assert page.locator(".line.chosen").inner_text() == chosen  # the arrows turned the view, not the list

    page.keyboard.press("f")
    expect(page.locator(".line.changed")).to_have_count(1)
    assert eye(page) == mine
    page.locator(".large").blur()
    page.keyboard.press("Space")
    expect(page.locator("canvas.scene[data-solid='solid/2/guess/0']")).to_have_count(1, timeout=20_000)
    assert eye(page) == mine


def test_a_contact_lights_up_in_list_photograph_meshes_and_map_at_once(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page], body: BodyModel,
    regions: Regions,
) -> None:  # fmt: skip
    page = visit(f"{serve(make_workspace(1), worker=False)}/?pair=1", **WIDE)
    look(page)
    seen = Seen(page, body, regions)
    upper, fore = page.locator(".line[data-id='1']"), page.locator(".line[data-id='2']")
    expect(upper).to_have_class("line chosen")
    assert like(seen.colour(0, "thigh", "left"), SAND)
    assert like(seen.colour(1, "thigh", "right"), SLATE)
    assert like(seen.colour(0, "upper arm", "right"), BLUE)
    assert not like(seen.colour(0, "forearm", "left"), VERMILION)

    page.mouse.move(*seen.at(0, "forearm", "left"))  # on the mesh
    expect(fore).to_have_class("line lit")
    expect(page.locator(".stage .tip")).to_have_text("A's left forearm")
    expect(page.locator(".plot .contact.lit[data-id='2']")).to_have_count(1)
    expect(page.locator('.map .part.lit[aria-label="B\'s right forearm"]')).to_have_count(2)
    expect(page.locator(".gap.lit[data-gap='2'] text")).to_contain_text("cm")
    assert like(seen.colour(0, "forearm", "left"), VERMILION)
    assert like(seen.colour(1, "forearm", "right"), BLUE)
    page.mouse.click(*seen.at(0, "forearm", "left"))
    expect(fore).to_have_class("line chosen lit")

    line = page.locator(".plot .contact[data-id='1'] .casing").bounding_box()  # on the photograph
    assert line is not None
    page.mouse.move(line["x"] + line["width"] / 2, line["y"] + line["height"] / 2)
    expect(upper).to_have_class("line lit")
    assert like(seen.colour(0, "upper arm", "right"), BLUE)

    fore.hover()
    expect(page.locator(".plot .contact.lit[data-id='2']")).to_have_count(1)
    assert like(seen.colour(0, "forearm", "left"), VERMILION)


def test_contacts_are_added_on_meshes_and_body_maps_by_mouse_and_keyboard(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page], body: BodyModel,
    regions: Regions,
) -> None:  # fmt: skip
    path = make_workspace(1)
    page = visit(f"{serve(path, worker=False)}/?pair=1", **WIDE)
    look(page)
    seen = Seen(page, body, regions)
    page.mouse.click(*seen.at(0, "thigh", "left"))
    adder = page.locator(".adder")
    expect(adder.get_by_label("Part of A")).to_have_value("thigh")
    expect(adder).to_contain_text("Pick a part of B")
    page.mouse.click(*seen.at(0, "thigh", "left"))
    expect(adder.get_by_label("Part of A")).to_have_value("leg")  # the next larger part there
    page.locator('.map .part[aria-label="B\'s right hand"]').first.click()
    expect(adder.get_by_label("Part of B")).to_have_value("hand")
    expect(page.locator(".gap.lit text")).to_contain_text("cm")
    assert like(seen.colour(0, "leg", "left"), VERMILION)
    page.keyboard.press("Enter")
    expect(page.locator(".line")).to_have_count(4)  # with the head of the list
    expect(adder).to_be_hidden()

    page.keyboard.press("n")
    expect(adder.get_by_label("Part of A")).to_be_focused()
    page.locator(".map .part[tabindex='0']").first.focus()
    page.keyboard.press("ArrowDown")
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Enter")
    chosen = adder.get_by_label("Part of A").input_value()
    assert chosen not in ("", "head")
    adder.get_by_label("Part of B").select_option("back")
    adder.get_by_label("Side of B").select_option("both")
    page.keyboard.press("Enter")
    expect(page.locator(".line")).to_have_count(5)
    page.keyboard.press("n")
    page.keyboard.press("Escape")
    expect(adder).to_be_hidden()
    with Workspace.open(path) as workspace:
        added = [line.contact.parts for line in workspace.pair(1).sheet.contacts[2:]]
    assert added[0] == (BodyPart(name="leg", side=Side.LEFT), replace(HAND, side=Side.RIGHT))
    assert (added[1][0].name, added[1][1]) == (chosen, BodyPart(name="back"))


def test_a_finger_turns_picks_zooms_and_adds(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page], body: BodyModel,
    regions: Regions,
) -> None:  # fmt: skip
    page = visit(f"{serve(make_workspace(1), worker=False)}/?pair=1", touch=True)
    photo, meshes = page.locator("#photo"), page.locator("#meshes")
    expect(meshes).to_be_hidden()
    plot = page.locator(".plot")
    whole = plot.get_attribute("viewBox")
    box = plot.bounding_box()
    assert box is not None
    _two_fingers(page, box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)
    expect(plot).not_to_have_attribute("viewBox", str(whole))
    page.keyboard.press("0")
    expect(plot).to_have_attribute("viewBox", str(whole))
    page.keyboard.press("+")
    expect(plot).not_to_have_attribute("viewBox", str(whole))

    page.locator("#photo [data-act=tab-meshes]").tap()
    expect(photo).to_be_hidden()
    look(page)
    seen = Seen(page, body, regions)
    page.touchscreen.tap(*seen.at(1, "thigh", "right"))
    expect(page.get_by_label("Part of B")).to_have_value("thigh")
    page.locator('.map .part[aria-label="A\'s left hand"]').first.tap()
    page.get_by_role("button", name="Add contact").tap()
    expect(page.locator(".line")).to_have_count(4)
    before = eye(page)
    box = page.locator(".large").bounding_box()
    assert box is not None
    _drag(page, box["x"] + 30, box["y"] + 200, by=100)
    assert eye(page) != before


def _touch(page: Page, *moves: tuple[tuple[float, float], ...]) -> None:
    """Fingers go down at the first places, move to the others, and leave."""
    session = page.context.new_cdp_session(page)
    for index, places in enumerate((*moves, ())):
        kind = "touchEnd" if not places else "touchMove" if index else "touchStart"
        points = [{"x": x, "y": y, "id": finger} for finger, (x, y) in enumerate(places)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": points})


def _drag(page: Page, x: float, y: float, by: float) -> None:
    _touch(page, *(((x + share * by, y + 10 * share),) for share in (0, 0.3, 0.6, 1)))


def _two_fingers(page: Page, x: float, y: float) -> None:
    _touch(page, *(((x - spread, y), (x + spread, y)) for spread in (20, 40, 70, 100)))


def test_any_two_fits_are_compared_over_the_photograph_and_side_by_side(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page], body: BodyModel,
    regions: Regions,
) -> None:  # fmt: skip
    path = make_workspace(1)
    with Workspace.open(path) as workspace:
        revision = workspace.pair(1).sheet.revision
        workspace.add_fit(1, replace(result((0.001, 0.05)), params=standing(gap=-0.08)), revision=revision)
        workspace.add_fit(1, result((0.001, 0.02)), revision=revision)
    page = visit(f"{serve(path, worker=False)}/?pair=1", **WIDE)
    look(page)
    page.keyboard.press("v")
    canvas = page.locator("canvas.scene")
    expect(canvas).to_have_attribute("data-solid", "solid/1/start/2 solid/1/fit/2")
    expect(page.locator("image.mesh[href*='start/2/overlay']")).to_have_count(1)
    page.get_by_label("Meshes at the left").select_option("Fit 1")
    expect(canvas).to_have_attribute("data-solid", "solid/1/fit/1 solid/1/fit/2")
    expect(page.locator("image.mesh[href*='fit/1/overlay']")).to_have_count(1)
    expect(page.locator("image.mesh[href*='fit/2/overlay']")).to_have_count(1)
    figures = page.locator(".small-figures")
    expect(figures.first).to_contain_text("5.0 cm")
    expect(figures.last).to_contain_text("2.0 cm")
    expect(page.locator(".half .gap.lit")).to_have_count(2)
    left, right = (page.locator(".large .half").nth(side).screenshot() for side in (0, 1))
    assert left != right

    page.keyboard.press("v")
    expect(canvas).to_have_attribute("data-solid", "solid/1/fit/2")
    page.keyboard.press("Shift+A")
    seen = Seen(page, body, regions, "solid/1/fit/2")
    expect(page.locator("[data-act=person-a]")).to_have_attribute("aria-pressed", "false")
    assert not like(seen.colour(0, "thigh", "left"), SAND)
    assert like(seen.colour(1, "thigh", "right"), SLATE)
    page.keyboard.press("Shift+A")


def test_penetration_is_shown_as_heat(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(1)
    with Workspace.open(path) as workspace:
        revision = workspace.pair(1).sheet.revision
        workspace.add_fit(1, replace(result((0.0, 0.0)), params=standing(gap=-0.08)), revision=revision)
    page = visit(f"{serve(path, worker=False)}/?pair=1", scheme="light", **WIDE)
    look(page, "front")

    def hot() -> int:
        shot = cv2.imdecode(np.frombuffer(page.locator(".large").screenshot(), np.uint8), cv2.IMREAD_COLOR)
        assert shot is not None
        hue, saturation, value = np.moveaxis(cv2.cvtColor(shot, cv2.COLOR_BGR2HSV).astype(int), -1, 0)
        return int(((hue > 150) & (hue < 172) & (saturation > 110) & (value > 90)).sum())

    assert hot() < 20
    page.keyboard.press("h")
    expect(page.locator(".heat-scale")).to_be_visible()
    page.wait_for_function("document.querySelector('canvas.scene').dataset.heat === 'true'")
    assert hot() > 200


def test_a_running_fit_moves_the_meshes_without_loading_them_anew(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    path = make_workspace(1)
    url = serve(path, worker=False)
    with Workspace.open(path) as workspace:
        page = visit(f"{url}/?pair=1", **WIDE)
        look(page, "side")
        before = eye(page)
        asked: list[str] = []
        page.on("request", lambda request: asked.append(request.url))
        page.get_by_role("button", name="Fit ⏎").click()
        expect(page.get_by_role("button", name="Cancel Esc")).to_be_visible()
        job = workspace.jobs.claim("test")
        assert job is not None
        pictures = []
        for step in (1, 2, 3):
            assert beat(workspace, job, step)
            expect(page.locator(f"canvas[data-solid='solid/1/job/{job.id}?step={step}']")).to_have_count(1)
            pictures.append(page.locator(".large").screenshot())
        assert len(set(pictures)) == 3
        assert eye(page) == before
        assert not [address for address in asked if address.endswith(("solid/body", "three.min.js"))]
        workspace.jobs.fail(job.id, "test", "enough")


def test_without_webgl_a_sentence_and_still_pictures_stand_in(
    make_workspace: Callable[..., Path], serve: Callable[..., str], visit: Callable[..., Page]
) -> None:
    page = visit(f"{serve(make_workspace(1), worker=False)}/?pair=1", script=NO_WEBGL, **WIDE)
    expect(page.locator(".stage .sentence")).to_contain_text("WebGL is off")
    stills = page.locator(".stage img:visible")
    expect(stills).to_have_count(3, timeout=20_000)
    assert page.evaluate("[...document.querySelectorAll('.stage img')].every(each => each.hidden || each.naturalWidth)")
