"""A plan says for every step whether it would be built and why, and changes nothing."""

import importlib
import os
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from pipeline.storage import Store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.plan import Rebuild, plan
from pipeline.workflow.reach import code_of
from pipeline.workflow.run import run
from pipeline.workflow.step import Step
from pipeline.workflow.unit import open_artifact
from tests.workflow.steps import AtLeast, Numbers, Total, tree

CHANGING = '''
"""A step whose code changes."""
from dataclasses import dataclass
from tests.workflow.steps import Numbers

@dataclass(frozen=True, kw_only=True)
class Changing(Numbers):
    def write(self, unit, number):
        unit.write("numbers", b"%d" % (number * 2), ".txt")
        return {"kept": 1}
'''


@pytest.fixture
def changing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[str], ModuleType]]:
    """Writes the source of a module anew and loads it."""
    place = tmp_path / "code" / "changing_step.py"
    place.parent.mkdir()
    monkeypatch.syspath_prepend(str(place.parent))
    monkeypatch.setattr(sys, "dont_write_bytecode", True)

    def load(source: str) -> ModuleType:
        modified = place.stat().st_mtime_ns if place.exists() else 0
        place.write_text(source)
        os.utime(place, ns=(modified + 10**9, modified + 10**9))
        importlib.invalidate_caches()
        return (
            importlib.reload(sys.modules["changing_step"]) if "changing_step" in sys.modules else importlib.import_module("changing_step")
        )

    yield load
    sys.modules.pop("changing_step", None)


def reasons(target: Step[Any], store: Store, rebuild: Rebuild = Rebuild.NEVER) -> list[tuple[str, bool, str]]:
    return [(decision.step.name(), decision.build, decision.reason) for decision in plan([target], store, rebuild)]


def test_what_was_never_built_is_not_built(store: Store) -> None:
    assert reasons(Total(numbers=Numbers()), store) == [("numbers", True, "not built"), ("total", True, "not built")]


def test_what_is_built_is_kept(store: Store) -> None:
    run([Total(numbers=Numbers())], store, InlineExecutor())
    assert reasons(Total(numbers=Numbers()), store) == [("numbers", False, "built"), ("total", False, "built")]


def test_a_changed_recipe_is_told_with_its_field_and_both_values(store: Store) -> None:
    built = Total(numbers=Numbers(), filters=(AtLeast(least=50),))
    run([built], store, InlineExecutor())
    assert reasons(replace(built, filters=(AtLeast(least=80),)), store)[1] == ("total", True, "recipe changed: filters[0].least 50 → 80")


def test_a_filter_more_is_told_by_the_names_of_the_filters(store: Store) -> None:
    built = Total(numbers=Numbers(), filters=(AtLeast(),))
    run([built], store, InlineExecutor())
    longer = replace(built, filters=(AtLeast(), AtLeast(least=80)))
    assert reasons(longer, store)[1][2] == "recipe changed: filters [AtLeast] → [AtLeast, AtLeast]"


def test_a_changed_recipe_is_compared_with_the_most_alike_that_was_built(store: Store) -> None:
    for numbers in (Numbers(count=1, offset=5), Numbers(count=3, offset=9)):
        run([numbers], store, InlineExecutor())
    assert reasons(Numbers(count=3, offset=5), store)[0][2] in ("recipe changed: count 1 → 3", "recipe changed: offset 9 → 5")


def test_a_changed_recipe_upstream_is_a_changed_input(store: Store) -> None:
    run([Total(numbers=Numbers())], store, InlineExecutor())
    assert reasons(Total(numbers=Numbers(count=4)), store) == [
        ("numbers", True, "recipe changed: count 3 → 4"),
        ("total", True, "input changed: numbers"),
    ]


def test_planning_changes_nothing(store: Store) -> None:
    plan([Total(numbers=Numbers())], store)
    assert tree(store.url) == {}


def test_changed_code_is_told_and_kept(store: Store, changing: Callable[[str], ModuleType]) -> None:
    run([changing(CHANGING).Changing()], store, InlineExecutor())
    step = changing(CHANGING.replace("* 2", "* 3")).Changing()
    assert reasons(step, store) == [("changing", False, "code changed since it was built: changing_step")]
    assert run([step], store, InlineExecutor()).built == ()


def test_changed_code_is_rebuilt_where_asked_and_what_follows_too(store: Store, changing: Callable[[str], ModuleType]) -> None:
    run([Total(numbers=changing(CHANGING).Changing())], store, InlineExecutor())
    step = Total(numbers=changing(CHANGING.replace("* 2", "* 3")).Changing())
    assert reasons(step, store, Rebuild.CHANGED)[0] == ("changing", True, "code changed since it was built: changing_step")
    outcome = run([step], store, InlineExecutor(), rebuild=Rebuild.CHANGED)
    assert outcome.built == (step.numbers.address, step.address)
    assert open_artifact(store, step).local(open_artifact(store, step).files("total")[0]).read_text() == "9"


def test_a_rebuilt_input_with_other_bytes_is_a_changed_input(store: Store, changing: Callable[[str], ModuleType]) -> None:
    run([Total(numbers=changing(CHANGING).Changing())], store, InlineExecutor())
    step = Total(numbers=changing(CHANGING.replace("* 2", "* 3")).Changing())
    run([step.numbers], store, InlineExecutor(), rebuild=Rebuild.CHANGED)
    assert reasons(step, store) == [("changing", False, "built"), ("total", True, "input changed: numbers")]


def test_a_rebuilt_input_with_the_same_bytes_does_not_rebuild_what_follows(store: Store, changing: Callable[[str], ModuleType]) -> None:
    run([Total(numbers=changing(CHANGING).Changing())], store, InlineExecutor())
    step = Total(numbers=changing(CHANGING.replace("number * 2", "number + number")).Changing())
    outcome = run([step], store, InlineExecutor(), rebuild=Rebuild.CHANGED)
    assert (outcome.built, outcome.skipped) == ((step.numbers.address,), (step.address,))


def test_a_replaced_manifest_is_kept_beside_the_new_one(store: Store, changing: Callable[[str], ModuleType]) -> None:
    before = run([changing(CHANGING).Changing()], store, InlineExecutor()).manifests
    step = changing(CHANGING.replace("* 2", "* 3")).Changing()
    run([step], store, InlineExecutor(), rebuild=Rebuild.CHANGED)
    assert store.get(f"{step.address}/retired/{before[step.address].content}.json") == before[step.address].to_json()


@pytest.mark.parametrize(
    "layout",
    [
        CHANGING.replace('"""A step whose code changes."""', '"""Other words."""'),
        CHANGING.replace("        unit.write", "        # a comment\n\n        unit.write"),
        CHANGING.replace(
            'unit.write("numbers", b"%d" % (number * 2), ".txt")',
            'unit.write(\n            "numbers", b"%d" % (number * 2), ".txt"\n        )',
        ),
    ],
)
def test_comments_docstrings_and_layout_are_no_code(layout: str, store: Store, changing: Callable[[str], ModuleType]) -> None:
    run([changing(CHANGING).Changing()], store, InlineExecutor())
    assert reasons(changing(layout).Changing(), store) == [("changing", False, "built")]


def test_the_reach_of_a_step_holds_what_its_recipe_is_made_of_and_not_its_inputs(changing: Callable[[str], ModuleType]) -> None:
    step = Total(numbers=changing(CHANGING).Changing())
    assert "tests.workflow.steps" in code_of(step)
    assert "changing_step" not in code_of(step)
    assert list(code_of(step.numbers)) == ["changing_step"]


def test_the_reach_of_a_step_follows_imports_within_the_project_and_leaves_out_the_core(changing: Callable[[str], ModuleType]) -> None:
    step = changing(CHANGING + "\ndef later():\n    from pipeline import documents\n").Changing()
    assert list(code_of(step)) == ["changing_step", "pipeline.documents"]
