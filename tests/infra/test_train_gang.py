"""Gangs on Ray Train: they agree, report as they go, start again when a process is lost, and do not when the work is wrong."""

import os
import signal
import tempfile
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pytest

from infra.deepspeed_engine import STAGES, DeepSpeedEngines
from infra.ray_executor import RayExecutor
from pipeline.errors import RequestError, RunError
from pipeline.storage import Store, open_store
from pipeline.train.engine import Engine, Engines, Update
from pipeline.train.plain import PlainEngines
from pipeline.workflow.events import Event, Reported
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Context, Facts, Member, Step
from pipeline.workflow.unit import Unit, open_artifact

pytestmark = pytest.mark.slow
UPDATE = Update(clip=0.5)
ENGINES: dict[str, Engines] = {"plain": PlainEngines()} | {f"zero {stage}": DeepSpeedEngines(zero=stage) for stage in STAGES}


@dataclass(frozen=True, kw_only=True)
class Gang(Step[Any]):
    size: int = 2

    def run(self, context: Context) -> Facts:
        return dict(context.gang(self.train, self.size).facts)

    def train(self, unit: Unit, member: Member) -> Facts:
        raise NotImplementedError


@dataclass(frozen=True, kw_only=True)
class Compare(Gang):
    """Trains the small net with every engine named, and lets each go on from what it saved."""

    names: tuple[str, ...] = tuple(ENGINES)

    def train(self, unit: Unit, member: Member) -> Facts:
        return {name: self._trained(ENGINES[name], member) for name in self.names} | {"listens": listens_elsewhere()}

    def _trained(self, engines: Engines, member: Member) -> dict[str, Any]:
        from tests.infra.nets import STEPS, resumed, started, train

        half = STEPS // 2
        engine = started(engines, UPDATE, member)
        seen = self._told(train(engine, member, steps=half), 0, member)
        with tempfile.TemporaryDirectory() as folder:
            engine.save(Path(folder))
            shared = self._shared(Path(folder), member)
            seen += self._told(train(engine, member, first=half), half, member)
            again = resumed(engines, UPDATE, member, shared)
            same = train(again, member, first=half) == [(row["loss"], row["norm"]) for row in seen[half:]]
        return {"seen": seen, "resumed": same and self._equal(engine, again), "weights": self._digest(engine)}

    def _told(self, rows: list[tuple[float, float]], first: int, member: Member) -> list[dict[str, Any]]:
        seen = [{"step": first + place, "loss": loss, "norm": norm} for place, (loss, norm) in enumerate(rows)]
        for row in seen:
            member.report(row)
        return seen

    def _shared(self, folder: Path, member: Member) -> Path:
        """A folder with the files of all members, as the checkpoints in a root hand them out."""
        from pipeline.train.gang import gather

        files = {path.relative_to(folder).as_posix(): path.read_bytes() for path in folder.rglob("*") if path.is_file()}
        whole = folder / "whole"
        for name, data in [item for part in gather(member, files) for item in part.items()]:
            (whole / name).parent.mkdir(parents=True, exist_ok=True)
            (whole / name).write_bytes(data)
        return whole

    def _equal(self, one: Engine, other: Engine) -> bool:
        mine, others = one.weights(), other.weights()
        return all(mine[name].equal(others[name]) for name in mine)

    def _digest(self, engine: Engine) -> dict[str, list[float]]:
        return {name: weight.flatten()[:50].tolist() for name, weight in engine.weights().items()}


def listens_elsewhere() -> list[str]:
    """Addresses but loopback at which this process listens."""
    inodes = {os.readlink(link)[8:-1] for link in Path("/proc/self/fd").iterdir() if os.path.islink(link) and ":[" in os.readlink(link)}
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/self/net/{name}").read_text().splitlines()[1:]]
    listening = [row[1].rsplit(":", 1)[0] for row in rows if row[3] == "0A" and row[9] in inodes]
    return [address for address in listening if address not in ("0100007F", "0000000000000000FFFF00000100007F")]


class Heard:
    """A listener that keeps what gangs reported, and when."""

    def __init__(self) -> None:
        self.metrics: list[Mapping[str, Any]] = []
        self.times: list[float] = []

    def __call__(self, event: Event) -> None:
        if isinstance(event, Reported):
            self.metrics.append(event.metrics)
            self.times.append(time.monotonic())


@pytest.fixture(scope="module")
def compared(executor: RayExecutor, tmp_path_factory: pytest.TempPathFactory) -> tuple[Mapping[str, Any], Heard]:
    store, heard = open_store(str(tmp_path_factory.mktemp("gang"))), Heard()
    run([Compare()], store, executor, [heard])
    return open_artifact(store, Compare()).facts, heard


@pytest.fixture(scope="module")
def alone(tmp_path_factory: pytest.TempPathFactory) -> Mapping[str, Any]:
    store = open_store(str(tmp_path_factory.mktemp("alone")))
    step = Compare(size=1, names=("plain",))
    run([step], store, InlineExecutor())
    return open_artifact(store, step).facts


@pytest.mark.parametrize("name", [name for name in ENGINES if name != "plain"])
def test_every_stage_on_two_processes_agrees_with_plain_pytorch(name: str, compared: tuple[Mapping[str, Any], Heard]) -> None:
    facts, _ = compared
    for found, expected in zip(facts[name]["seen"], facts["plain"]["seen"], strict=True):
        assert found == pytest.approx(expected, abs=1e-6, rel=0)
    for weight, values in facts["plain"]["weights"].items():
        assert facts[name]["weights"][weight] == pytest.approx(values, abs=1e-6, rel=0)


@pytest.mark.parametrize("name", ENGINES)
def test_a_gang_goes_on_bit_for_bit_from_what_it_saved(name: str, compared: tuple[Mapping[str, Any], Heard]) -> None:
    facts, _ = compared
    assert facts[name]["resumed"]


def test_two_processes_train_as_one_does(compared: tuple[Mapping[str, Any], Heard], alone: Mapping[str, Any]) -> None:
    facts, _ = compared
    for row, lone in zip(facts["plain"]["seen"], alone["plain"]["seen"], strict=True):
        assert row["norm"] == pytest.approx(lone["norm"], abs=1e-6, rel=0)
    for weight, values in alone["plain"]["weights"].items():
        assert facts["plain"]["weights"][weight] == pytest.approx(values, abs=1e-6, rel=0)


def test_the_first_members_reports_arrive_in_order_while_the_gang_works(compared: tuple[Mapping[str, Any], Heard]) -> None:
    facts, heard = compared
    assert heard.metrics == [row for name in ENGINES for row in facts[name]["seen"]]
    assert heard.times[0] < heard.times[-1]


def test_a_gang_on_a_loopback_cluster_listens_on_loopback_alone(compared: tuple[Mapping[str, Any], Heard]) -> None:
    facts, _ = compared
    assert facts["listens"] == []


class Wrong(Gang):
    def train(self, unit: Unit, member: Member) -> Facts:
        from torch import distributed

        Path(unit.store.url, f"began-{member.rank}-{time.monotonic_ns()}").touch()
        if member.rank == 1:
            raise RunError("the second member was given nothing: give it something")
        distributed.barrier()
        return {}


def test_an_error_of_a_member_is_raised_as_itself_and_not_tried_again(executor: RayExecutor, store: Store) -> None:
    with pytest.raises(RunError, match=r"^the second member was given nothing: give it something$"):
        run([Wrong()], store, executor)
    assert len(list(Path(store.url).glob("began-1-*"))) == 1


@dataclass(frozen=True, kw_only=True)
class Counting(Gang):
    """Counts to ten, keeps its place in the root, and has a signal sent to its second member once on the way."""

    sent: int = signal.SIGKILL

    def train(self, unit: Unit, member: Member) -> Facts:
        from torch import distributed, tensor

        place = Path(unit.store.url, "place")
        first = int(place.read_text()) if place.exists() else 0
        distributed.barrier()
        for number in range(first, 10):
            if member.rank == 1 and number == 5 and first == 0:
                os.kill(os.getpid(), self.sent)
            both = tensor(number)
            distributed.all_reduce(both)
            if member.rank == 0:
                place.write_text(str(number + 1))
            member.report({"step": number + 1, "steps": 10, "both": both.item()})
        return {"first": first}


COUNTED = [{"step": number + 1, "steps": 10, "both": 2 * number} for number in range(10)]


def test_a_gang_that_loses_a_process_starts_again_and_goes_on(
    executor: RayExecutor, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    heard = Heard()
    run([Counting()], store, executor, [heard])
    assert open_artifact(store, Counting()).facts == {"first": 5}
    assert heard.metrics == COUNTED
    assert "starting the gang again from its last checkpoint (1 of 3)" in caplog.text


def test_a_gang_that_hangs_is_ended_and_goes_on(executor: RayExecutor, store: Store, caplog: pytest.LogCaptureFixture) -> None:
    """As where a machine stops without a word."""
    heard, frozen = Heard(), Counting(sent=signal.SIGSTOP)
    run([frozen], store, replace(executor, silence=8.0), [heard])
    assert open_artifact(store, frozen).facts == {"first": 5}
    assert heard.metrics == COUNTED
    assert "seconds after step 5 (as a rule it is" in caplog.text


class Lost(Gang):
    def train(self, unit: Unit, member: Member) -> Facts:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}


def test_a_gang_that_is_lost_each_time_ends_in_a_run_error_with_a_remedy(executor: RayExecutor, store: Store) -> None:
    with pytest.raises(RunError, match=r"lost/\w+ lost member 0 of 1 .*use a smaller micro-batch"):
        run([Lost(size=1)], store, RayExecutor(retries=0))


def test_without_a_cluster_there_is_one_process(store: Store) -> None:
    with pytest.raises(RequestError, match="without a cluster there is one process, not 2"):
        run([Compare()], store, InlineExecutor())
