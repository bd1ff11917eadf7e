"""Layouts are measured, each once, and the fastest is written down as a recipe that trains the same model."""

import json
import sysconfig
from dataclasses import replace
from pathlib import Path

import pytest

from jobs.command import load_recipe
from jobs.recipe import PretrainRecipe
from jobs.recipes.tiny import RECIPE
from jobs.tuning import Layout, Tuning, layouts
from pipeline.errors import RequestError
from pipeline.models.lstm import Lstm
from tests.jobs.running import job

SOURCES = ("--sources", f"{sysconfig.get_path('stdlib')}/asyncio", "--validation", "0.3", "--cluster", "none")


def test_the_fastest_layout_is_written_as_a_recipe_of_the_same_model(tmp_path: Path) -> None:
    request = ("tiny", *SOURCES, "--root", str(tmp_path / "root"), "--engines", "plain", "--recomputes", "False", "True")
    request += ("--micro-batches", "2", "8", "--steps", "2", "--json")
    done = job("tune", *request, "--write", "best.json", folder=tmp_path).result
    assert len(done["trials"]) == 4
    assert done["best"]["tokens_per_second"] == max(row["tokens_per_second"] for row in done["trials"])
    assert not (tmp_path / "root" / "pretrain").exists()
    recipe = load_recipe(str(tmp_path / "best.json"), PretrainRecipe)
    assert Layout(recipe.compute, None).words == done["best"]["options"]
    assert recipe.checkpoint.address == replace(recipe, compute=RECIPE.compute).checkpoint.address
    plans = [
        job("pretrain", *words, "--root", str(tmp_path / "root"), "--plan", "--json", folder=tmp_path).result["plan"]
        for words in (("best.json", "--cluster", "none"), ("tiny", *SOURCES, "--compute.engine", "plain"))
    ]
    assert plans[0] == plans[1]
    assert job("tune", *request, folder=tmp_path).result["built"] == []


def test_layouts_that_come_to_the_same_are_tried_once_and_those_that_cannot_be_say_why() -> None:
    found = list(layouts(RECIPE, Tuning(engines=("plain",), gangs=(2, 3), micro_batches=(4, 100))))
    assert [(layout.compute.workers, layout.compute.micro_batch, layout.training is None) for layout in found] == [
        (2, 4, False),
        (3, 4, True),
        (3, 100, True),
    ]
    assert "3 workers cannot share evenly" in found[-1].why
    lstm = replace(RECIPE, model=Lstm(dim=16))
    (only,) = layouts(lstm, Tuning(engines=("plain",), micro_batches=(8,), recomputes=(True,)))
    assert "a Lstm has no layers" in only.why


def test_workers_that_share_windows_are_tried_with_the_share_of_their_group() -> None:
    recipe = replace(RECIPE, compute=replace(RECIPE.compute, workers=2, sequence_parallel=2))
    found = list(layouts(recipe, Tuning(engines=("zero-2",))))
    assert [layout.compute.micro_batch for layout in found] == [2, 4, 8]
    assert all(layout.training is not None and layout.words.endswith(" --compute.sequence-parallel 2") for layout in found)


def test_compiled_layers_are_a_layout_of_their_own_where_there_is_a_compiler(monkeypatch: pytest.MonkeyPatch) -> None:
    tuning = Tuning(engines=("plain",), micro_batches=(8,), compiles=(False, True))
    assert [(layout.compute.compile, layout.training is None) for layout in layouts(RECIPE, tuning)] == [(False, False), (True, False)]
    monkeypatch.setenv("CXX", "no-such-compiler")
    monkeypatch.setenv("CC", "no-such-compiler")
    _, compiled = layouts(RECIPE, tuning)
    assert "no compiler 'no-such-compiler'" in compiled.why
    assert compiled.words.endswith(" --compute.compile")


def test_without_numbers_a_quarter_half_and_all_of_the_share_are_tried() -> None:
    assert [layout.compute.micro_batch for layout in layouts(RECIPE, Tuning(engines=("zero-2",), gangs=(2,)))] == [1, 2, 4]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        (Tuning(engines=()), "--engines is empty"),
        (Tuning(engines=("zero-4",)), "--engines has 'zero-4': use plain, zero-0"),
        (Tuning(micro_batches=(4, 0)), "--micro-batches has 0"),
        (Tuning(gangs=(-1,)), "--gangs has -1"),
        (Tuning(steps=0), "--steps has 0"),
        (Tuning(write="best.toml"), r"--write is 'best.toml': use a name that ends in \.json"),
    ],
)
def test_what_cannot_be_tried_is_told_at_once(wrong: Tuning, words: str) -> None:
    with pytest.raises(RequestError, match=words):
        wrong.check()


@pytest.mark.parametrize("form", [None, "{", "{}", json.dumps({"kind": "os:environ"}), json.dumps({"kind": "jobs.recipe:Compute"})])
def test_a_recipe_file_that_is_none_is_refused(form: str | None, tmp_path: Path) -> None:
    place = tmp_path / "recipe.json"
    if form is not None:
        place.write_text(form)
    with pytest.raises(RequestError, match=r"the recipe .*recipe\.json cannot be read"):
        load_recipe(str(place), PretrainRecipe)
