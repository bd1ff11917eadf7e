"""What is to be shown of a corpus, and in which shards its documents are to be found."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from pipeline.documents import Documents
from pipeline.report.look.ranks import first
from pipeline.report.look.stages import Passing
from pipeline.sources.forgotten import FORGOTTEN
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.step import Facts, Step


@dataclass(frozen=True, kw_only=True)
class Shown:
    """A dropped document that is to be shown. `text` is the stage whose shards hold it."""

    id: str
    text: int
    stage: str
    reason: str
    similarity: float | None = None


@dataclass(frozen=True, kw_only=True)
class Cluster:
    """A kept document, how many were dropped for it, and some of these. `text` is the stage whose shards hold it."""

    id: str
    text: int
    stage: str
    drops: int
    shown: tuple[Shown, ...]


@dataclass(frozen=True, kw_only=True)
class Repeated:
    """What a stage dropped, of all shards."""

    stage: int
    passings: tuple[Passing, ...]


@dataclass(frozen=True, kw_only=True)
class Fetching:
    """Documents of a shard of a stage."""

    stage: int
    shard: FileEntry
    ids: tuple[str, ...]


@dataclass
class Choice:
    """What has been chosen so far. Stages are numbered; the last one is the corpus."""

    stages: Sequence[Step[Documents]]
    drops: list[Shown] = field(default_factory=list)
    clusters: list[Cluster] = field(default_factory=list)
    tried: list[str] = field(default_factory=list)
    wanted: dict[tuple[int, FileEntry], set[str]] = field(default_factory=lambda: defaultdict(set))
    """Stage and shard → ids."""

    def choose_drops(self, through: Sequence[Passing], lost: Iterable[Facts], examples: int) -> None:
        """For each reason of each kind of stage, some of what was dropped. What is forgotten is never among it: no stage holds it."""
        places: dict[tuple[str, str], dict[tuple[Any, ...], Passing]] = defaultdict(dict)
        for passing, facts in zip(through, lost, strict=True):
            for reason, candidates in facts["candidates"].items():
                if reason != FORGOTTEN:
                    places[self.stages[passing.stage].name(), reason] |= dict.fromkeys(map(tuple, candidates), passing)
        for (stage, reason), found in places.items():
            for rank, key in first(found, examples):
                self.drops.append(Shown(id=key, text=self._want(found[rank, key], key), stage=stage, reason=reason))

    def choose_clusters(self, repeated: Iterable[Repeated], found: Iterable[Facts], most: int) -> None:
        """The largest clusters of all stages."""
        clusters = [(item, row) for item, facts in zip(repeated, found, strict=True) for row in facts["clusters"]]
        for item, row in sorted(clusters, key=lambda each: (-each[1]["drops"], each[1]["match"]))[:most]:
            stage = self.stages[item.stage].name()
            shown = [
                Shown(
                    id=each["id"],
                    text=self._want(item.passings[each["ledger"]], each["id"]),
                    stage=stage,
                    reason=each["reason"],
                    similarity=each["similarity"],
                )
                for each in row["shown"]
            ]
            self.clusters.append(Cluster(id=row["match"], text=item.stage, stage=stage, drops=row["drops"], shown=tuple(shown)))

    def want_originals(self, shards: Sequence[tuple[FileEntry, ...]]) -> None:
        """The kept documents of the clusters may be in any shard of their stage; `shards` has those of every stage."""
        for cluster in self.clusters:
            for shard in shards[cluster.text]:
                self.wanted[cluster.text, shard].add(cluster.id)

    def choose_tried(self, shards: Sequence[FileEntry], held: Sequence[Facts], most: int) -> None:
        """Documents of the corpus to try filters on."""
        candidates = [[(rank, key) for rank, key in facts["candidates"]] for facts in held]
        self.tried += [key for _, key in first((each for of_shard in candidates for each in of_shard), most)]
        for shard, of_shard in zip(shards, candidates, strict=True):
            self.wanted[len(self.stages) - 1, shard] |= {key for _, key in of_shard} & set(self.tried)

    def _want(self, passing: Passing, key: str) -> int:
        """Want a document that was dropped; returns the stage that holds it."""
        self.wanted[passing.before, passing.shard].add(key)
        return passing.before

    def fetchings(self) -> list[Fetching]:
        """All documents that are wanted, by shard."""
        return [Fetching(stage=stage, shard=shard, ids=tuple(sorted(ids))) for (stage, shard), ids in self.wanted.items() if ids]
