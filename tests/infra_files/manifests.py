"""A reader of the manifests for Kubernetes: what each runs, and on which pods, whatever kind it is."""

import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parents[2] / "infra/kubernetes"


@dataclass(frozen=True)
class Manifest:
    """One manifest: a RayJob, a RayCronJob or a CronJob."""

    path: Path

    @cached_property
    def tree(self) -> dict[str, Any]:
        loaded: dict[str, Any] = yaml.safe_load(self.path.read_text())
        return loaded

    @property
    def kind(self) -> str:
        return str(self.tree["kind"])

    @property
    def spec(self) -> dict[str, Any]:
        spec: dict[str, Any] = self.tree["spec"]
        return spec

    @property
    def job(self) -> dict[str, Any]:
        """The spec of the job, which a schedule wraps in a template."""
        job: dict[str, Any] = self.spec if self.kind == "RayJob" else self.spec["jobTemplate"]
        return job["spec"] if self.kind == "CronJob" else job

    @property
    def cluster(self) -> dict[str, Any] | None:
        """The Ray cluster that the job brings about; None where it runs in a pod."""
        return self.job.get("rayClusterSpec")

    @property
    def command(self) -> list[str]:
        """The words of the command that the job is for."""
        if "entrypoint" in self.job:
            return shlex.split(self.job["entrypoint"])
        (container,) = self.job["template"]["spec"]["containers"]
        return list(container["command"])

    def option(self, name: str) -> str | None:
        """The value of one of the command's options."""
        return self.command[self.command.index(name) + 1] if name in self.command else None

    @property
    def groups(self) -> dict[str, dict[str, Any]]:
        """Every pod template that the job brings about, by the role of its pods."""
        if self.cluster is None:
            return {"pod": self.job["template"]}
        workers = {group["groupName"]: group["template"] for group in self.cluster["workerGroupSpecs"]}
        return {"head": self.cluster["headGroupSpec"]["template"], "submitter": self.job["submitterPodTemplate"], **workers}

    @property
    def pods(self) -> Iterator[dict[str, Any]]:
        for template in self.groups.values():
            yield template["spec"]

    @property
    def containers(self) -> Iterator[dict[str, Any]]:
        for pod in self.pods:
            yield from pod["containers"]


MANIFESTS = [Manifest(path) for path in sorted(FOLDER.glob("*.yaml"))]
WITH_A_CLUSTER = [manifest for manifest in MANIFESTS if manifest.cluster is not None]
ON_A_SCHEDULE = [manifest for manifest in MANIFESTS if "schedule" in manifest.spec]
