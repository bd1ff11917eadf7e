"""What a shard of the corpus holds, by source: lengths in characters and in tokens, bytes, and languages of a sample."""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.compute as pc

from pipeline.report.look.lengths import Lengths
from pipeline.report.look.ranks import Ranked, first, ranked

if TYPE_CHECKING:
    from pipeline.filters.language import Guess

HASH_BITS = 64
CERTAIN = 0.5
UNCERTAIN = "uncertain"


@dataclass
class Held:
    """What is held of one source."""

    bytes: int = 0
    characters: Lengths = field(default_factory=Lengths)
    tokens: Lengths = field(default_factory=Lengths)
    languages: Counter[str] = field(default_factory=Counter)
    """Documents of the sample by language."""

    def to_json(self) -> dict[str, Any]:
        return {
            "bytes": self.bytes,
            "characters": self.characters.to_json(),
            "tokens": self.tokens.to_json(),
            "languages": dict(sorted(self.languages.items())),
        }

    def add(self, found: Mapping[str, Any]) -> None:
        """Add what `to_json` tells of another part."""
        self.bytes += found["bytes"]
        self.characters.merge(Lengths.from_json(found["characters"]))
        self.tokens.merge(Lengths.from_json(found["tokens"]))
        self.languages.update(found["languages"])


def measured(batches: Iterable[pa.RecordBatch], shifts: Mapping[str, int], candidates: int) -> dict[str, Any]:
    """`held` by source of a shard of documents, and `candidates`: documents to try filters on, as hashes and ids.

    Languages are those of the documents whose hash begins with as many zero bits as `shifts` says of their source.
    """
    held: dict[str, Held] = {}
    chosen: list[Ranked] = []
    for batch in batches:
        for source, rows in by_source(batch):
            mine = held.setdefault(source, Held())
            mine.bytes += pc.sum(pc.binary_length(rows["text"])).as_py()
            mine.characters.add(pc.utf8_length(rows["text"]).to_numpy())
            found = ranked(rows["id"].to_pylist())
            mine.languages.update(_languages(rows, found, HASH_BITS - shifts.get(source, 0)))
            chosen = first([*chosen, *found], candidates)
    return {"held": {source: mine.to_json() for source, mine in held.items()}, "candidates": chosen}


def _languages(rows: pa.RecordBatch, found: list[Ranked], bits: int) -> Iterator[str]:
    from pipeline.filters.language import identify

    for row, (rank, _) in enumerate(found):
        if rank >> bits == 0:
            yield language_name(identify(rows["text"][row].as_py()))


def language_name(guess: "Guess") -> str:
    """The code of a language, with the script of Chinese where it is known."""
    if guess.probability < CERTAIN:
        return UNCERTAIN
    return f"{guess.language}-{guess.script}" if guess.script else guess.language


def token_lengths(shard: Path) -> dict[str, Any]:
    """`held` by source of a token shard: nothing but the tokens."""
    held: dict[str, Held] = {}
    with pa.memory_map(str(shard)) as source, pa.ipc.open_file(source) as reader:
        for place in range(reader.num_record_batches):
            for name, rows in by_source(reader.get_batch(place)):
                held.setdefault(name, Held()).tokens.add(pc.list_value_length(rows["tokens"]).to_numpy())
    return {"held": {source: mine.to_json() for source, mine in held.items()}}


def by_source(batch: pa.RecordBatch) -> Iterator[tuple[str, pa.RecordBatch]]:
    """The rows of each source."""
    sources = pc.unique(batch["source"]).to_pylist()
    for source in sources:
        yield source, batch if len(sources) == 1 else batch.filter(pc.equal(batch["source"], source))
