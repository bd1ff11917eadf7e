"""A run ends where a stage drops more of a source than was allowed, and shows what it dropped."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import pytest

from pipeline.dedup.deduplicate import Deduplicate
from pipeline.dedup.paragraphs import DeduplicateParagraphs
from pipeline.dedup.substrings import DeduplicateSubstrings
from pipeline.documents import Document, Documents, Tally, total, write_documents, write_dropped
from pipeline.errors import BudgetExceeded, RequestError
from pipeline.filters.clean import Clean
from pipeline.filters.decontaminate import Decontaminate
from pipeline.filters.drop_budget import BEGINNING, LOOKED_AT, DropBudget
from pipeline.filters.evaluation_set import EvaluationSet
from pipeline.filters.length import WordCount
from pipeline.storage import Store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit, open_artifact

Build = Callable[[Step[Any]], Any]
LONG = "{} is what the committee agreed on after two hours of talk about the old library by the river, whose roof has leaked for years"


@dataclass(frozen=True, kw_only=True)
class Read(Step[Documents]):
    """Documents of sources, a shard each, from the recipe itself."""

    artifact: ClassVar[type[Documents]] = Documents
    sources: tuple[tuple[str, tuple[str, ...]], ...]

    def run(self, context: Context) -> Facts:
        return total(receipt.facts for receipt in context.map(self.write, self.sources))

    def write(self, unit: Unit, source: tuple[str, tuple[str, ...]]) -> Facts:
        name, texts = source
        tally = Tally()
        documents = [Document(f"{name}-{row}", text, name, f"{name}#{row}", "2026-11") for row, text in enumerate(texts)]
        for document in documents:
            tally.keep(document)
        write_documents(unit, documents)
        write_dropped(unit, [])
        return tally.facts()


def read(**sources: Sequence[str]) -> Read:
    return Read(sources=tuple((name, tuple(texts)) for name, texts in sources.items()))


def short(number: int, *more: str) -> list[str]:
    """Texts of which so many are too short for the filter below."""
    return [*(f"text {place}" for place in range(number)), *more]


def cleaned(documents: Step[Documents]) -> Clean:
    return Clean(documents=documents, filters=(WordCount(least=3),))


KEPT = LONG.format("This")


def test_as_much_as_the_budget_may_go_and_not_a_document_more(build: Build) -> None:
    stage = cleaned(read(one=short(1, KEPT), other=[KEPT]))
    (budget,) = DropBudget.of(stage, 0.5)
    assert build(budget).facts["lost"] == {"one": 0.5}
    (budget,) = DropBudget.of(stage, 0.49)
    with pytest.raises(BudgetExceeded, match=r"clean dropped 1 of 2 documents of one, and the drop budget is 0\.49: 1 word-count/too-few"):
        build(budget)


def test_the_error_names_the_worst_source_and_its_reasons_and_shows_examples(build: Build) -> None:
    stage = Clean(
        documents=read(good=[KEPT] * 9, bad=[*short(3), " ", "短诗一首。"], worse=[*short(4), " "]), filters=(WordCount(least=10),)
    )
    (budget,) = DropBudget.of(stage, 0.3)
    with pytest.raises(BudgetExceeded) as failed:
        build(budget)
    assert str(failed.value) == (
        "clean dropped 5 of 5 documents of bad (and too much of 1 more), and the drop budget is 0.3: "
        "4 word-count/too-few (as bad#0), 1 empty (as bad#3); change what drops them, or raise the budget"
    )
    assert failed.value.__notes__ == [
        *("word-count/too-few  bad#0", "  │ text 0", "word-count/too-few  bad#1", "  │ text 1"),
        *("empty  bad#3", "  │  "),
    ]


def test_texts_stand_in_no_file_of_the_root_but_those_of_documents(store: Store, tmp_path: Path) -> None:
    (budget,) = DropBudget.of(cleaned(read(one=["secret 1", "secret 2"])), 0.0)
    with pytest.raises(BudgetExceeded):
        run([budget], store, InlineExecutor())
    found = [place for place in tmp_path.rglob("*") if place.is_file() and place.suffix != ".arrow" and b"secret 1" in place.read_bytes()]
    assert [place.name for place in found] == ["manifest.json"]  # of Read, whose recipe it is
    assert budget.address not in {path.as_posix() for path in tmp_path.rglob("*")}


def test_steps_of_one_kind_have_one_budget_for_what_they_drop_of_a_source_together(build: Build) -> None:
    old, new = cleaned(read(one=[KEPT] * 9)), cleaned(read(one=short(1)))
    clean, unique = DropBudget.of(Deduplicate(documents=(old, new), similarity=None), 0.9)
    assert clean.stages == (old, new)
    assert build(clean).facts["lost"] == {"one": 0.1}
    assert build(unique).facts["lost"] == {"one": 8 / 9}


def test_what_is_kept_after_a_budget_was_raised_is_what_is_kept_without_one(store: Store) -> None:
    stage = cleaned(read(one=short(1, KEPT)))
    strict, wide = (DropBudget.of(stage, most)[0] for most in (0.1, 0.9))
    with pytest.raises(BudgetExceeded):
        run([strict, Deduplicate(documents=(stage,))], store, InlineExecutor())
    assert open_artifact(store, stage).facts["kept"] == 1
    assert run([wide, Deduplicate(documents=(stage,))], store, InlineExecutor()).skipped == (stage.documents.address, stage.address)


def test_only_so_many_documents_are_looked_at(build: Build) -> None:
    (budget,) = DropBudget.of(cleaned(read(one=short(LOOKED_AT + 1))), 0.5)
    with pytest.raises(BudgetExceeded, match=rf"is 0\.5: of the first {LOOKED_AT} of these, {LOOKED_AT} word-count/too-few \(as one#0\)"):
        build(budget)


def test_every_stage_that_drops_documents_shows_them(build: Build, tmp_path: Path) -> None:
    texts = [" ".join(f"{word}{place * place}" for place in range(90)) for word in ("one", "two", "three")]
    place = tmp_path / "set.jsonl"
    place.write_text("".join(json.dumps({"text": text}) + "\n" for text in texts))
    documents = read(one=texts, other=[*texts, "text"])
    stages: dict[str, Step[Documents]] = {
        "contaminated": Decontaminate(documents=documents, against=(EvaluationSet.at(str(place)),)),
        "exact-duplicate": Deduplicate(documents=(documents,), similarity=None),
        "repeated-paragraphs": DeduplicateParagraphs(documents=(documents,), unit="paragraph"),
        "repeated-substrings": DeduplicateSubstrings(documents=(documents,), length=60),
    }
    for reason, stage in stages.items():
        (budget,) = DropBudget.of(stage, 0.5)
        with pytest.raises(BudgetExceeded, match=rf"dropped 3 of \d documents of \w+.*: 3 {reason} \(as \w+#0\)") as failed:
            build(budget)
        assert failed.value.__notes__[1] == f"  │ {texts[0][:BEGINNING]}"


@pytest.mark.parametrize("most", [-0.1, 1.1, float("nan")])
def test_a_budget_is_a_share(most: float) -> None:
    with pytest.raises(RequestError, match=r"a drop budget is .*: give a share from 0 to 1"):
        DropBudget.of(cleaned(read(one=[KEPT])), most)
