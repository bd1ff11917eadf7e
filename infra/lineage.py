"""Lineage in Weights & Biases: a run a built step, typed artifacts, and inputs that lead from a model back to every source.

What is sent is a step's manifest without its provenance: recipe, counts, files and their checksums; never the files themselves,
no arguments, no environment, no code. Secrets are taken out here, before anything reaches W&B, which speaks in
a process of its own (`wandb_scribe.py`): whether it is dead, slow or not installed, the run does not notice.
"""

import hashlib
import json
import logging
import netrc
import os
import queue
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from infra.redaction import Redactor
from pipeline.storage import cache_folder
from pipeline.workflow.artifact import Manifest
from pipeline.workflow.events import Built, Event, Failed, Reported, Skipped, Started
from pipeline.workflow.step import Step

log = logging.getLogger(__name__)
FINISH_SECONDS = 20.0
QUEUED_MESSAGES = 10_000
KINDS = {"Documents": "corpus", "TokenizerFiles": "tokenizer", "TokenShards": "tokens", "Checkpoint": "model"}
"""The type of an artifact by its class; what is none of these is an evaluation."""
Message = dict[str, Any]


class WandbLineage:
    """A listener. `folder` is where W&B keeps its files (default: WANDB_DIR, or a folder in the user's cache).

    The mode is WANDB_MODE (online, offline or disabled); without it, online where there is a key, else offline.
    Close it when the run is over: what is not recorded by then is waited for, for a bounded time.
    """

    def __init__(self, folder: Path | None = None, project: str | None = None) -> None:
        self.folder = folder or Path(os.environ.get("WANDB_DIR") or cache_folder() / "wandb")
        self.project = project or os.environ.get("WANDB_PROJECT") or "millrace"
        self.mode = wandb_mode()
        self.words = Words()
        self.scribe: Scribe | None = None

    def __call__(self, event: Event) -> None:
        if self.mode == "disabled":
            return
        for message in self.words.of(event):
            if self.scribe is None:
                self.scribe = Scribe(self.folder, self.project, self.mode, self.words.redactor)
            self.scribe.send(message)

    def close(self, seconds: float = FINISH_SECONDS) -> None:
        """Wait until all is recorded, but no longer than `seconds`."""
        if self.scribe is not None:
            self.scribe.close(seconds)
            self.scribe = None

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


class Words:
    """Turns events into what is recorded of them: plain data without secrets."""

    def __init__(self) -> None:
        self.redactor = Redactor.of_environment()
        self.group = os.environ.get("WANDB_RUN_GROUP") or f"{datetime.now(UTC):%Y%m%dT%H%M%S}-{os.getpid()}"
        self.known: dict[str, Message] = {}

    def of(self, event: Event) -> Iterator[Message]:
        match event:
            case Started(step):
                yield self._clean("start", name=step.address, job_type=step.name(), group=self.group, config=step.recipe)
            case Reported(_, metrics):
                yield self._clean("log", metrics={name: value for name, value in flat(metrics).items() if isinstance(value, int | float)})
            case Skipped(step, manifest):
                self.known[step.address] = self._artifact(step, manifest)
            case Built(step, manifest):
                made = self.known[step.address] = self._artifact(step, manifest)
                yield from ({**artifact, "do": "use"} for artifact in self._inputs(manifest))
                yield made
                yield self._clean("finish", code=0, summary=flat(manifest.facts))
            case Failed(_, error):
                yield self._clean("finish", code=1, summary={"error": f"{type(error).__name__}: {' '.join(str(error).split())}"})

    def _inputs(self, manifest: Manifest) -> list[Message]:
        """The artifacts that a step read; a step that read none has a source."""
        addresses = sorted({entry["address"] for entry in manifest.inputs.values()} & self.known.keys())
        source = None if manifest.inputs else manifest.recipe.get("source")
        return [*(self.known[address] for address in addresses), *([self._source(source)] if source else [])]

    def _source(self, recipe: Mapping[str, Any]) -> Message:
        clean = self.redactor.redact(recipe)
        words = " ".join(str(value) for value in clean.values())
        return self._clean("make", name=f"source-{named(words)}", kind="source", text=_text(clean), metadata=clean)

    def _artifact(self, step: Step[Any], manifest: Manifest) -> Message:
        """The manifest without provenance, so that the same work is the same version whoever does it."""
        described = {
            "step": manifest.step,
            "fingerprint": manifest.fingerprint,
            "recipe": manifest.recipe,
            "inputs": manifest.inputs,
            "files": [[entry.path, entry.bytes, entry.checksum, entry.rows] for entry in manifest.files],
            "facts": dict(manifest.facts),
        }
        size = sum(entry.bytes for entry in manifest.files)
        metadata = {"address": manifest.address, "content": manifest.content, "files": len(manifest.files), "bytes": size}
        text = _text(self.redactor.redact(described))
        return self._clean("make", name=f"{manifest.step}-{manifest.fingerprint}", kind=kind_of(step), text=text, metadata=metadata)

    def _clean(self, do: str, **fields: Any) -> Message:
        return {"do": do, **self.redactor.redact(fields)}


class Scribe:
    """The process that speaks with W&B, and two threads: one hands it messages, one hears its warnings."""

    def __init__(self, folder: Path, project: str, mode: str, redactor: Redactor) -> None:
        self.folder, self._redactor = folder, redactor
        self._messages: queue.Queue[Message | None] = queue.Queue(QUEUED_MESSAGES)
        self._process = subprocess.Popen(  # noqa: S603 - this project's own script
            [sys.executable, str(Path(__file__).with_name("wandb_scribe.py")), str(folder.absolute()), project, mode],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
            encoding="utf-8",
            start_new_session=True,  # an interruption of the run is something to record, not the end of the recorder
        )
        self._threads = [threading.Thread(target=work, name="lineage", daemon=True) for work in (self._hand_over, self._hear)]
        for thread in self._threads:
            thread.start()

    def send(self, message: Message) -> None:
        try:
            self._messages.put_nowait(message)
        except queue.Full:
            log.debug("W&B is slower than the run: some of its metrics are left out")

    def close(self, seconds: float) -> None:
        until = time.monotonic() + seconds
        self._end_messages(seconds)
        try:
            self._process.wait(max(0.1, until - time.monotonic()))
        except subprocess.TimeoutExpired:
            log.warning("W&B has not taken in all of the lineage within %.0f s; what is missing stays in %s", seconds, self.folder)
            self._process.kill()
            self._process.wait()
        for thread in self._threads:
            thread.join()

    def _end_messages(self, seconds: float) -> None:
        try:
            self._messages.put(None, timeout=seconds)
        except queue.Full:
            self._process.kill()

    def _hand_over(self) -> None:
        there = True
        while (message := self._messages.get()) is not None:
            there = there and self._write(json.dumps(message) + "\n")
        assert self._process.stdin is not None
        with suppress(OSError):
            self._process.stdin.close()

    def _write(self, line: str) -> bool:
        """Whether the process is still there to take a line; it says itself why it ends."""
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(line)
            self._process.stdin.flush()
        except OSError:
            return False
        return True

    def _hear(self) -> None:
        assert self._process.stdout is not None
        with self._process.stdout as words:
            for word in words:
                log.warning("lineage: %s", self._redactor.redact(word.rstrip()))


def kind_of(step: Step[Any]) -> str:
    """The type of a step's artifact, by its class or the nearest base that has one."""
    return next((KINDS[base.__name__] for base in step.artifact.__mro__ if base.__name__ in KINDS), "evaluation")


def named(words: str) -> str:
    """Words as a name that W&B takes: letters, digits, `-`, `_` and `.`, with a digest since they are cut short."""
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


def _text(value: Any) -> str:
    return json.dumps(value, indent=1, sort_keys=True, ensure_ascii=False)
