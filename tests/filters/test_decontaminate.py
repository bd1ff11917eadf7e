"""Decontaminate: what is dropped for a benchmark's example, and that nothing else is."""

import gzip
import json
import random
import unicodedata
from collections.abc import Callable, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any, NamedTuple

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.documents import Documents
from pipeline.errors import RequestError, RunError
from pipeline.filters.characters import SCRIPTS
from pipeline.filters.decontaminate import Decontaminate
from pipeline.filters.evaluation_set import EvaluationSet
from pipeline.filters.loops import HANGUL
from pipeline.filters.ngrams import gram_hashes, spelled
from pipeline.storage import open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.executors import Backwards
from tests.filters.texts import CHINESE, ENGLISH, Given

Build = Callable[[Decontaminate], Documents]
QUESTION = "Which statement best explains why photosynthesis is the foundation of most food webs on our planet today?"
POEM = "床前明月光，疑是地上霜。举头望明月，低头思故乡。"
ONE_EACH = (ENGLISH, CHINESE)


def words_of(text: str) -> list[str]:
    """The words of a text, by the rule: decomposed, case-folded, without accents and what is as if it were not there."""
    found: list[str] = []
    inside = single = False
    for character in text:
        folded = _visible(unicodedata.normalize("NFKD", unicodedata.normalize("NFKD", character).casefold()))
        for letter in folded if len(folded) <= len(character.encode()) else _visible(character):
            category, code = unicodedata.category(letter), ord(letter)
            mark = category[0] == "M" and code < 0x20000
            alone = code >= 0x20000 or (category in ("Lo", "Lm", "Nl") and _unspaced(code))
            if not (mark or alone or category[0] in "LN") or (mark and not inside):
                inside = False
            elif inside and (mark or not (alone or single)):
                found[-1] += letter
            else:
                found.append(letter)
                inside, single = True, alone
    return found


def _visible(text: str) -> str:
    return "".join(
        each
        for each in text
        if not (each in "'’_" or unicodedata.category(each) == "Cf" or 0x300 <= ord(each) < 0x370 or ord(each) >= 0x34000)
    )


def _unspaced(code: int) -> bool:
    return any(kind != HANGUL and first <= code <= last for kind, first, last in SCRIPTS)


def grams_of(text: str, length: int, shortest: int) -> list[tuple[str, ...]]:
    """The n-grams of an example."""
    words = words_of(text)
    size = min(length, len(words))
    return [tuple(words[place : place + size]) for place in range(len(words) - size + 1)] if len(words) >= shortest else []


def shares(text: str, examples: list[str], length: int, shortest: int) -> list[float]:
    """How much of each example is in a text, by looking for each n-gram at each place."""
    words = words_of(text)
    found = []
    for example in examples:
        grams = grams_of(example, length, shortest)
        hits = sum(any(tuple(words[place : place + len(gram)]) == gram for place in range(len(words))) for gram in grams)
        found.append(hits / len(grams) if grams else 0.0)
    return found


def write_lines(path: Path, records: Sequence[Any]) -> str:
    path.write_text("".join(f"{json.dumps(record)}\n" for record in records))
    return str(path)


def benchmark(folder: Path, texts: Sequence[str], name: str = "bench") -> EvaluationSet:
    return EvaluationSet.at(write_lines(folder / f"{name}.jsonl", [{"text": text} for text in texts]), fields=("text",))


class Found(NamedTuple):
    """What the ledger says of a document."""

    match: str
    share: float


def ledger(artifact: Documents) -> dict[str, Found]:
    rows = artifact.dropped().to_pylist()
    assert {row["reason"] for row in rows} <= {"contaminated"}
    return {row["id"]: Found(row["match"], row["similarity"]) for row in rows}


def kept(artifact: Documents) -> list[str]:
    return [document.text for shard in artifact.shards for document in artifact.read(shard)]


def test_a_document_that_holds_an_example_is_dropped_and_names_it_and_how_much_of_it(build: Build, tmp_path: Path) -> None:
    half = " ".join(QUESTION.split()[:14])
    texts = ((ENGLISH, f"{ENGLISH} {QUESTION} {ENGLISH}"), (f"so: {half} and so on", CHINESE))
    artifact = build(Decontaminate(documents=Given(shards=texts), against=(benchmark(tmp_path, [POEM, QUESTION, "too short"]),)))
    assert kept(artifact) == [ENGLISH, CHINESE]
    assert ledger(artifact) == {"id-1": Found("bench#2", 1.0), "id-2": Found("bench#2", 0.4)}
    assert artifact.facts == {
        "read": 4,
        "kept": 2,
        "dropped": {"contaminated": 2},
        "sources": {"given": {"kept": 2, "characters": len(ENGLISH + CHINESE), "dropped": 2}},
        "sets": {"bench": {"examples": 3, "too_short": 1, "matched": 1, "documents": 2}},
    }


DISGUISES: dict[str, Callable[[str], str]] = {
    "verbatim": str,
    "capitals": str.upper,
    "no punctuation": lambda text: "".join(" " if unicodedata.category(each)[0] == "P" else each for each in text),
    "lines": lambda text: text.replace(" ", "\n  "),
    "markup": lambda text: f"**{text}**".replace(" the ", " _the_ "),
    "curly quotes": lambda text: f"“{text}”".replace("'", "’"),
    "full width": lambda text: "".join(chr(ord(each) + 0xFEE0) if "!" <= each <= "~" else each for each in text),
    "soft hyphens": lambda text: text.replace("a", "a\u00ad"),
    "accents": lambda text: text.replace("e", "é"),
    "decomposed": lambda text: unicodedata.normalize("NFD", text),
    "the first half": lambda text: text[: len(text) * 2 // 3],
    "the last half": lambda text: text[len(text) // 3 :],
}


@pytest.mark.parametrize("disguise", DISGUISES)
def test_every_planted_example_is_found_and_nothing_else_is_dropped(disguise: str, build: Build, tmp_path: Path) -> None:
    chosen = random.Random(0)
    vocabulary = [f"{chosen.choice('bdfgklm')}{chosen.choice('aeiou')}{chosen.choice('nrst')}{place % 97}" for place in range(400)]
    han = [chr(code) for code in range(0x4E00, 0x4E00 + 400)]
    pages = [" ".join(chosen.choices(vocabulary, k=60)) for _ in range(60)] + ["".join(chosen.choices(han, k=60)) for _ in range(60)]
    examples = [" ".join(chosen.choices(vocabulary, k=45)) for _ in range(30)] + ["".join(chosen.choices(han, k=45)) for _ in range(30)]
    planted = [f"{pages[place]}\n{DISGUISES[disguise](example)}\n{pages[-place]}" for place, example in enumerate(examples)]
    artifact = build(Decontaminate(documents=Given(shards=(tuple(pages), tuple(planted))), against=(benchmark(tmp_path, examples),)))
    assert {name: found.match for name, found in ledger(artifact).items()} == {
        f"id-{120 + place}": f"bench#{place + 1}" for place in range(60)
    }
    assert kept(artifact) == pages


def test_words_of_the_same_document_that_are_no_longer_neighbours_are_no_match(build: Build, tmp_path: Path) -> None:
    scattered = " so ".join(QUESTION.split())
    artifact = build(Decontaminate(documents=Given(shards=((scattered,),)), against=(benchmark(tmp_path, [QUESTION]),)))
    assert kept(artifact) == [scattered]


def test_a_short_example_is_found_whole_or_not_at_all(build: Build, tmp_path: Path) -> None:
    nine, seven = "one two three four five six seven eight nine", "alpha beta gamma delta epsilon zeta eta"
    begun = nine.removesuffix("nine")
    texts = (f"{begun} ten. And {nine.upper()}!", f"{begun} ten", f"{seven} {seven}")
    artifact = build(Decontaminate(documents=Given(shards=(texts,)), against=(benchmark(tmp_path, [nine, seven]),)))
    assert ledger(artifact) == {"id-0": Found("bench#1", 1.0)}
    assert artifact.facts["sets"]["bench"]["too_short"] == 1


def test_a_share_says_how_much_of_an_example_must_be_there(build: Build, tmp_path: Path) -> None:
    words = QUESTION.split()
    texts = (" ".join(words[:13]), " ".join(words[:15]), QUESTION)
    for share, dropped in ((0.0, ["id-0", "id-1", "id-2"]), (0.5, ["id-1", "id-2"]), (1.0, ["id-2"])):
        step = Decontaminate(documents=Given(shards=(texts,)), against=(benchmark(tmp_path, [QUESTION]),), share=share)
        assert list(ledger(build(step))) == dropped


def test_equal_hashes_of_other_words_are_no_match(build: Build, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    other = " ".join(f"word{place}" for place in range(13))
    collision = gram_hashes(spelled(pa.array([QUESTION], pa.large_string())).hashes, 13)[:1]
    monkeypatch.setattr("pipeline.filters.contamination.gram_hashes", lambda hashes, length: collision.repeat(len(hashes) - length + 1))
    artifact = build(Decontaminate(documents=Given(shards=((QUESTION,),)), against=(benchmark(tmp_path, [other]),)))
    assert kept(artifact) == [QUESTION]


def test_of_several_examples_the_one_that_is_there_most_is_named_and_all_count(build: Build, tmp_path: Path) -> None:
    longer = f"{QUESTION} Think of the sun, of the plants and of all who eat them"
    first, second = benchmark(tmp_path, [longer], "first"), benchmark(tmp_path, [QUESTION, QUESTION], "second")
    artifact = build(Decontaminate(documents=Given(shards=((QUESTION,),)), against=(first, second)))
    assert ledger(artifact) == {"id-0": Found("second#1", 1.0)}
    assert artifact.facts["sets"] == {
        "first": {"examples": 1, "too_short": 0, "matched": 1, "documents": 0},
        "second": {"examples": 2, "too_short": 0, "matched": 2, "documents": 1},
    }


pieces = st.sampled_from(
    ["a", "B", "é", "e\u0301", "don't", "ﬁ", "ＡＢ", "ß", "中", "文", "カ", "ｶﾞ", "한", "ก", "ก็", "क्", "7", "½", "㎧", "_"]
)
between = st.sampled_from([" ", "", ", ", "\n", "-", "\u00ad", "\u200d", "☺", "𠀀", "\U000e0100", "。"])
passages = st.lists(st.tuples(pieces, between), max_size=14).map(lambda pairs: "".join(piece + gap for piece, gap in pairs))
hostile = st.text(st.characters(exclude_categories=("Cs", "Cn")), max_size=40)


def spelled_words(texts: list[str]) -> list[list[str]]:
    """The words of some texts as `spelled` finds them."""
    found = spelled(pa.array(texts, pa.large_string()))
    letters = [chr(letter & (1 << 21) - 1) for letter in found.letters.tolist()]
    words = ["".join(letters[start:end]) for start, end in pairwise(found.bounds.tolist())]
    return [words[start:end] for start, end in pairwise(found.rows.tolist())]


@settings(max_examples=300)
@given(st.lists(passages | hostile, max_size=3))
def test_words_are_spelled_as_the_rule_says(texts: list[str]) -> None:
    assert spelled_words(texts) == [words_of(text) for text in texts]


def test_a_letter_has_one_spelling_in_all_normal_forms_and_cases() -> None:
    letters = [chr(code) for code in range(0x34000) if unicodedata.category(chr(code))[0] == "L"]
    expected = spelled_words(letters)
    for form in ("NFC", "NFD"):
        assert spelled_words([unicodedata.normalize(form, each) for each in letters]) == expected
    assert spelled_words([each.lower() for each in letters]) == expected


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.lists(passages, min_size=1, max_size=4), st.lists(passages, min_size=1, max_size=4), st.integers(2, 4), st.integers(1, 2), st.data()
)
def test_drops_are_those_of_looking_for_each_n_gram_at_each_place(
    tmp_path: Path, texts: list[str], examples: list[str], length: int, shortest: int, data: st.DataObject
) -> None:
    texts = [f"{text} {data.draw(st.sampled_from(['', *examples]))}" for text in texts]
    share = data.draw(st.sampled_from([0.0, 0.5, 1.0]))
    path = write_lines(tmp_path / "bench.jsonl", [{"text": example} for example in examples])
    if not any(examples):
        return
    given_texts = Given(shards=(tuple(texts[:2]), tuple(texts[2:])))
    step = Decontaminate(
        documents=given_texts, against=(EvaluationSet.at(path, fields=("text",)),), length=length, shortest=shortest, share=share
    )
    store = open_store(str(tmp_path / "root"))
    run([step], store, InlineExecutor())
    expected = {}
    for place, text in enumerate(texts):
        found = shares(text, examples, length, shortest)
        if max(found) > 0 and max(found) >= share:
            expected[f"id-{place}"] = Found(f"bench#{found.index(max(found)) + 1}", max(found))
    assert ledger(open_artifact(store, step)) == expected


def test_the_bytes_do_not_depend_on_the_order_in_which_units_are_done(tmp_path: Path) -> None:
    step = Decontaminate(documents=Given(shards=(ONE_EACH, (QUESTION, POEM), (ENGLISH,))), against=(benchmark(tmp_path, [QUESTION, POEM]),))
    contents = []
    for name, executor in (("forth", InlineExecutor()), ("back", Backwards())):
        store = open_store(str(tmp_path / name))
        run([step], store, executor)
        artifact = open_artifact(store, step)
        contents.append((artifact.manifest.content, artifact.facts))
    assert contents[0] == contents[1]


def test_a_set_is_what_it_holds_and_not_where_it_lies(tmp_path: Path) -> None:
    plain = benchmark(tmp_path, [QUESTION])
    (tmp_path / "elsewhere").mkdir()
    moved = tmp_path / "elsewhere" / "bench.jsonl.gz"
    moved.write_bytes(gzip.compress(Path(plain.location).read_bytes()))
    given_texts = Given(shards=())
    packed = EvaluationSet.at(str(moved), fields=("text",))
    assert packed.examples() == plain.examples()
    addresses = [
        Decontaminate(documents=given_texts, against=(member,)).address for member in (plain, packed, EvaluationSet.at(plain.location))
    ]
    assert addresses[0] == addresses[1] != addresses[2]


def test_a_set_that_changed_after_the_run_was_asked_for_stops_it(build: Build, tmp_path: Path) -> None:
    step = Decontaminate(documents=Given(shards=(ONE_EACH,)), against=(benchmark(tmp_path, [QUESTION]),))
    benchmark(tmp_path, [POEM])
    with pytest.raises(RunError, match=r"bench.jsonl' has changed since the run was asked for: start the run again"):
        build(step)


def test_all_strings_but_labels_are_an_examples_text_unless_fields_are_named(tmp_path: Path) -> None:
    record = {"id": "q_17", "question": "Is it so?", "choices": {"text": ["Yes it is", "No"], "label": ["A", "B"]}, "gold": 1, "zh": "是"}
    path = write_lines(tmp_path / "mixed.jsonl", [record, {"gold": 2}])
    assert [example.text for example in EvaluationSet.at(path).examples()] == ["Is it so?\nYes it is\n是", ""]
    named = EvaluationSet.at(path, fields=("choices", "question"))
    assert [example.text for example in named.examples()] == ["Yes it is\nNo\nA\nB\nIs it so?", ""]


def test_blank_lines_are_no_examples_and_every_other_keeps_its_line(tmp_path: Path) -> None:
    path = tmp_path / "gaps.jsonl"
    path.write_text('\n{"text": "one two"}\r\n  \n\n{"text": "half \\ud800"}')
    assert EvaluationSet.at(str(path)).examples() == [(2, "one two"), (5, "half ?")]


@pytest.mark.parametrize(
    ("content", "fields", "complaint"),
    [
        (b"", None, "no example of .* has text: name the fields"),
        (b'{"answer": "B"}', None, "no example of .* has text: name the fields"),
        (b'{"text": "one two"}', ("question",), "no example of .* has text in question: name the fields"),
        (b'{"text": "one two"}\n{"text": ', None, "line 2 of the evaluation set .* is no JSON object: mend the file"),
        (b'["one two"]', None, "line 1 of the evaluation set .* is no JSON object: mend the file"),
        (b'{"text": "caf\xe9 one"}', None, "line 1 of the evaluation set .* is no JSON object: mend the file"),
        (b'{"a":' * 100_000, None, "line 1 of the evaluation set .* is no JSON object: mend the file"),
        (gzip.compress(b'{"text": "one two"}')[:-9], None, "cannot read the evaluation set .*; give a file of JSON Lines"),
    ],
)
def test_a_file_that_is_no_set_of_examples_is_refused(
    content: bytes, fields: tuple[str, ...] | None, complaint: str, tmp_path: Path
) -> None:
    path = tmp_path / "wrong.jsonl"
    path.write_bytes(content)
    with pytest.raises(RequestError, match=complaint):
        EvaluationSet.at(str(path), fields=fields)


def test_a_file_that_explodes_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.filters.evaluation_set.MOST_BYTES", 1 << 20)
    path = tmp_path / "bomb.jsonl.gz"
    path.write_bytes(gzip.compress(b" " * (1 << 21)))
    with pytest.raises(RequestError, match=r"holds more than 1048576 bytes: give a part of it"):
        EvaluationSet.at(str(path))


def test_wrong_requests_are_refused(tmp_path: Path) -> None:
    given_texts, member = Given(shards=()), benchmark(tmp_path, [QUESTION])
    wrong: list[tuple[dict[str, Any], str]] = [
        ({"against": ()}, r"against is \(\), not a tuple of evaluation sets: write"),
        ({"against": member}, r"against is EvaluationSet\(.*\), not a tuple of evaluation sets: write"),
        ({"against": (member, member)}, "two evaluation sets are named 'bench': give one of them another name"),
        ({"against": (member,), "shortest": 14}, "shortest is 14 and length 13: use words from 1 on"),
        ({"against": (member,), "shortest": 0}, "shortest is 0 and length 13: use words from 1 on"),
        ({"against": (member,), "share": 1.5}, "share is 1.5: use 0"),
    ]
    for options, complaint in wrong:
        with pytest.raises(RequestError, match=complaint):
            Decontaminate(documents=given_texts, **options)
    with pytest.raises(RequestError, match="is named 'a#b': give a name without #"):
        EvaluationSet.at(member.location, name="a#b")
    for fields in ((), "text"):
        with pytest.raises(RequestError, match=r"fields of bench is .*: use a tuple of names"):
            EvaluationSet.at(member.location, fields=fields)  # type: ignore[arg-type]
    with pytest.raises(RequestError, match=r"cannot read the evaluation set 'nowhere\.jsonl'"):
        EvaluationSet.at("nowhere.jsonl")


def test_a_document_that_repeats_one_n_gram_without_end_is_decided_in_linear_time(build: Build, tmp_path: Path) -> None:
    boilerplate = "all of these questions begin with the very same thirteen words as each other"
    examples = [f"{boilerplate} but end with {place}" for place in range(2_000)]
    artifact = build(Decontaminate(documents=Given(shards=((f"{boilerplate} " * 20_000,),)), against=(benchmark(tmp_path, examples),)))
    assert ledger(artifact) == {"id-0": Found("bench#1", 1 / 3)}
    assert artifact.facts["sets"]["bench"]["matched"] == 2_000


def test_real_benchmarks_are_found_in_real_prose_exactly_where_they_were_planted(build: Build, tmp_path: Path, shared_data: Path) -> None:
    paths = [shared_data / "evaluate" / name for name in ("lambada_openai.jsonl", "boolq.jsonl", "hellaswag-first5000.jsonl.gz")]
    against = tuple(EvaluationSet.at(str(path)) for path in paths)
    with gzip.open(shared_data / "text" / "english-mixed.jsonl.gz", "rt") as file:
        pages = [json.loads(line)["text"] for line, _ in zip(file, range(300), strict=False)]
    clean = build(Decontaminate(documents=Given(shards=(tuple(pages),)), against=against))
    pages = kept(clean)
    examples = [(member.name, example) for member in against for example in member.examples()[::100]]
    planted = [f"{pages[place % len(pages)]}\n{example.text.upper()}" for place, (_, example) in enumerate(examples)]
    artifact = build(Decontaminate(documents=Given(shards=(tuple(pages), tuple(planted))), against=against))
    assert kept(artifact) == pages
    assert {found.share for found in ledger(artifact).values()} == {1.0}
