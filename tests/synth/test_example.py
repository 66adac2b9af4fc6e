from apu.ask import load_prompt, parse_answer
from apu.files import asset
from apu.synth.example import ALSO
from apu.synth.recipe import load_recipes, part


def test_the_shipped_answer_is_what_the_recipe_says():
    (recipe,) = load_recipes(asset("prompts/example_recipe.json")).values()
    answer = parse_answer(load_prompt().example_answer, model="example")
    assert [c.parts for c in answer.contacts] == [(part(a), part(b)) for a, b in (*recipe.contacts, *ALSO)]
    assert answer.people == tuple(person.words for person in recipe.people)
    assert (answer.interaction, answer.orientation) == (recipe.interaction, recipe.orientation)
