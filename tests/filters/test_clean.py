"""The step that cleans: text is mended and normalised, filters are asked in order, nothing is lost in silence."""

import logging
import sysconfig
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.documents import Document, Documents
from pipeline.errors import BudgetExceeded, RequestError, RunError
from pipeline.filters.base import Edit, Editor, Filter
from pipeline.filters.c4 import C4
from pipeline.filters.clean import Clean, mended
from pipeline.filters.length import CharacterCount, WordCount
from pipeline.filters.personal_data import PersonalData
from pipeline.filters.repetition import Repetition
from tests.filters.texts import CHINESE, ENGLISH, Given, document

Build = Callable[[Clean], Documents]
CODE = '''def greet(name="world"):
\t"""Say “hello” – &amp; 'goodbye' in HTML: &lt;b&gt;."""
\tprint(f"ﬁn… ½ × {name!r}", "\\x1b[0m", '\\u00e9', "caf\\xc3\\xa9")\f
'''


@dataclass(frozen=True, kw_only=True)
class Fragile(Filter):
    """Fails on what it does not know."""

    unknown: str = "?"

    def verdict(self, document: Document) -> str | None:
        if self.unknown in document.text:
            raise ValueError(f"cannot judge {self.unknown}")
        return None


@dataclass(frozen=True, kw_only=True)
class Shorten(Editor):
    """Takes a letter out; fails on what it does not know."""

    letter: str = "x"

    def edit(self, document: Document) -> Edit:
        if "?" in document.text:
            raise ValueError("cannot edit ?")
        text = document.text.replace(self.letter, "")
        found = len(document.text) - len(text)
        return Edit(text, {"letter": found} if found else {}, "too-many" if found > 5 else None)


def texts(artifact: Documents) -> list[str]:
    return [each.text for shard in artifact.shards for each in artifact.read(shard)]


def reasons(artifact: Documents) -> dict[str, str]:
    return {row["id"]: row["reason"] for row in artifact.dropped().to_pylist()}


def test_the_first_verdict_drops_a_document_and_is_counted_under_the_filters_name(build: Build) -> None:
    given_texts = ((ENGLISH, "short", "same words again and\n" * 20), (CHINESE, " \n\t"))
    artifact = build(Clean(documents=Given(shards=given_texts), filters=(WordCount(least=20), Repetition())))
    assert texts(artifact) == [ENGLISH, CHINESE]
    assert reasons(artifact) == {"id-1": "word-count/too-few", "id-2": "repetition/duplicate-lines", "id-4": "empty"}
    assert artifact.facts == {
        "read": 5,
        "kept": 2,
        "dropped": {"empty": 1, "repetition/duplicate-lines": 1, "word-count/too-few": 1},
        "sources": {"given": {"kept": 2, "characters": len(ENGLISH + CHINESE), "dropped": 3}},
    }


def test_filters_are_asked_in_their_order(build: Build) -> None:
    given = Given(shards=(("too short",),))
    for first, second in ((WordCount(), CharacterCount(least=50)), (CharacterCount(least=50), WordCount())):
        artifact = build(Clean(documents=given, filters=(first, second)))
        assert reasons(artifact) == {"id-0": f"{first.name()}/too-few"}


def test_only_the_text_changes(build: Build) -> None:
    decomposed = unicodedata.normalize("NFD", "Épée, 가나다")
    artifact = build(Clean(documents=Given(shards=((decomposed, ENGLISH),))))
    assert [each for shard in artifact.shards for each in artifact.read(shard)] == [document("Épée, 가나다", 0), document(ENGLISH, 1)]


def test_each_shard_stays_a_shard_even_if_nothing_of_it_is_kept(build: Build) -> None:
    artifact = build(Clean(documents=Given(shards=(("a",), (ENGLISH,), ("b",))), filters=(WordCount(least=5),)))
    assert [shard.rows for shard in artifact.shards] == [0, 1, 0]


def test_without_normalisation_the_text_is_left_as_it_was(build: Build) -> None:
    decomposed = unicodedata.normalize("NFD", "Épée")
    assert texts(build(Clean(documents=Given(shards=((decomposed,),)), normalize=None))) == [decomposed]


def test_wrongly_decoded_text_is_mended_only_where_the_recipe_says_so(build: Build) -> None:
    broken = tuple(text.encode().decode("cp1252") for text in ("Café olé", "你好，世界", "schön\0"))
    assert texts(build(Clean(documents=Given(shards=(broken,)), mend=True))) == ["Café olé", "你好，世界", "schön"]
    assert texts(build(Clean(documents=Given(shards=(broken,))))) == list(broken)


def test_filters_judge_the_text_that_is_kept(build: Build) -> None:
    step = Clean(documents=Given(shards=(("Ã©" * 10,),)), mend=True, filters=(CharacterCount(least=11),))
    assert reasons(build(step)) == {"id-0": "character-count/too-few"}


def test_an_editor_changes_the_text_and_is_counted_so_that_nothing_is_lost_in_silence(build: Build) -> None:
    given = Given(shards=(("axbx", "plain"), ("xc", "xxxxxxxx")))
    artifact = build(Clean(documents=given, filters=(Shorten(),)))
    assert texts(artifact) == ["ab", "plain", "c"]
    assert reasons(artifact) == {"id-3": "shorten/too-many"}
    assert artifact.facts == {
        "read": 4,
        "kept": 3,
        "dropped": {"shorten/too-many": 1},
        "sources": {"given": {"kept": 3, "characters": 8, "dropped": 1}},
        "edited": {"shorten": {"documents": 2, "characters": 3, "changes": {"letter": 3}}},
    }


def test_filters_after_an_editor_see_what_it_left_and_those_before_it_what_was_there(build: Build) -> None:
    given = Given(shards=(("axxx",),))
    assert reasons(build(Clean(documents=given, filters=(Shorten(), CharacterCount(least=2))))) == {"id-0": "character-count/too-few"}
    assert texts(build(Clean(documents=given, filters=(CharacterCount(least=2), Shorten())))) == ["a"]


def test_the_edits_of_a_document_that_is_dropped_afterwards_are_not_counted(build: Build) -> None:
    artifact = build(Clean(documents=Given(shards=(("axxx", "bbbxxx"),)), filters=(Shorten(), CharacterCount(least=2))))
    assert artifact.facts["edited"] == {"shorten": {"documents": 1, "characters": 3, "changes": {"letter": 3}}}


def test_an_editor_that_leaves_nothing_drops_the_document(build: Build) -> None:
    artifact = build(Clean(documents=Given(shards=(("xx", "x \n"),)), filters=(Shorten(), CharacterCount(least=10))))
    assert artifact.facts["dropped"] == {"shorten/empty": 2}


def test_an_editor_that_fails_drops_the_document(build: Build) -> None:
    assert reasons(build(Clean(documents=Given(shards=(("x?", "a"),)), filters=(Shorten(),)))) == {"id-0": "shorten/error"}


def test_ids_and_origins_stay_when_a_text_is_edited(build: Build) -> None:
    artifact = build(Clean(documents=Given(shards=(("mail me@example.com",),)), filters=(PersonalData(),)))
    assert [each for shard in artifact.shards for each in artifact.read(shard)] == [document("mail <EMAIL>", 0)]
    assert artifact.facts["edited"] == {"personal-data": {"documents": 1, "characters": 7, "changes": {"email": 1}}}


def test_characters_balance_through_several_editors(build: Build) -> None:
    pages = tuple(f"Write to me{place}@example.com if you like.\nMenu\n{ENGLISH}" for place in range(5))
    artifact = build(Clean(documents=Given(shards=(pages[:2], pages[2:])), filters=(PersonalData(), C4())))
    removed = sum(counts["characters"] for counts in artifact.facts["edited"].values())
    assert sum(map(len, pages)) == artifact.facts["sources"]["given"]["characters"] + removed
    assert artifact.facts["edited"]["c4"]["changes"] == {"no-end-mark": 5}


@dataclass(frozen=True, kw_only=True)
class Elsewhere(Filter):
    """Cannot find what it needs."""

    def verdict(self, document: Document) -> str | None:
        raise RunError("the list has changed: start the run again")


def test_a_filter_that_says_why_the_run_cannot_go_on_stops_it(build: Build) -> None:
    with pytest.raises(RunError, match="the list has changed"):
        build(Clean(documents=Given(shards=((ENGLISH,),)), filters=(Elsewhere(),)))


SOUND = [ENGLISH, CHINESE, CODE, "（全角）ＡＢＣ１２３：，。！？", "“引号”和‘引号’，还有——破折号……", "ﾊﾝｶｸ ｶﾀｶﾅ", "&nbsp;&eacute; 한국어"]


@pytest.mark.parametrize("sound", SOUND)
def test_mending_leaves_sound_text_alone(sound: str) -> None:
    assert mended(sound) == sound


def test_mending_leaves_real_python_sources_alone() -> None:
    for name in ("argparse.py", "html/__init__.py", "textwrap.py"):
        source = Path(sysconfig.get_path("stdlib"), name).read_text("utf-8")
        assert mended(source) == source


CHINESE_WITH_ASCII = (
    st.characters(min_codepoint=0x4E00, max_codepoint=0x9FFF)
    | st.characters(min_codepoint=0x20, max_codepoint=0x7E)
    | st.sampled_from("，。！？：；“”‘’（）《》、…—\u3000ＡＢ１２")
)


@settings(deadline=None)
@given(st.text(CHINESE_WITH_ASCII, max_size=80))
def test_mending_never_changes_chinese_with_ascii(text: str) -> None:
    assert mended(text) == text


def test_a_filter_that_fails_drops_the_document_and_says_so(build: Build, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        artifact = build(Clean(documents=Given(shards=(("what?", ENGLISH),)), filters=(Fragile(),)))
    assert texts(artifact) == [ENGLISH]
    assert reasons(artifact) == {"id-0": "fragile/error"}
    assert "fragile failed on given#0: ValueError: cannot judge ?" in caplog.text


def test_a_filter_that_fails_on_many_documents_stops_the_run(build: Build) -> None:
    with pytest.raises(BudgetExceeded, match=r"filters failed on 2 of 3 documents \(fragile/error\): the log says"):
        build(Clean(documents=Given(shards=(("what?",), ("why?", ENGLISH))), filters=(Fragile(),)))


def test_wrong_requests_are_refused() -> None:
    given: Any = Given(shards=())
    with pytest.raises(RequestError, match=r"Clean.normalize is 'NFKC': use 'NFC' or None"):
        Clean(documents=given, normalize="NFKC")  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"Clean.filters\[0\] is 'length': use members of pipeline.filters"):
        Clean(documents=given, filters=("length",))  # type: ignore[arg-type]


def test_nothing_to_clean_is_nothing_kept(build: Build) -> None:
    assert build(Clean(documents=Given(shards=()))).facts == {"read": 0, "kept": 0, "dropped": {}, "sources": {}}
