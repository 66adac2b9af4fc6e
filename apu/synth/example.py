"""The example in the prompt: a woman and a child hugging, rendered, with the true contacts as its answer.

``python -m apu.synth.example`` makes ``assets/prompts/example.png`` and ``example.json`` from ``example_recipe.json``.
"""

from pathlib import Path

import numpy as np
from jaxtyping import Bool, Float
from PIL import Image
from scipy.spatial import KDTree

from apu.ask.question import crop_box
from apu.ask.schema import answer_text
from apu.body.model import BodyModel, load_body
from apu.body.regions import regions_of
from apu.camera import project
from apu.files import asset
from apu.fit.proxy import fit_body
from apu.render import rasterize
from apu.synth.paint import photograph
from apu.synth.recipe import Recipe, load_recipes, part
from apu.synth.solve import solve
from apu.types import Contact, ContactAnswer

SIZE = 640
"""The longer side of the picture, pixels."""
ALSO = (("right forearm", "left shoulder"), ("left forearm", "right shoulder"))
"""What touches as well once the recipe's own contacts are made."""
_TOUCHING_M = 0.01
_PLAIN, _HIDDEN = 0.9, 0.6
"""Confidence of a contact whose two parts can be seen, and of one that has to be concluded."""
_SEEN = 0.2  # share of a part's vertices
_BEHIND_M = 0.01


def picture_and_answer(recipe: Recipe, body: BodyModel) -> tuple[Image.Image, str]:
    """The people of a recipe brought into contact and rendered, cut out as for a question, and the right answer."""
    vertices = body.forward(solve(recipe, fit_body(body))).vertices
    seen = _visible(vertices, recipe, body)
    also = [Contact(parts=(part(a), part(b))) for a, b in ALSO]
    contacts = tuple(_stated(contact, vertices, seen, body) for contact in (*recipe.true_contacts, *also))
    places = project(vertices, recipe.camera)
    boxes = np.concatenate([places.min(axis=1), places.max(axis=1)], axis=1)
    scene = Image.fromarray(photograph(vertices, recipe, body))
    cut_out = scene.crop(crop_box(boxes, *scene.size))
    cut_out.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
    answer = ContactAnswer(
        interaction=recipe.interaction,
        people=(recipe.people[0].words, recipe.people[1].words),
        orientation=recipe.orientation,
        contacts=contacts,
        raw="",
        model="",
        prompt_id="",
    )
    return cut_out, answer_text(answer)


def _stated(
    contact: Contact, vertices: Float[np.ndarray, "2 vertices 3"], seen: Bool[np.ndarray, "2 vertices"], body: BodyModel
) -> Contact:
    """The contact with the confidence that a careful annotator would give it."""
    a, b = (regions_of(body).part_vertices(p) for p in contact.parts)
    gap = KDTree(vertices[0, a]).query(vertices[1, b])[0].min()
    if gap > _TOUCHING_M:
        raise RuntimeError(f"{contact.parts[0]} and {contact.parts[1]} are {1000 * gap:.0f} mm apart; mend the recipe")
    plain = min(seen[0, a].mean(), seen[1, b].mean()) >= _SEEN
    return Contact(parts=contact.parts, confidence=_PLAIN if plain else _HIDDEN)


def _visible(
    vertices: Float[np.ndarray, "2 vertices 3"], recipe: Recipe, body: BodyModel
) -> Bool[np.ndarray, "2 vertices"]:
    """Vertices that nothing hides from the camera."""
    depth = rasterize(vertices, body.faces, recipe.camera).depth
    columns, rows = np.moveaxis(project(vertices, recipe.camera).astype(int), -1, 0)
    return vertices[..., 2] <= depth[rows.clip(0, len(depth) - 1), columns.clip(0, depth.shape[1] - 1)] + _BEHIND_M


def main() -> None:
    """Write the shipped example."""
    folder = Path(asset("prompts"))
    (recipe,) = load_recipes(folder / "example_recipe.json").values()
    picture, answer = picture_and_answer(recipe, load_body())
    picture.save(folder / "example.png", optimize=True)
    (folder / "example.json").write_text(answer + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
