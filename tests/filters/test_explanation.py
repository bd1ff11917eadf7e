"""Explaining a chain says what Clean would do, and what each filter would do by itself."""

from collections import Counter
from collections.abc import Callable
from dataclasses import replace
from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from pipeline.documents import Documents
from pipeline.filters.c4 import C4
from pipeline.filters.clean import Clean
from pipeline.filters.explanation import Example, explain, spread
from pipeline.filters.length import CharacterCount, WordCount
from pipeline.filters.personal_data import PersonalData
from pipeline.filters.repetition import Repetition
from tests.filters.texts import CHINESE, ENGLISH, Given, document

TEXTS = (ENGLISH, CHINESE, "short", "same words again and\n" * 20, " \n", f"{ENGLISH}\nme@example.com or 8.8.8.8.\nMenu", "x" * 9, "")
FILTERS = (CharacterCount(least=10), WordCount(least=20), PersonalData(), Repetition(), C4(least_sentences=1))


def chain(*filters: Any, texts: tuple[str, ...] = ()) -> Clean:
    return Clean(documents=Given(shards=(texts,)), filters=filters)


def test_an_explanation_agrees_with_what_clean_does(build: Callable[[Clean], Documents]) -> None:
    step = chain(*FILTERS, texts=TEXTS)
    facts = build(step).facts
    explanation = explain(step, [document(text, place) for place, text in enumerate(TEXTS)], 2)
    assert explanation.sampled == facts["read"]
    assert explanation.kept == facts["kept"]
    assert dict(explanation.dropped) == facts["dropped"]
    assert sum(finding.first for finding in explanation.findings) == sum(facts["dropped"].values()) - facts["dropped"]["empty"]


def test_every_filter_is_asked_about_every_document_and_the_first_reason_is_told_apart() -> None:
    explanation = explain(chain(CharacterCount(least=10), WordCount(least=20)), [document("short"), document("not so short")], 5)
    characters, words = explanation.findings
    assert (characters.drops, characters.first) == (Counter({"too-few": 1}), 1)
    assert (words.drops, words.first) == (Counter({"too-few": 2}), 1)
    assert words.examples == {"too-few": [Example("given#0", "short"), Example("given#0", "not so short")]}


def test_edits_are_counted_and_shown_where_they_begin() -> None:
    text = f"{ENGLISH} Mail me@example.com for more."
    (finding,) = explain(chain(PersonalData()), [document(text), document(ENGLISH)], 5).findings
    assert (finding.changed, finding.characters, finding.changes) == (1, len("me@example.com") - len("<EMAIL>"), Counter(email=1))
    (example,) = finding.changed_examples
    assert "Mail me@example.com for" in example.text
    assert example.edited is not None
    assert "Mail <EMAIL> for" in example.edited


def test_a_filter_after_an_editor_is_asked_about_the_text_that_it_leaves() -> None:
    explanation = explain(chain(PersonalData(), CharacterCount(least=10)), [document("me@example.com")], 5)
    assert explanation.findings[1].examples == {"too-few": [Example("given#0", "<EMAIL>")]}


def test_no_more_examples_are_kept_than_asked_for() -> None:
    (finding,) = explain(chain(WordCount()), [document("short", place) for place in range(9)], 2).findings
    assert finding.drops["too-few"] == 9
    assert len(finding.examples["too-few"]) == 2


@given(st.lists(st.text("0123456789abcdef", min_size=4, max_size=4), unique=True, max_size=40), st.integers(1, 50), st.randoms())
def test_a_sample_does_not_depend_on_the_order_of_the_documents(ids: list[str], size: int, chance: Any) -> None:
    documents = [replace(document("text"), id=each) for each in ids]
    shuffled = chance.sample(documents, len(documents))
    assert [each.id for each in spread(documents, size)] == [each.id for each in spread(shuffled, size)] == sorted(ids)[:size]
