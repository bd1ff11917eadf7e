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
from pipeline.errors import BudgetExceeded, RequestError
from pipeline.filters.base import Filter
from pipeline.filters.clean import Clean, mended
from pipeline.filters.length import CharacterCount, WordCount
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
