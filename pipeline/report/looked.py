"""What a look at a corpus found, as the page and the terminal tell it."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from pipeline.report.look.lengths import Lengths
from pipeline.report.made import Made
from pipeline.workflow.artifact import Artifact


@dataclass(frozen=True)
class Source:
    """What is held of one source, or of all."""

    bytes: int
    characters: Lengths
    tokens: Lengths
    languages: Counter[str]

    @property
    def documents(self) -> int:
        return self.characters.count

    @property
    def bytes_a_token(self) -> float | None:
        return self.bytes / self.tokens.total if self.tokens.total else None


@dataclass(frozen=True)
class Looked:
    """A look that was taken."""

    made: Made

    @property
    def through(self) -> Sequence[Mapping[str, Any]]:
        """The stages, inputs first: what each read, kept and dropped of each source."""
        stages: Sequence[Mapping[str, Any]] = self._findings.get("through", ())
        return stages

    @property
    def clusters(self) -> Sequence[Mapping[str, Any]]:
        clusters: Sequence[Mapping[str, Any]] = self._findings.get("clusters", ())
        return clusters

    @cached_property
    def sources(self) -> dict[str, Source]:
        """The sources, those that gave most first."""
        found = {name: _source(held) for name, held in self._findings.get("held", {}).items()}
        return dict(sorted(found.items(), key=lambda item: (-item[1].bytes, item[0])))

    @cached_property
    def whole(self) -> Source:
        """All sources together, but for languages: of each source as many are told."""
        whole = Source(sum(each.bytes for each in self.sources.values()), Lengths(), Lengths(), Counter())
        for each in self.sources.values():
            whole.characters.merge(each.characters)
            whole.tokens.merge(each.tokens)
        return whole

    @cached_property
    def _findings(self) -> Mapping[str, Any]:
        return {name: found for place in self._places("findings") for name, found in json.loads(place.read_bytes()).items()}

    @cached_property
    def excerpts(self) -> list[dict[str, Any]]:
        """The rows of excerpts that are to be shown."""
        import pyarrow as pa

        return [row for place in self._places("documents") for row in pa.ipc.open_file(pa.memory_map(str(place))).read_all().to_pylist()]

    def _places(self, kind: str) -> list[Path]:
        """The files of one kind; none where no look was taken."""
        if self.made.manifest is None:
            return []
        artifact = Artifact(self.made.store, self.made.manifest)
        return [artifact.local(entry) for entry in artifact.files(kind)]

    def losses(self) -> dict[str, "Losses"]:
        """By source, what was read of it at first, what is left, and what was lost between; those that lost most first."""
        found: dict[str, Losses] = {}
        for stage in self.through:
            for name, counts in stage["sources"].items():
                mine = found.setdefault(name, Losses(counts["read"], counts["kept"], {}))
                lost = {
                    f"{stage['stage']}/{reason}": _sum(lost, mine.reasons.get(f"{stage['stage']}/{reason}"))
                    for reason, lost in counts["dropped"].items()
                }
                found[name] = Losses(mine.read, counts["kept"], {**mine.reasons, **lost})
        return dict(sorted(found.items(), key=lambda item: (item[1].kept - item[1].read, item[0])))

    def numbers(self) -> dict[str, Any]:
        """All that was counted, as JSON: no text."""
        return {
            "documents": self.whole.documents,
            "tokens": self.whole.tokens.total,
            "through": list(self.through),
            "sources": {name: _numbers(each) for name, each in self.sources.items()},
            "clusters": list(self.clusters),
        }


@dataclass(frozen=True)
class Losses:
    """What became of a source. `reasons`: STAGE/REASON → documents, and tokens that they would be."""

    read: int
    kept: int
    reasons: Mapping[str, Mapping[str, int]]


def _sum(lost: Mapping[str, int], before: Mapping[str, int] | None) -> Mapping[str, int]:
    return {name: number + before[name] for name, number in lost.items()} if before else lost


def _source(held: Mapping[str, Any]) -> Source:
    return Source(held["bytes"], Lengths.from_json(held["characters"]), Lengths.from_json(held["tokens"]), Counter(held["languages"]))


def _numbers(source: Source) -> dict[str, Any]:
    return {
        "documents": source.documents,
        "bytes": source.bytes,
        "tokens": source.tokens.total,
        "bytes_per_token": source.bytes_a_token,
        "characters": source.characters.summary(),
        "token_lengths": source.tokens.summary(),
        "languages": dict(source.languages.most_common()),
    }
