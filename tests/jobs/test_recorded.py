"""Recipes as JSON: every preset comes back as it was, and nothing else is made of what is read."""

import json
from typing import Any

import pytest

from jobs.command import load_recipe, recipe_names
from jobs.history.recorded import recipe_from, recorded
from jobs.history.states import corpus_of
from jobs.recipe import CorpusRecipe
from pipeline.errors import Damaged


@pytest.mark.parametrize("name", recipe_names(CorpusRecipe))
def test_every_preset_comes_back_as_it_was(name: str) -> None:
    recipe = corpus_of(load_recipe(name, CorpusRecipe))
    assert recipe_from(json.loads(json.dumps(recorded(recipe))), CorpusRecipe) == recipe


def test_what_a_recipe_was_given_later_is_recorded_where_it_says_something() -> None:
    before, now = recorded(CorpusRecipe()), recorded(CorpusRecipe(tokenizer_kind="characters", held_out="ends"))
    assert isinstance(before, dict)
    assert isinstance(now, dict)
    assert now.keys() - before.keys() == {"tokenizer_kind", "held_out"}


def test_the_query_of_a_web_address_is_not_recorded() -> None:
    form = recorded(CorpusRecipe(sources=("https://host/a.jsonl?signature=secret",)))
    assert "secret" not in json.dumps(form)
    assert recipe_from(form, CorpusRecipe).sources == ("https://host/a.jsonl",)


@pytest.mark.parametrize(
    "form",
    [
        None,
        {},
        {"kind": "os:system"},
        {"kind": "pipeline.storage:open_store", "url": "x"},
        {"kind": "pipeline.nothing:Recipe"},
        {"kind": "jobs.recipe:CorpusRecipe", "no_such_field": 1},
        {"kind": "jobs.recipe:Compute"},
        {"kind": "jobs.recipe:CorpusRecipe", "sources": [{"kind": "subprocess:Popen", "args": ["true"]}]},
    ],
)
def test_what_is_no_recipe_of_this_project_is_refused(form: Any) -> None:
    with pytest.raises(Damaged, match="a recorded recipe"):
        recipe_from(form, CorpusRecipe)
