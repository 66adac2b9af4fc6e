"""The shipped scenes: recipes with the parameters that `apu.synth.solve` found for them on the free body."""

from collections.abc import Sequence
from dataclasses import dataclass, fields

from apu.files import asset, load_npz
from apu.synth.recipe import Recipe, load_recipes
from apu.types import BodyParams


@dataclass(frozen=True, kw_only=True, eq=False)
class Scene:
    """Two people in true contact.

    Attributes:
        recipe: what is meant. params: where everything is, camera's frame; exact.
    """

    recipe: Recipe
    params: BodyParams


def load_scenes(names: Sequence[str] | None = None) -> list[Scene]:
    """Shipped scenes in their order; None: all.

    Raises:
        ValueError: a name that is not shipped.
    """
    recipes = load_recipes()
    if unknown := set(names or ()) - recipes.keys():
        raise ValueError(f"names must be of {', '.join(recipes)}; got {', '.join(sorted(unknown))}")
    solved = load_npz(asset("demo/solved.npz"))
    return [
        Scene(recipe=recipe, params=BodyParams(**{f.name: solved[f"{name}.{f.name}"] for f in fields(BodyParams)}))
        for name, recipe in recipes.items()
        if names is None or name in names
    ]
