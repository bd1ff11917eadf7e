"""Lineage in Weights & Biases: a run a built step, typed artifacts, and inputs that lead from a model back to every source.

It listens, in a thread of its own: a W&B that is dead, slow or not installed is told of in the log and stops nothing.
What is sent is a step's manifest without its provenance: recipe, counts, files and their checksums; never the files
themselves, no arguments, no environment, no code. Secrets in locations and of the environment are blotted out.

Where W&B cannot be reached, and where there is no key, runs are kept in a local folder, from which
`wandb sync` sends them later. An input is declared there as a draft artifact with the same content as
the one that the input's own run logged, which the server then knows to be the same version: the way by name needs the server.
"""

import json
import logging
import netrc
import os
import queue
import re
import tempfile
import threading
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infra.secrets import Blotter
from pipeline.storage import cache_folder
from pipeline.workflow.artifact import Manifest
from pipeline.workflow.events import Built, Event, Failed, Reported, Skipped, Started

log = logging.getLogger(__name__)
START_SECONDS = 10.0
FINISH_SECONDS = 20.0
QUEUED_EVENTS = 10_000
KINDS = {"Documents": "corpus", "TokenizerFiles": "tokenizer", "TokenShards": "tokens", "Checkpoint": "model"}
"""The artifact's type by its class; what is none of these is an evaluation."""
DESCRIBED = "manifest.json"


class WandbLineage:
    """A listener. `folder` is where W&B keeps its files (default: WANDB_DIR, or a folder in the user's cache).

    Close it when the run is over: what is not sent by then is waited for, for a bounded time.
    """

    def __init__(self, folder: Path | None = None, project: str | None = None) -> None:
        self.folder = folder or Path(os.environ.get("WANDB_DIR") or cache_folder() / "wandb")
        self.project = project or os.environ.get("WANDB_PROJECT") or "millrace"
        self.mode = wandb_mode()
        self._events: queue.Queue[Event | None] = queue.Queue(QUEUED_EVENTS)
        self._thread: threading.Thread | None = None

    def __call__(self, event: Event) -> None:
        if self.mode == "disabled" or not isinstance(event, Started | Reported | Built | Failed | Skipped):
            return
        if self._thread is None:
            scribe = Scribe(self.folder, self.project, self.mode)
            self._thread = threading.Thread(target=scribe.listen, args=(self._events,), name="millrace-lineage", daemon=True)
            self._thread.start()
        try:
            self._events.put_nowait(event)
        except queue.Full:
            log.debug("lineage is too slow for the events of this run: some are left out")

    def close(self, seconds: float = FINISH_SECONDS) -> None:
        """Wait until all is recorded, but no longer than `seconds`."""
        if self._thread is None:
            return
        try:
            self._events.put(None, timeout=seconds)
        except queue.Full:
            pass
        self._thread.join(seconds)
        if self._thread.is_alive():
            log.warning("W&B has not taken in all of the lineage within %.0f s; what is missing stays in %s", seconds, self.folder)
        self._thread = None

    def __enter__(self) -> "WandbLineage":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def wandb_mode() -> str:
    """`WANDB_MODE` where it is set; else online if there is a key, and offline if there is none."""
    mode = os.environ.get("WANDB_MODE", "").lower()
    if mode:
        return {"dryrun": "offline", "run": "online"}.get(mode, mode)
    return "online" if os.environ.get("WANDB_API_KEY") or _key_in_netrc() else "offline"


def _key_in_netrc() -> bool:
    host = urlsplit(os.environ.get("WANDB_BASE_URL") or "https://api.wandb.ai").hostname or ""
    try:
        return netrc.netrc(os.environ.get("NETRC")).authenticators(host) is not None
    except (OSError, netrc.NetrcParseError):
        return False


class Scribe:
    """Writes lineage down: the only place that speaks with W&B, in one thread."""

    def __init__(self, folder: Path, project: str, mode: str) -> None:
        self.folder, self.project, self.mode = folder, project, mode
        self.group = f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
        self.manifests: dict[str, Manifest] = {}
        self.kinds: dict[str, str] = {}
        self.blotter = Blotter.of_environment()
        self.run: Any = None

    def listen(self, events: "queue.Queue[Event | None]") -> None:
        """Take events until there is no more; the first failure ends it."""
        try:
            while (event := events.get()) is not None:
                self._take(event)
        except Exception as problem:
            log.warning("lineage is not recorded further: %s", self.blotter.blot(f"{type(problem).__name__}: {problem}"))
            while events.get() is not None:  # so that the queue does not fill
                continue

    def _take(self, event: Event) -> None:
        match event:
            case Started(step):
                self._start(step)
            case Reported(_, metrics) if self.run is not None:
                self.run.log({name: value for name, value in metrics.items() if isinstance(value, int | float)})
            case Built(step, manifest):
                self._know(step, manifest)
                self._record(step, manifest)
            case Skipped(step, manifest):
                self._know(step, manifest)
            case Failed(_, error) if self.run is not None:
                self.run.summary["error"] = self.blotter.blot(" ".join(str(error).split()))
                self._finish(1)

    def _know(self, step: Any, manifest: Manifest) -> None:
        self.manifests[step.address] = manifest
        self.kinds[step.address] = kind_of(step)

    def _start(self, step: Any) -> None:
        try:
            self.run = self._init(step)
        except Exception as problem:
            if self.mode != "online":
                raise
            reason = self.blotter.blot(f"{type(problem).__name__}: {problem}".splitlines()[0])
            log.warning("W&B cannot be reached (%s): lineage is kept in %s, and `wandb sync` sends it from there", reason, self.folder)
            self.mode = "offline"
            self.run = self._init(step)
        self.run.define_metric("*", step_metric="step")

    def _init(self, step: Any) -> Any:
        self.folder.mkdir(parents=True, exist_ok=True)
        os.environ.setdefault("WANDB_DATA_DIR", str(self.folder))  # where files of artifacts wait
        os.environ.setdefault("WANDB_CACHE_DIR", str(self.folder))
        import wandb

        return wandb.init(
            project=self.project,
            name=step.address,
            job_type=step.name(),
            group=os.environ.get("WANDB_RUN_GROUP") or self.group,
            config=self.blotter.blot(step.recipe),
            dir=str(self.folder),
            mode=self.mode,
            reinit="create_new",
            settings=wandb.Settings(
                x_disable_meta=True,
                x_disable_stats=True,
                x_disable_machine_info=True,
                x_save_requirements=False,
                disable_code=True,
                disable_git=True,
                disable_job_creation=True,
                save_code=False,
                console="off",
                silent=True,
                init_timeout=START_SECONDS,
                login_timeout=START_SECONDS,
                finish_timeout=FINISH_SECONDS,
                program="millrace",
                host="",
            ),
        )

    def _record(self, step: Any, manifest: Manifest) -> None:
        """The step's artifact, its inputs, and its counts."""
        if self.run is None:
            return
        for artifact in self._inputs(step, manifest):
            self._use(artifact)
        self.run.log_artifact(self._artifact(manifest, kind_of(step)))
        self.run.summary.update(self.blotter.blot(flat(manifest.facts)))
        self._finish(0)

    def _inputs(self, step: Any, manifest: Manifest) -> list[Any]:
        """The artifacts that the step read; a step that read none has a source."""
        addresses = sorted({entry["address"] for entry in manifest.inputs.values()} & self.manifests.keys())
        artifacts = [self._artifact(self.manifests[address], self.kinds[address]) for address in addresses]
        source = None if manifest.inputs else manifest.recipe.get("source")
        return [*artifacts, self._source(source)] if source else artifacts

    def _source(self, recipe: Any) -> Any:
        text = json.dumps(self.blotter.blot(recipe), indent=1, sort_keys=True, ensure_ascii=False)
        words = " ".join(str(value) for value in self.blotter.blot(recipe).values()) if isinstance(recipe, Mapping) else str(recipe)
        return described(f"source-{named(words)}", "source", text, {"recipe": self.blotter.blot(recipe)})

    def _artifact(self, manifest: Manifest, kind: str) -> Any:
        """An artifact whose content is the manifest without provenance, so that the same bytes are the same version everywhere."""
        kept = {
            "step": manifest.step,
            "fingerprint": manifest.fingerprint,
            "recipe": manifest.recipe,
            "inputs": manifest.inputs,
            "files": [[entry.path, entry.bytes, entry.checksum, entry.rows] for entry in manifest.files],
            "facts": dict(manifest.facts),
        }
        kept = self.blotter.blot(kept)
        text = json.dumps(kept, indent=1, sort_keys=True, ensure_ascii=False)
        total = sum(entry.bytes for entry in manifest.files)
        metadata = {"address": manifest.address, "content": manifest.content, "files": len(manifest.files), "bytes": total}
        return described(f"{manifest.step}-{manifest.fingerprint}", kind, text, metadata)

    def _use(self, artifact: Any) -> None:
        """Declare an input. `Run.use_artifact` refuses offline; the record that it writes does not need the server."""
        if self.mode == "offline":
            self.run._log_artifact(artifact, is_user_created=True, use_after_commit=True)
        else:
            self.run.use_artifact(artifact)

    def _finish(self, code: int) -> None:
        run, self.run = self.run, None
        run.finish(exit_code=code)


def kind_of(step: Any) -> str:
    """The type of a step's artifact, by its class or the nearest base that has one."""
    return next((KINDS[base.__name__] for base in step.artifact.__mro__ if base.__name__ in KINDS), "evaluation")


def described(name: str, kind: str, text: str, metadata: Mapping[str, Any]) -> Any:
    """An artifact that holds one small file."""
    import wandb

    artifact = wandb.Artifact(name, type=kind, metadata=dict(metadata))
    with artifact.new_file(DESCRIBED, encoding="utf-8") as file:
        file.write(text)
    return artifact


def named(words: str) -> str:
    """Words as a name that W&B takes: short, of letters, digits, `-`, `_` and `.`."""
    import hashlib

    return f"{re.sub(r'[^A-Za-z0-9._-]+', '-', words).strip('-')[:60]}-{hashlib.sha256(words.encode()).hexdigest()[:8]}"


def flat(facts: Mapping[str, Any], where: str = "") -> dict[str, Any]:
    """Nested counts as one level, with dotted names; what is neither number nor text is left out."""
    found: dict[str, Any] = {}
    for name, value in facts.items():
        if isinstance(value, Mapping):
            found |= flat(value, f"{where}{name}.")
        elif isinstance(value, int | float | str):
            found[f"{where}{name}"] = value
    return found
