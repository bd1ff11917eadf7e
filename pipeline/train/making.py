"""How a model was made, as its manifests tell it: what was read, what was dropped and why, what was trained, and how it scores."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from pipeline.workflow.artifact import Manifest

PLACES = ("dataset", "location")


@dataclass(frozen=True)
class Making:
    """The manifests of a checkpoint, of what it was made from, and of its evaluations."""

    checkpoint: Manifest
    lineage: Sequence[Manifest]
    """What it was made from, inputs first."""
    missing: Sequence[str]
    """Addresses of what is no longer there."""
    evaluations: Sequence[Manifest]

    @property
    def sources(self) -> Iterator[Mapping[str, str]]:
        """Where text was read: its kind, place and state."""
        for manifest in self.lineage:
            source = manifest.recipe.get("source")
            if isinstance(source, Mapping):
                place = next((str(source[name]) for name in PLACES if name in source), "")
                kept = manifest.facts.get("kept", 0)
                yield {
                    "kind": str(source.get("class")),
                    "place": place,
                    "snapshot": str(source.get("snapshot", "")),
                    "documents": f"{kept:,}",
                }

    @property
    def data_sets(self) -> list[str]:
        """The names of those sources that are data sets of the Hub."""
        return sorted({source["place"] for source in self.sources if source["kind"] == "HuggingFace"})

    @property
    def stages(self) -> list[Manifest]:
        """The steps that read, kept and dropped documents."""
        return [manifest for manifest in self.lineage if {"read", "kept", "dropped"} <= manifest.facts.keys()]

    @property
    def trainings(self) -> list[Manifest]:
        """The steps that trained weights, the checkpoint's own last."""
        return [manifest for manifest in (*self.lineage, self.checkpoint) if isinstance(manifest.facts.get("loss"), Mapping)]

    @property
    def languages(self) -> list[str]:
        """The languages that a filter kept, where one did."""
        kept: set[str] = set()
        for manifest in self.lineage:
            for part in manifest.recipe.get("filters", ()):
                if part.get("class") == "Language":
                    kept |= {code.partition("-")[0] for code in part.get("keep", ())}
        return sorted(kept)

    @property
    def scores(self) -> list[tuple[str, str, Mapping[str, float]]]:
        """The (task, address of what it was asked about, metrics) of every evaluation, those that fine-tuning ended with first."""
        own = [
            (f"{(self.checkpoint.recipe.get('task') or {}).get('class', self.checkpoint.step)}, {part}", self.checkpoint.address, scores)
            for part in ("validation", "test")
            if isinstance(scores := self.checkpoint.facts.get(part), Mapping)
        ]
        return own + [
            (task, manifest.inputs.get("tokens", {}).get("address", manifest.address), metrics)
            for manifest in self.evaluations
            for task, metrics in manifest.facts.get("scores", {}).items()
        ]

    @property
    def device_hours(self) -> float:
        """The time of all trainings, times their workers."""
        return sum(float(made.provenance.get("seconds", 0)) * int(made.facts.get("workers", 1)) for made in self.trainings) / 3600
