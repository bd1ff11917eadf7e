"""Equal recipes have equal fingerprints, different ones different fingerprints, and what has none is refused with the remedy."""

import json
import math
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, replace
from enum import Enum
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from pipeline.errors import NoFingerprint
from pipeline.workflow.fingerprint import canonical, canonical_json, differences, execution, fingerprint, later
from pipeline.workflow.step import Step, topological
from tests.workflow.steps import AtLeast, Numbers, Total


@dataclass(frozen=True)
class Holder:
    value: Any


leaves = st.none() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text()
few = st.sampled_from([None, 0, 0.0, -0.0, 1, 1.0, 0.5, "", "0", "a"])  # so that equal pairs are common


def _nested(base: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.recursive(
        base, lambda inner: st.lists(inner).map(tuple) | st.dictionaries(st.text(), inner) | st.builds(Holder, value=inner), max_leaves=6
    )


values = _nested(leaves)
pairs = st.tuples(values, values) | st.tuples(_nested(few), _nested(few))


@dataclass(frozen=True)
class Web:
    """A source that has an address of its own."""

    address: str
    depth: int


class Language(Enum):
    CHINESE = "zh"


@dataclass
class Open:
    least: int = 1


@dataclass(frozen=True, kw_only=True)
class Anything(Step[Any]):
    value: Any

    def run(self, context: Any) -> Mapping[str, Any]:
        return {}


@given(pairs)
def test_recipes_are_equal_exactly_if_their_fingerprints_are(pair: tuple[Any, Any]) -> None:
    one, other = pair
    assert (one == other) == (Anything(value=one).address == Anything(value=other).address)


@given(st.dictionaries(st.text(), leaves))
def test_the_order_of_keys_does_not_matter(recipe: dict[str, Any]) -> None:
    backwards = dict(reversed(recipe.items()))
    assert fingerprint(canonical(recipe)) == fingerprint(canonical(backwards))


@given(values)
def test_a_canonical_form_survives_json(value: Any) -> None:
    form = canonical(value)
    assert canonical_json(json.loads(canonical_json(form))) == canonical_json(form)


@given(st.integers(1, 100), st.text(), st.tuples(st.integers()))
def test_how_a_step_runs_is_no_part_of_what_it_is(workers: int, journal: str, broken: tuple[int, ...]) -> None:
    assert Numbers(workers=workers, journal=journal, broken=broken).address == Numbers().address


def test_a_field_that_came_later_changes_an_address_only_where_it_holds_something_else() -> None:
    @dataclass(frozen=True)
    class Before:
        depth: int = 1

    @dataclass(frozen=True)
    class After:
        depth: int = 1
        tied: bool = later(False)

    After.__name__ = "Before"
    assert canonical(After(depth=2)) == canonical(Before(depth=2))
    assert canonical(After(depth=2, tied=True)) == {"class": "Before", "depth": 2, "tied": True}


def test_a_mutable_default_may_say_how_to_run() -> None:
    @dataclass(frozen=True)
    class Resources:
        hosts: list[str] = execution(["a", "b"])

    assert Resources().hosts == ["a", "b"]
    assert canonical(Resources()) == {"class": "Resources"}


def test_a_whole_float_is_the_integer_that_it_equals() -> None:
    assert Total(numbers=Numbers(), filters=(AtLeast(share=1.0),)).address == Total(numbers=Numbers(), filters=(AtLeast(share=1),)).address


def test_true_is_not_one() -> None:
    assert Anything(value=True).address != Anything(value=1).address


def test_an_enumeration_stands_as_its_value() -> None:
    assert Anything(value=Language.CHINESE).address == Anything(value="zh").address


def test_a_changed_field_anywhere_upstream_changes_the_address() -> None:
    assert Total(numbers=Numbers(offset=1)).address != Total(numbers=Numbers()).address


def test_a_raised_version_changes_the_address() -> None:
    class NumbersAgain(Numbers):
        version = 2

    class Same(Numbers):
        pass

    NumbersAgain.__name__ = Same.__name__ = "Numbers"
    assert Same().address == Numbers().address
    assert NumbersAgain().address != Numbers().address


def test_a_source_that_holds_an_address_is_not_taken_for_a_step() -> None:
    assert Anything(value=Web("https://example.org", 1)).address != Anything(value=Web("https://example.org", 2)).address


def test_an_address_is_the_same_in_every_process() -> None:
    code = "from tests.workflow.steps import *; print(Total(numbers=Numbers()).address)"
    addresses = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={"PYTHONHASHSEED": seed},
            cwd=Path(__file__).parents[2],
            capture_output=True,
            text=True,
            check=True,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert addresses == {Total(numbers=Numbers()).address}


def test_an_address_is_the_kebab_name_and_the_fingerprint() -> None:
    @dataclass(frozen=True, kw_only=True)
    class TrainTokenizer(Numbers):
        pass

    name, digits = TrainTokenizer().address.split("/")
    assert name == "train-tokenizer"
    assert len(digits) == 20


@pytest.mark.parametrize(
    ("value", "place", "remedy"),
    [
        (Path("data"), "value", "pass a string location"),
        (lambda: None, "value", "use numbers, strings, tuples or a frozen dataclass"),
        ({1, 2}, "value", "use numbers, strings, tuples or a frozen dataclass"),
        (math.nan, "value", "use a finite number or None"),
        (math.inf, "value", "use a finite number or None"),
        (Open(), "value", "declare it with @dataclass(frozen=True)"),
        (AtLeast, "value", "use numbers, strings, tuples or a frozen dataclass"),
        (b"bytes", "value", "use numbers, strings, tuples or a frozen dataclass"),
        ({1: "one"}, "value", "use strings as keys"),
        ((Holder({"depth": Path("x")}),), "value[0].value['depth']", "pass a string location"),
        ([1, [math.nan]], "value[1][0]", "use a finite number or None"),
    ],
)
def test_a_refusal_names_the_field_and_the_remedy(value: Any, place: str, remedy: str) -> None:
    with pytest.raises(NoFingerprint) as refusal:
        _ = Anything(value=value).address
    message = str(refusal.value)
    assert message.startswith(f"{place} ")
    assert remedy in message
    assert "\n" not in message


def test_differences_name_the_paths_that_differ() -> None:
    one = canonical(Total(numbers=Numbers(), filters=(AtLeast(), AtLeast(least=3))).filters)
    other = canonical((AtLeast(), AtLeast(least=4, share=0.25)))
    assert list(differences(one, other, "filters")) == [("filters[1].least", 3, 4), ("filters[1].share", 0.5, 0.25)]


@given(pairs)
def test_there_are_no_differences_exactly_between_equals(pair: tuple[Any, Any]) -> None:
    one, other = pair
    assert (not list(differences(canonical(one), canonical(other)))) == (one == other)


@pytest.mark.parametrize("hold", [lambda step: step, lambda step: (Holder(step),), lambda step: [[step]], lambda step: {"key": step}])
def test_a_step_is_an_input_wherever_a_field_holds_it(hold: Any) -> None:
    numbers = Numbers()
    outer = Anything(value=hold(numbers))
    assert list(outer.inputs.values()) == [numbers]
    assert topological([outer]) == [numbers, outer]


def test_a_graph_lists_every_step_once_and_inputs_first() -> None:
    numbers = Numbers()
    left, right = Total(numbers=numbers), Total(numbers=replace(numbers), filters=())
    assert topological([Anything(value=(left, right)), left]) == [numbers, left, right, Anything(value=(left, right))]
