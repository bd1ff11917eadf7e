"""Small corpora as steps, and the rule of deduplication in plain Python, to compare the fast one with."""

import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import ClassVar

from pipeline.dedup.deduplicate import Deduplicate
from pipeline.dedup.letters import UNSPACED
from pipeline.documents import Document, Documents, Tally, total, write_documents, write_dropped
from pipeline.storage import open_store
from pipeline.workflow.executor import Executor, InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit, open_artifact


@dataclass(frozen=True, kw_only=True)
class Given(Step[Documents]):
    """Documents from the recipe itself: a shard a tuple of texts."""

    artifact: ClassVar[type[Documents]] = Documents

    shards: tuple[tuple[str, ...], ...]
    name_prefix: str = "d"

    def run(self, context: Context) -> Facts:
        firsts = [sum(map(len, self.shards[:place])) for place in range(len(self.shards))]
        return total(receipt.facts for receipt in context.map(self.write, list(zip(firsts, self.shards, strict=True))))

    def write(self, unit: Unit, shard: tuple[int, tuple[str, ...]]) -> Facts:
        first, texts = shard
        tally = Tally()
        documents = [
            Document(f"{self.name_prefix}{first + row}", text, "given", f"given#{first + row}", "") for row, text in enumerate(texts)
        ]
        for document in documents:
            tally.keep(document)
        write_documents(unit, documents)
        write_dropped(unit, [])
        return tally.facts()


@dataclass(frozen=True)
class Drop:
    """A drop by the numbers of the documents."""

    match: int
    similarity: float
    reason: str


@dataclass(frozen=True)
class Result:
    """What a deduplication of numbered documents did, and the digest of its bytes."""

    kept: list[int]
    drops: dict[int, Drop]
    facts: Facts
    content: str


def deduplicated(shards: Sequence[Sequence[str]], executor: Executor | None = None, **options: object) -> Result:
    """Deduplicate documents that are numbered from 0 on, a shard a sequence."""
    return result_of(Deduplicate(documents=(Given(shards=tuple(map(tuple, shards))),), **options), executor)  # type: ignore[arg-type]


def result_of(step: Deduplicate, executor: Executor | None = None) -> Result:
    """Build a deduplication of `Given` documents in a root of its own."""
    with TemporaryDirectory() as folder:
        store = open_store(str(Path(folder, "root")))
        run([step], store, executor or InlineExecutor())
        artifact = open_artifact(store, step)
        kept = [int(document.id[1:]) for shard in artifact.shards for document in artifact.read(shard)]
        rows = artifact.dropped().to_pylist()
        drops = {int(row["id"][1:]): Drop(int(row["match"][1:]), row["similarity"], row["reason"]) for row in rows}
        return Result(kept, drops, artifact.facts, artifact.manifest.content)


def words(text: str, characters: bool = False) -> list[str]:
    """The words of a text (or its letters with their marks); its visible characters where it has none."""
    return _runs(text, characters, symbols=False) or _runs(text, characters, symbols=True)


def _runs(text: str, characters: bool, symbols: bool) -> list[str]:
    found: list[str] = []
    open_word = single = False
    for character in text:
        category, code = unicodedata.category(character)[0], ord(character)
        mark = category == "M" and code < 0x40000
        symbol = symbols and category in "PS"
        if not (mark or symbol or character.isalnum() or character == "_"):
            open_word = False
            continue
        unspaced = code >= 0x20000 or any(first <= code <= last for first, last in UNSPACED)
        alone = not mark and (characters or unspaced or (symbol and character != "_"))
        if open_word and (mark or not (alone or single)):
            found[-1] += character.lower()[0]
        else:
            found.append(character.lower()[0])
            open_word, single = True, alone or characters
    return found


def shingle_list(text: str, width: int = 5, characters: bool = False) -> list[tuple[str, ...]]:
    """Every run of `width` words; all words where there are fewer."""
    found = words(text, characters)
    return [tuple(found[place : place + width]) for place in range(max(1, len(found) - width + 1))] if found else []


def jaccard(one: str, other: str, width: int = 5) -> float:
    """The true similarity of two texts; 0 where one has nothing to be seen."""
    left, right = set(shingle_list(one, width)), set(shingle_list(other, width))
    return len(left & right) / len(left | right) if left and right else 0.0


def by_the_rule(texts: Sequence[str], threshold: float, width: int = 5) -> dict[int, Drop]:
    """The drops as the rule says: by the earliest earlier kept document that is equal or like enough."""
    drops: dict[int, Drop] = {}
    for later, text in enumerate(texts):
        for earlier in range(later):
            if earlier in drops:
                continue
            if text.split() == texts[earlier].split():
                drops[later] = Drop(earlier, 1.0, "exact-duplicate")
            elif (similarity := jaccard(text, texts[earlier], width)) >= threshold:
                drops[later] = Drop(earlier, similarity, "near-duplicate")
            if later in drops:
                break
    return drops
