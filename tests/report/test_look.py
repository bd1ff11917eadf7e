"""A look counts every document of every source, shows what it found of each, and trusts no text."""

import json
import random
import resource
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from jobs.history.prospect import as_it_grows, as_it_was
from jobs.recipe import CorpusRecipe
from pipeline.documents import Document
from pipeline.filters.alphanumeric import Alphanumeric
from pipeline.filters.length import CharacterCount, WordCount
from pipeline.filters.repetition import Repetition
from pipeline.report.look.excerpts import BEGINNING, COMPARED
from pipeline.report.look.look import Look
from pipeline.report.look.margins import narrow
from pipeline.report.looked import Looked
from pipeline.report.page import looked_at, render_report
from pipeline.storage import Store, open_store
from pipeline.tokens.shards import TokenShards
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.report.test_report import HOSTILE, Words, shown

WORDS = (
    "the of and to in that was his he it with is for as had you not be her on at by which have or from this him but all she they "
    "were my are me one their so an said them we who would been will no when there if more out up into do any your what has man "
    "could other than our some very time upon about may its only now like little then can should made did us such great before "
    "must two these see know over much down after first good men river mountain house garden winter summer bread water"
)
CHARACTERS = "天地人山水日月风云花草树木春夏秋冬东南西北江河湖海城门路桥书画琴棋诗酒茶饭父母兄弟朋友老师学生早晚来去见闻思想知"


def made(signs: Sequence[str], between: str, seed: int) -> str:
    return between.join(random.Random(seed).choices(signs, k=80))


ENGLISH = [made(WORDS.split(), " ", place) for place in range(40)]
CHINESE = [made(CHARACTERS, "", place) for place in range(30)]
REPEATED = "the same line again\n" * 40
SHORT = "too short"
NEAR = f"indeed {ENGLISH[3]}"


def write(folder: Path, name: str, texts: list[str], *lines: str) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    records = [json.dumps({"text": text}) for text in texts]
    (folder / f"{name}.jsonl").write_text("".join(f"{line}\n" for line in [*records, *lines]))


def recipe(*folders: Path, **options: Any) -> CorpusRecipe:
    settings = {"filters": (WordCount(least=5), Repetition()), "vocab_size": 320, "validation": 0.1, "loss_budget": 1.0, **options}
    return CorpusRecipe(sources=tuple(map(str, folders)), **settings)


def look_at(corpus: CorpusRecipe, store: Store) -> Look:
    """Build a corpus and look at it."""
    look = Look.at(as_it_was(corpus, store).recipe.tokens)
    run([look], store, InlineExecutor())
    return look


def page_of(look: Look, store: Store) -> str:
    return render_report((look.tokens,), store, look)


@pytest.fixture(autouse=True)
def one_file_a_unit(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.sources.listing.MOST_UNIT_BYTES", 1)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    english, chinese = tmp_path / "english", tmp_path / "中文"
    write(english, "a", [*ENGLISH, REPEATED, SHORT, NEAR], "no JSON")
    write(english, "b", [ENGLISH[0], ENGLISH[1], SHORT])
    write(chinese, "a", [*CHINESE, CHINESE[2], "短"])
    return english, chinese


@pytest.fixture
def looked(folders: tuple[Path, Path], store: Store) -> Looked:
    return looked_at(look_at(recipe(*folders), store), store)


def source_name(looked: Looked, end: str) -> str:
    (name,) = (name for name in looked.sources if name.endswith(end))
    return name


def test_every_stage_accounts_for_every_document_of_every_source(looked: Looked) -> None:
    assert [stage["stage"] for stage in looked.through] == ["ingest", "clean", "deduplicate"]
    for stage in looked.through:
        for counts in stage["sources"].values():
            assert counts["read"] == counts["kept"] + sum(lost["documents"] for lost in counts["dropped"].values())
    for losses in looked.losses().values():
        assert losses.read == losses.kept + sum(lost["documents"] for lost in losses.reasons.values())


def test_losses_of_all_sources_are_those_that_the_stages_counted(folders: tuple[Path, Path], store: Store) -> None:
    look = look_at(recipe(*folders), store)
    counted = Counter[str]()
    for stage in look.stages:
        for reason, count in open_artifact(store, stage).facts["dropped"].items():
            counted[f"{stage.name()}/{reason}"] += count
    found = Counter[str]()
    for losses in looked_at(look, store).losses().values():
        found.update({reason: lost["documents"] for reason, lost in losses.reasons.items()})
    assert found == counted
    assert set(counted) >= {
        "ingest/malformed-json",
        "clean/word-count/too-few",
        "deduplicate/exact-duplicate",
        "deduplicate/near-duplicate",
    }


def test_losses_stand_with_their_source(looked: Looked) -> None:
    losses = looked.losses()
    english, chinese = (losses[source_name(looked, end)].reasons for end in ("english", "中文"))
    assert {reason: lost["documents"] for reason, lost in chinese.items()} == {
        "clean/word-count/too-few": 1,
        "deduplicate/exact-duplicate": 1,
    }
    assert english["deduplicate/exact-duplicate"]["documents"] == 2
    assert english["clean/repetition/duplicate-lines"]["documents"] == 1
    assert english["ingest/malformed-json"] == {"documents": 1, "tokens": 0}


def test_what_is_held_is_what_was_tokenized(folders: tuple[Path, Path], store: Store) -> None:
    look = look_at(recipe(*folders), store)
    looked, shards = looked_at(look, store), open_artifact(store, look.tokens)
    assert isinstance(shards, TokenShards)
    tokens = Counter[str]()
    for kind in ("train", "validation"):
        for batch in shards.batches(kind):
            for source, row in zip(batch["source"].to_pylist(), batch["tokens"].to_pylist(), strict=True):
                tokens[source] += len(row)
    assert {name: source.tokens.total for name, source in looked.sources.items()} == tokens
    assert looked.whole.bytes == sum(shards.facts["bytes"].values())
    chinese = looked.sources[source_name(looked, "中文")]
    assert (chinese.documents, chinese.characters.total) == (30, sum(map(len, CHINESE)))


def test_the_tokens_of_a_copy_are_estimated_at_the_rate_of_what_was_kept(looked: Looked) -> None:
    name = source_name(looked, "中文")
    rate = looked.sources[name].bytes / looked.sources[name].tokens.total
    assert looked.losses()[name].reasons["deduplicate/exact-duplicate"]["tokens"] == round(len(CHINESE[2].encode()) / rate)


def test_languages_are_told_by_source(looked: Looked) -> None:
    assert set(looked.sources[source_name(looked, "english")].languages) == {"en"}
    assert {name.partition("-")[0] for name in looked.sources[source_name(looked, "中文")].languages} == {"zh"}


def test_a_sample_is_bounded_whatever_the_number_of_documents(tmp_path: Path, store: Store) -> None:
    write(tmp_path / "data", "a", [f"river {number} runs to the sea number {number * number}" for number in range(3_000)])
    corpus = as_it_was(recipe(tmp_path / "data", similarity=None), store).recipe.tokens
    look = Look(tokens=corpus, stages=Look.at(corpus).stages, sample=200, tried=5)
    run([look], store, InlineExecutor())
    (source,) = looked_at(look, store).sources.values()
    assert source.documents == 3_000
    assert 50 < source.languages.total() < 250


def test_of_every_reason_some_documents_are_shown_as_they_were_before(looked: Looked) -> None:
    dropped = [row for row in looked.excerpts if row["role"] == "dropped"]
    assert {f"{row['stage']}/{row['reason']}" for row in dropped} == {
        reason for losses in looked.losses().values() for reason in losses.reasons if not reason.startswith("ingest/")
    }
    assert {row["text"] for row in dropped if row["reason"] == "repetition/duplicate-lines"} == {REPEATED[:BEGINNING]}
    assert {row["text"] for row in dropped if row["reason"] == "word-count/too-few"} == {SHORT, "短"}


def test_a_duplicate_stands_beside_what_it_repeats(looked: Looked) -> None:
    rows = [row for row in looked.excerpts if row["role"] in ("original", "duplicate")]
    pairs = {(original["text"], duplicate["text"]): duplicate["reason"] for original, duplicate in zip(rows[::2], rows[1::2], strict=True)}
    assert pairs[ENGLISH[3], NEAR] == "near-duplicate"
    assert pairs[CHINESE[2], CHINESE[2]] == "exact-duplicate"
    assert {cluster["kept"] for cluster in looked.clusters} == {row["id"] for row in rows if row["role"] == "original"}


def test_the_largest_cluster_comes_first_and_its_least_similar_documents_are_shown(tmp_path: Path, store: Store) -> None:
    words = [f"word{place}" for place in range(60)]
    edits = [" ".join([*words[:-count], *(f"edit{count}x{place}" for place in range(count))]) for count in range(1, 6)]
    write(tmp_path / "data", "a", [ENGLISH[0], ENGLISH[0], " ".join(words), *edits])
    looked = looked_at(look_at(recipe(tmp_path / "data"), store), store)
    first, second = looked.clusters
    assert (first["drops"], second["drops"]) == (5, 1)
    similarities = [each["similarity"] for each in first["shown"]]
    assert similarities == sorted(similarities)
    assert similarities[0] == min(_similarities(looked, store))
    assert len(similarities) == 3


def _similarities(looked: Looked, store: Store) -> list[float]:
    unique = open_artifact(store, looked.made.step.inputs["stages[2]"])
    return [similarity for similarity in unique.dropped()["similarity"].to_pylist() if similarity < 1]


def test_the_page_and_the_numbers_say_the_same(folders: tuple[Path, Path], store: Store) -> None:
    look = look_at(recipe(*folders), store)
    words, numbers = shown(page_of(look, store)), looked_at(look, store).numbers()
    for stage in numbers["through"]:
        for counts in stage["sources"].values():
            for reason, lost in counts["dropped"].items():
                assert f" {stage['stage']}/{reason} − {lost['documents']} " in words
    for source in numbers["sources"].values():
        for part in ("5%", "50%", "95%", "longest"):
            assert f" {source['characters'][part]} " in words
    assert "2 dropped" not in words
    assert "1 dropped for " in words


def test_a_page_without_a_look_is_as_before(folders: tuple[Path, Path], store: Store) -> None:
    look = look_at(recipe(*folders), store)
    for section in ("lost", "held", "duplicates", "documents"):
        assert f'id="{section}"' in page_of(look, store)
        assert f'id="{section}"' not in render_report((look.tokens,), store)


def test_a_page_of_a_look_that_was_not_taken_says_nothing_of_it(folders: tuple[Path, Path], store: Store) -> None:
    look = Look.at(as_it_was(recipe(*folders), store).recipe.tokens)
    assert 'id="lost"' not in page_of(look, store)


def hostile_folder(tmp_path: Path) -> Path:
    """Documents that try to be markup: kept, dropped, repeated, and kept narrowly."""
    folder = tmp_path / "data" / "<script>window.owned = 1<"
    attacks = [f"{text} {' '.join(f'{place}word{number}' for number in range(60))}" for place, text in enumerate(HOSTILE)]
    write(folder, "a", [*attacks, *(text.replace("word7", "other") for text in attacks), *HOSTILE])
    return folder


def test_documents_that_try_to_be_markup_are_only_text(tmp_path: Path, store: Store) -> None:
    corpus = recipe(hostile_folder(tmp_path), filters=(WordCount(least=29),))
    page = Words(page_of(look_at(corpus, store), store))
    for text in HOSTILE:
        assert page.words.count(text) >= 2, "as kept, and as what repeats it"
    tags = [tag for tag, _ in page.elements]
    assert tags.count("script") == 1
    assert "img" not in tags
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))


def test_very_long_documents_are_shown_in_part(tmp_path: Path, store: Store) -> None:
    long = " ".join(f"word{place}" for place in range(900_000))
    write(tmp_path / "data", "a", [long, long.replace("word899 ", "other "), *ENGLISH, "x" * 8_000_000])
    look = look_at(recipe(tmp_path / "data", filters=(WordCount(least=5, most=None),)), store)
    rows = looked_at(look, store).excerpts
    assert max(len(row["text"]) for row in rows) <= COMPARED
    assert len(page_of(look, store)) < 500_000
    (duplicate,) = (row for row in rows if row["role"] == "duplicate")
    assert "other" in duplicate["text"]


def test_a_corpus_that_keeps_one_document_can_be_looked_at(tmp_path: Path, store: Store) -> None:
    write(tmp_path / "data", "a", [ENGLISH[0], SHORT])
    look = look_at(recipe(tmp_path / "data", validation=0.0), store)
    assert looked_at(look, store).whole.documents == 1
    assert shown(page_of(look, store)).count("1 of 2")


def test_a_corpus_that_grew_is_looked_at_as_one_from_scratch(tmp_path: Path, store: Store) -> None:
    folder, scratch = tmp_path / "data", open_store(str(tmp_path / "scratch"))
    write(folder, "a", ENGLISH[:20])
    prospect = as_it_grows(recipe(folder), store)
    run([Look.at(prospect.recipe.tokens)], store, InlineExecutor())
    prospect.record(store, "refresh")
    write(folder, "b", [*ENGLISH[10:], SHORT])
    grown = Look.at(as_it_grows(recipe(folder), store).recipe.tokens)
    run([grown], store, InlineExecutor())
    run([prospect.recipe.tokenizer_step, grown], scratch, InlineExecutor())  # the tokenizer stays that of the first state
    assert looked_at(grown, store).numbers() == looked_at(grown, scratch).numbers()
    assert looked_at(grown, store).excerpts == looked_at(grown, scratch).excerpts


def documents(*texts: str) -> Iterator[Document]:
    return (Document(str(place), text, "here", f"here#{place}", "") for place, text in enumerate(texts))


@pytest.mark.parametrize(
    ("text", "change"),
    [("a b c d e f g h i j k", "least 10 → 12"), ("w " * 95, "most 100 → 75"), ("a " * 20, None), ("a b c", None), ("w " * 200, None)],
)
def test_what_is_kept_narrowly_is_told_with_the_number_that_would_have_dropped_it(text: str, change: str | None) -> None:
    found = narrow(WordCount(least=10, most=100), documents(text), 3)
    assert [each.change for each in found] == ([change] if change else [])


@pytest.mark.parametrize("member", [Repetition(), Alphanumeric(), WordCount(least=1, most=None), CharacterCount(least=0)])
def test_filters_are_tried_whatever_their_numbers(member: Any) -> None:
    for each in narrow(member, documents(*ENGLISH, *CHINESE, REPEATED, ""), 100):
        assert member.verdict(each.document) is None


def test_very_many_losses_are_counted_in_bounded_memory() -> None:
    import pyarrow as pa

    from pipeline.documents import DROPPED_SCHEMA, SCHEMA
    from pipeline.report.look.losses import largest_clusters, losses

    count = 300_000
    ids = pa.array([f"{place:032x}" for place in range(count)])
    ledger = pa.table(
        {
            "id": ids,
            "origin": ids,
            "reason": ["a", "b", "b"] * (count // 3),
            "match": ids.slice(0, 3).take(pa.array([0, 1, 1] * (count // 3))),
            "similarity": [1.0] * count,
        },
        schema=DROPPED_SCHEMA,
    )
    batch = pa.record_batch([ids, pa.array(["text"] * count, pa.large_string()), pa.array(["s"] * count), ids, ids, ids], schema=SCHEMA)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    found = losses([batch], ledger, 3)
    assert found["lost"] == {"s": {"a": [count // 3, 4 * count // 3], "b": [2 * count // 3, 8 * count // 3]}}
    assert [len(candidates) for candidates in found["candidates"].values()] == [3, 3]
    assert largest_clusters([ledger], 1) == [(f"{1:032x}", 2 * count // 3)]
    assert resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before < 1 << 20
