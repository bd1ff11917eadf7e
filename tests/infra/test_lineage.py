"""Lineage: what is recorded, that it leads back to every source, that it holds no secret, and that nothing waits for it."""

import logging
import os
import socket
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.lineage import WandbLineage, wandb_mode
from infra.redaction import Redactor
from pipeline.documents import Documents
from pipeline.errors import RunError
from pipeline.storage import Store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Context, Facts, Member, Step
from pipeline.workflow.unit import Unit
from tests.infra.wandb_records import records
from tests.infra.wandb_server import WandbServer, wandb_server

PASSWORD, SIGNATURE, KEY, ARGUMENT = "hunter2-hunter2", "signature-in-a-query", "key-in-the-environment", "argument-of-the-command"
LOCATION = f"https://user:{PASSWORD}@example.org/data.jsonl?sig={SIGNATURE}"


@dataclass(frozen=True)
class Location:
    location: str


@dataclass(frozen=True, kw_only=True)
class Read(Step[Documents]):
    artifact = Documents
    source: Location

    def run(self, context: Context) -> Facts:
        return {"read": 3, "kept": 3, "dropped": {}, "sources": {self.source.location: 3}}


@dataclass(frozen=True, kw_only=True)
class Learn(Step[Any]):
    documents: tuple[Read, ...]
    fail: bool = False

    def run(self, context: Context) -> Facts:
        context.gang(self.train, 1)
        if self.fail:
            raise RunError(f"{LOCATION} went away: bring it back")
        return {"loss": {"first": 3.0, "last": 1.0}}

    def train(self, unit: Unit, member: Member) -> Facts:
        for step in range(3):
            member.report({"step": step, "loss": 3.0 - step, "economy": {"data_seconds": 0.5, "device": "cpu"}})
        return {}


LEARN = Learn(documents=(Read(source=Location(LOCATION)), Read(source=Location("more.jsonl"))))


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    for name in [name for name in os.environ if name.startswith("WANDB_")]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("NETRC", str(tmp_path / "no-netrc"))
    return tmp_path / "lineage"


def record(step: Step[Any], store: Store, folder: Path) -> None:
    with WandbLineage(folder) as lineage:
        run([step], store, InlineExecutor(), [lineage])


def recorded(folder: Path) -> dict[str, list[Any]]:
    """The records of every offline run, by the name of the run."""
    found = {}
    for path in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        rows = list(records(path))
        name = next(row.run.display_name for row in rows if row.WhichOneof("record_type") == "run")
        found[name] = rows
    return found


def artifacts(rows: list[Any], use: bool) -> list[tuple[str, str, str]]:
    """(type, name, digest) of what a run used, or of what it made."""
    made = [row.artifact for row in rows if row.WhichOneof("record_type") == "artifact"]
    return [(artifact.type, artifact.name, artifact.digest) for artifact in made if artifact.use_after_commit == use]


def test_an_offline_graph_leads_from_the_last_step_back_to_every_source(store: Store, folder: Path) -> None:
    record(LEARN, store, folder)
    runs = recorded(folder)
    assert runs.keys() == {LEARN.address, *(step.address for step in LEARN.documents)}
    made = {step.address: artifacts(runs[step.address], use=False) for step in (LEARN, *LEARN.documents)}
    assert [kind for kind, _, _ in made[LEARN.address]] == ["evaluation"]
    assert sorted(artifacts(runs[LEARN.address], use=True)) == sorted(
        artifact for step in LEARN.documents for artifact in made[step.address]
    )
    for step in LEARN.documents:
        assert [kind for kind, _, _ in made[step.address]] == ["corpus"]
        assert [kind for kind, _, _ in artifacts(runs[step.address], use=True)] == ["source"]
    losses = [
        {item.key or item.nested_key[0]: item.value_json for item in row.history.item} for row in runs[LEARN.address] if row.history.item
    ]
    assert [row["loss"] for row in losses] == ["3", "2", "1"]
    assert [row["economy.data_seconds"] for row in losses] == ["0.5"] * 3


def test_no_secret_reaches_the_lineage_folder(folder: Path, tmp_path: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from pipeline.storage import open_store; from tests.infra.test_lineage import *\n"
        "try: record(Learn(documents=LEARN.documents, fail=True), open_store(sys.argv[1]), Path(sys.argv[2]))\n"
        "except RunError: pass"
    )
    environment = os.environ | {"SERVICE_API_KEY": KEY, "WANDB_MODE": "offline", "WANDB_API_KEY": f"{KEY:x<40}"}
    command = [sys.executable, "-c", script, str(tmp_path / "root"), str(folder), f"--password={ARGUMENT}"]
    subprocess.run(command, env=environment, cwd=Path(__file__).parents[2], check=True, timeout=120)
    assert len(recorded(folder)) == 3
    bytes_of_all = b"".join(path.read_bytes() for path in folder.rglob("*") if path.is_file())
    assert b"example.org" in bytes_of_all
    for secret in (PASSWORD, SIGNATURE, KEY, ARGUMENT):
        assert secret.encode() not in bytes_of_all, secret


@pytest.fixture
def server() -> Iterator[WandbServer]:
    with wandb_server() as running:
        yield running


def check_graph(server: WandbServer) -> None:
    used = {asked["artifactID"] for asked in server.variables("UseArtifact")}
    made = {asked["digest"]: asked["artifactTypeName"] for asked in server.variables("CreateArtifact")}
    assert sorted(made.values()) == ["corpus", "corpus", "evaluation", "source", "source"]
    assert sorted(made[digest] for digest in used) == ["corpus", "corpus", "source", "source"]


def test_the_graph_goes_to_a_server_that_can_be_reached(
    store: Store, folder: Path, server: WandbServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", server.url)
    record(LEARN, store, folder)
    check_graph(server)


def test_wandb_sync_sends_the_graph_of_offline_runs(store: Store, folder: Path, server: WandbServer) -> None:
    record(LEARN, store, folder)
    environment = os.environ | {"WANDB_API_KEY": "k" * 40, "WANDB_BASE_URL": server.url, "WANDB_DATA_DIR": str(folder)}
    runs = [str(path) for path in folder.glob("wandb/offline-run-*")]
    subprocess.run([sys.executable, "-m", "wandb", "sync", *runs], env=environment, check=True, capture_output=True, timeout=120)
    check_graph(server)


@pytest.fixture
def deaf() -> Iterator[str]:
    """The address of a server that takes connections and never answers."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"


def test_a_server_that_hangs_delays_nothing_and_its_runs_are_kept(
    store: Store, folder: Path, deaf: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", deaf)
    with WandbLineage(folder) as lineage:
        run([LEARN], store, InlineExecutor(), [lineage])
        assert "cannot be reached" not in caplog.text  # the run was over before that was known
        lineage.close(seconds=60)
    assert "cannot be reached" in caplog.text
    assert recorded(folder).keys() == {LEARN.address, *(step.address for step in LEARN.documents)}


def test_closing_gives_up_after_its_time(
    folder: Path, deaf: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture, store: Store
) -> None:
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("WANDB_BASE_URL", deaf)
    lineage = WandbLineage(folder)
    run([LEARN], store, InlineExecutor(), [lineage])
    lineage.close(seconds=0.2)
    assert "has not taken in all of the lineage" in caplog.text


def test_a_wandb_that_cannot_be_imported_is_told_of_and_stops_nothing(
    store: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    broken = tmp_path / "modules" / "wandb.py"
    broken.parent.mkdir()
    broken.write_text("raise ImportError('this wandb is broken')")
    monkeypatch.setenv("PYTHONPATH", str(broken.parent))
    record(LEARN, store, folder)
    assert "this wandb is broken" in caplog.text


def test_disabled_starts_nothing(store: Store, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WANDB_MODE", "disabled")
    with WandbLineage(folder) as lineage:
        run([LEARN], store, InlineExecutor(), [lineage])
        assert lineage.scribe is None
    assert not folder.exists()


@pytest.mark.parametrize(
    ("environment", "mode"),
    [({}, "offline"), ({"WANDB_API_KEY": "k"}, "online"), ({"WANDB_API_KEY": "k", "WANDB_MODE": "offline"}, "offline")],
)
def test_without_a_key_and_without_a_word_the_mode_is_offline(
    folder: Path, environment: dict[str, str], mode: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert wandb_mode() == mode


@pytest.mark.parametrize(
    ("text", "clean"),
    [
        ("s3://bucket/prefix/file.jsonl", "s3://bucket/prefix/file.jsonl"),
        ("https://user:p@ss@host/a.csv", "https://***@host/a.csv"),
        ("cannot read https://host/a.csv?token=abc#3, sorry", "cannot read https://host/a.csv?***#3, sorry"),
        ("why? because of secret-value", "why? because of ***"),
    ],
)
def test_secrets_are_taken_out_of_locations_and_words(text: str, clean: str) -> None:
    assert Redactor(("secret-value",)).redact({"words": [text]}) == {"words": [clean]}


def test_the_log_names_the_problem_and_not_the_secret(
    store: Store, folder: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", f"no address {KEY}")
    monkeypatch.setenv("WANDB_API_KEY", "k" * 40)
    monkeypatch.setenv("A_TOKEN", KEY)
    with caplog.at_level(logging.WARNING):
        record(LEARN, store, folder)
    assert "nothing more is recorded" in caplog.text
    assert KEY not in caplog.text
