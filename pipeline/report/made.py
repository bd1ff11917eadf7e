"""What a report is made from: the steps of a graph with their manifests, and the metrics that training left."""

import json
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from pipeline.storage import Store
from pipeline.workflow.artifact import Artifact, Manifest, read_manifest
from pipeline.workflow.step import Step, topological


@dataclass(frozen=True)
class Made:
    """A step of the graph; its manifest is None where it was not built."""

    step: Step[Any]
    store: Store
    manifest: Manifest | None

    @property
    def name(self) -> str:
        return self.address.split("/")[0]

    @property
    def address(self) -> str:
        return self.step.address

    @property
    def facts(self) -> Mapping[str, Any]:
        return self.manifest.facts if self.manifest else {}

    @property
    def recipe(self) -> Mapping[str, Any]:
        return self.manifest.recipe if self.manifest else self.step.recipe

    @property
    def provenance(self) -> Mapping[str, Any]:
        return self.manifest.provenance if self.manifest else {}

    @property
    def seconds(self) -> float:
        return float(self.provenance.get("seconds", 0.0))

    @property
    def bytes(self) -> int:
        return sum(entry.bytes for entry in self.manifest.files) if self.manifest else 0

    @cached_property
    def metrics(self) -> list[dict[str, Any]]:
        """The rows that training wrote, in order of steps."""
        if self.manifest is None:
            return []
        artifact = Artifact(self.store, self.manifest)
        lines = [line for entry in artifact.files("metrics") for line in artifact.local(entry).read_bytes().splitlines() if line.strip()]
        return [row for row in map(json.loads, lines) if isinstance(row.get("step"), int)]


@dataclass(frozen=True)
class Stage:
    """Steps of one kind that read, kept and dropped documents at the same depth of the graph, taken together."""

    name: str
    steps: int
    read: int
    kept: int
    dropped: Mapping[str, int]


@dataclass(frozen=True)
class Story:
    """The steps of a graph, inputs first, sorted out by what their facts hold."""

    made: Sequence[Made]

    @property
    def stages(self) -> list[Made]:
        """The steps that read, kept and dropped documents."""
        return [made for made in self.made if {"read", "kept", "dropped"} <= made.facts.keys()]

    @property
    def tokenized(self) -> list[Made]:
        return [made for made in self.made if isinstance(made.facts.get("tokens"), Mapping)]

    @property
    def trained(self) -> list[Made]:
        return [made for made in self.made if isinstance(made.facts.get("loss"), Mapping)]

    @property
    def tuned(self) -> list["Made"]:
        """The steps that trained a checkpoint onto a task."""
        return [made for made in self.trained if "task" in made.recipe]

    @property
    def scores(self) -> dict[str, Mapping[str, Any]]:
        """Task → metrics, over all evaluations; of a fine-tuned model, a row a set of examples."""
        evaluated = {task: metrics for made in self.made for task, metrics in made.facts.get("scores", {}).items()}
        of_sets = [(made, name) for made in self.tuned for name in ("validation", "test") if isinstance(made.facts.get(name), Mapping)]
        return evaluated | {f"{task_of(made)}, {name}": made.facts[name] for made, name in of_sets}

    @property
    def samples(self) -> list[Mapping[str, Any]]:
        return [sample for made in self.made for sample in made.facts.get("samples", ())]

    @property
    def seconds(self) -> float:
        return sum(made.seconds for made in self.made)

    @property
    def funnel(self) -> list[Stage]:
        """The stages by depth and kind, so that many sources still read as one way down."""
        depth: dict[str, int] = {}
        together: dict[tuple[int, str], list[Made]] = {}
        for made in self.stages:
            above = [depth[needed.address] + 1 for needed in made.step.inputs.values() if needed.address in depth]
            depth[made.address] = max(above, default=0)
            together.setdefault((depth[made.address], made.name), []).append(made)
        return [_stage(name, made) for (_, name), made in sorted(together.items(), key=lambda item: item[0][0])]

    @property
    def entering(self) -> list[Made]:
        """The stages at which documents come in: those that read no other stage."""
        stages = {made.address for made in self.stages}
        return [made for made in self.stages if not any(needed.address in stages for needed in made.step.inputs.values())]

    @property
    def leaving(self) -> list[Made]:
        """The stages whose documents no other stage reads."""
        return _unread(self.stages)

    @property
    def texts(self) -> list[Made]:
        """The last stages whose documents are text still, and no tokens."""
        return _unread([made for made in self.stages if made not in self.tokenized])


def task_of(made: Made) -> str:
    """What a checkpoint was trained onto, in words: "Sequence classification"."""
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", str(made.recipe["task"]["class"])).capitalize()


def _unread(stages: Sequence[Made]) -> list[Made]:
    """The stages that no other of them reads."""
    read = {needed.address for made in stages for needed in made.step.inputs.values()}
    return [made for made in stages if made.address not in read]


def story_of(targets: Sequence[Step[Any]], store: Store) -> Story:
    """The steps that the targets need, with what their manifests say."""
    return Story([Made(step, store, read_manifest(store, step.address)) for step in topological(targets)])


def _stage(name: str, steps: Sequence[Made]) -> Stage:
    dropped: Counter[str] = Counter()
    for made in steps:
        dropped.update(made.facts["dropped"])
    read, kept = (sum(made.facts[count] for made in steps) for count in ("read", "kept"))
    return Stage(name, len(steps), read, kept, dropped)
