"""The counts of all shards together, as the manifest of a look keeps them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from pipeline.documents import Documents
from pipeline.report.look.losses import Losses, add_losses
from pipeline.report.look.measures import Held
from pipeline.report.look.stages import read_by
from pipeline.workflow.step import Facts, Step


def sources_of(parts: Iterable[Mapping[str, Any]]) -> dict[str, Held]:
    """What is held of each source, in order of their names."""
    whole: dict[str, Held] = {}
    for part in parts:
        for source, found in part.items():
            whole.setdefault(source, Held()).add(found)
    return dict(sorted(whole.items()))


def totals(stages: Sequence[Step[Documents]], found: Sequence[tuple[Facts, list[Losses]]], sources: Mapping[str, Held]) -> dict[str, Any]:
    """`through`: what each stage read, kept and dropped of each source, with the tokens that the dropped would be; `held` by source.

    Steps of one kind at one depth of the graph are one stage, as in the funnel.
    """
    rate = Rate(sources)
    together: dict[tuple[int, str], list[tuple[Facts, list[Losses]]]] = {}
    for depth, stage, of_this in zip(_depths(stages), stages, found, strict=True):
        together.setdefault((depth, stage.name()), []).append(of_this)
    through = [
        {"stage": name, "sources": _stage(of_these, rate)} for (_, name), of_these in sorted(together.items(), key=lambda item: item[0][0])
    ]
    return {"through": through, "held": {source: held.to_json() for source, held in sources.items()}}


def _depths(stages: Sequence[Step[Documents]]) -> list[int]:
    depths: dict[str, int] = {}
    for stage in stages:
        depths[stage.address] = max((depths[needed.address] + 1 for needed in read_by(stage)), default=0)
    return [depths[stage.address] for stage in stages]


class Rate:
    """Bytes a token of each source, as its kept documents were tokenized; of all, for a source that kept nothing."""

    def __init__(self, sources: Mapping[str, Held]) -> None:
        self.sources = sources
        self.bytes = sum(held.bytes for held in sources.values())
        self.tokens = sum(held.tokens.total for held in sources.values())

    def tokens_in(self, source: str, size: int) -> int:
        """About how many tokens so many bytes of a source would be."""
        held = self.sources.get(source)
        tokens, whole = (held.tokens.total, held.bytes) if held and held.tokens.total else (self.tokens, self.bytes)
        return round(size * tokens / whole) if whole else 0


def _stage(found: Sequence[tuple[Facts, list[Losses]]], rate: Rate) -> dict[str, Any]:
    """A stage by source."""
    lost: Losses = {}
    sources: dict[str, dict[str, Any]] = {}
    for facts, losses in found:
        for source, counts in facts["sources"].items():
            mine = sources.setdefault(source, {"read": 0, "kept": 0, "dropped": {}})
            mine["read"] += counts["kept"] + counts["dropped"]
            mine["kept"] += counts["kept"]
        for part in losses:
            add_losses(lost, part)
    for source, reasons in lost.items():
        for reason, (count, size) in sorted(reasons.items()):
            sources[source]["dropped"][reason] = {"documents": count, "tokens": rate.tokens_in(source, size)}
    return dict(sorted(sources.items()))
