"""Scenes made by the program itself: two posed bodies in true contact, their pictures and simulated detections."""

from apu.synth.demo import SOURCE, write_demo
from apu.synth.recipe import Recipe, load_recipes
from apu.synth.scene import Scene, load_scenes

__all__ = ["SOURCE", "Recipe", "Scene", "load_recipes", "load_scenes", "write_demo"]
