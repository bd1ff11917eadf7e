"""What every editor promises, beyond what every filter does. Editors are found by themselves, as filters are."""

import json
import pickle
import re
import subprocess
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.filters.base import Edit, Editor
from tests.contracts.test_filters import FRAGMENTS, HOSTILE, TEXTS, document, found

KIND = re.compile(r"[a-z]+(-[a-z]+)*")
EDITORS = sorted(found(Editor), key=lambda cls: cls.__name__)
every_editor = pytest.mark.parametrize("cls", EDITORS, ids=lambda cls: cls.__name__)
PIECES = [
    *FRAGMENTS,
    "A sentence of several words.\n",
    "这是一个完整的句子。\n",
    "me@example.com ",
    "+86 138 0013 8000 ",
    "[1]",
    "{",
    "8.8.8.8 ",
]
ELSEWHERE = """
import json, pickle, sys
from pipeline.documents import Document
editors, texts = pickle.load(sys.stdin.buffer)
print(json.dumps([[editor.edit(Document("id", text, "s", "o", "")) for text in texts] for editor in editors]))
"""


def test_there_are_editors() -> None:
    assert EDITORS


@every_editor
@settings(max_examples=60)
@given(text=st.text() | st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_an_edit_is_a_function_of_the_document_and_counts_its_changes_by_kind(cls: type[Editor], text: str) -> None:
    editor = cls()
    edit = editor.edit(document(text))
    editor.edit(document(f"{text} and another"))
    assert editor.edit(document(text)) == edit
    assert all(KIND.fullmatch(kind) and number > 0 for kind, number in edit.changes.items())
    assert editor.verdict(document(text)) == edit.reason


@every_editor
@given(text=st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_what_is_dropped_is_not_changed(cls: type[Editor], text: str) -> None:
    edit = cls().edit(document(text))
    if edit.reason is not None:
        assert edit.text == text
        assert not edit.changes


@every_editor
@given(text=st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_a_text_that_loses_more_than_white_space_has_changes_to_show(cls: type[Editor], text: str) -> None:
    edit = cls().edit(document(text))
    if "".join(edit.text.split()) != "".join(text.split()):
        assert edit.changes


@every_editor
@given(text=st.lists(st.sampled_from(PIECES), max_size=60).map("".join))
def test_editing_again_changes_nothing_more(cls: type[Editor], text: str) -> None:
    edit = cls().edit(document(text))
    if edit.reason is None:
        assert cls().edit(document(edit.text)) == Edit(edit.text, {}, None)


@every_editor
def test_hostile_and_very_long_texts_are_edited(cls: type[Editor]) -> None:
    for text in HOSTILE:
        cls().edit(document(text))


def test_edits_are_the_same_in_every_process() -> None:
    texts = [text for text in TEXTS if text.isprintable() or text.isascii()]
    editors = [cls() for cls in EDITORS]
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], input=pickle.dumps((editors, texts)), capture_output=True, check=True)
    assert json.loads(done.stdout) == [[list(editor.edit(document(text))) for text in texts] for editor in editors]
