"""Units on a real Ray: the same bytes whatever runs them, and whatever is killed on the way."""

import logging
import os
import random
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from infra.ray_executor import RayExecutor
from pipeline.errors import RunError
from pipeline.storage import Store, open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit, open_artifact
from tests.conftest import RunningRay
from tests.infra.steps import corpus, left

PROJECT = Path(__file__).parents[2]
PAUSE = 0.01


@pytest.fixture(scope="module")
def expected(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """What the small corpus leaves when one process builds it, undisturbed."""
    store = open_store(str(tmp_path_factory.mktemp("inline")))
    run([corpus()], store, InlineExecutor())
    return left(corpus(), store)


@pytest.mark.parametrize("workers", [1, 2, 3])
def test_the_corpus_is_the_same_bytes_on_any_number_of_workers(
    workers: int, executor: RayExecutor, store: Store, expected: dict[str, Any]
) -> None:
    run([corpus()], store, RayExecutor(workers=workers))
    assert left(corpus(), store) == expected
    facts = open_artifact(store, corpus()).facts
    assert facts["dropped"]["too-long"] > 0
    assert facts["read"] == facts["kept"] + facts["dropped"]["too-long"] == 160


@dataclass(frozen=True, kw_only=True)
class Try(Step[Any]):
    """A phase of units that do what a test wants to see."""

    units: int = 4
    folder: str = ""

    def run(self, context: Context) -> Facts:
        return {"seen": [dict(receipt.facts) for receipt in context.map(self.attempt, range(self.units))]}

    def attempt(self, unit: Unit, number: int) -> Facts:
        raise NotImplementedError


class Surroundings(Try):
    def attempt(self, unit: Unit, number: int) -> Facts:
        environment = {name: os.environ.get(name) for name in ("OMP_NUM_THREADS", "RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM")}
        return {"folder": os.getcwd(), "relative": Path("beside.txt").read_text(), **environment}


def test_a_unit_works_in_the_drivers_folder_with_one_thread(
    executor: RayExecutor, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside.txt").write_text("here")
    monkeypatch.chdir(tmp_path)
    run([Surroundings()], store, executor)
    one = {"OMP_NUM_THREADS": "1", "RAYON_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}
    assert open_artifact(store, Surroundings()).facts["seen"] == [{"folder": str(tmp_path), "relative": "here", **one}] * 4


@pytest.mark.parametrize(("workers", "threads"), [(None, "3"), (2, "2")])
def test_fewer_units_than_cores_share_the_cores(
    workers: int | None, threads: str, executor: RayExecutor, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "beside.txt").touch()
    monkeypatch.chdir(tmp_path)
    run([Surroundings(units=1)], store, RayExecutor(workers=workers))
    (seen,) = open_artifact(store, Surroundings(units=1)).facts["seen"]
    assert (seen["OMP_NUM_THREADS"], seen["RAYON_NUM_THREADS"], seen["TOKENIZERS_PARALLELISM"]) == (threads, threads, "true")


def test_modules_that_only_the_driver_knows_are_found_by_its_workers(
    executor: RayExecutor, store: Store, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "somewhere_else.py").write_text(
        "from dataclasses import dataclass\nfrom tests.infra.test_ray_executor import Try\n"
        "class Elsewhere(Try):\n    def attempt(self, unit, number):\n        return {'number': number}\n"
    )
    monkeypatch.syspath_prepend(str(tmp_path))
    from somewhere_else import Elsewhere  # type: ignore[import-not-found]

    run([Elsewhere()], store, executor)
    assert open_artifact(store, Elsewhere()).facts["seen"] == [{"number": number} for number in range(4)]


class Alone(Try):
    def attempt(self, unit: Unit, number: int) -> Facts:
        Path(self.folder, "working").mkdir()  # fails where another unit is at work
        time.sleep(0.05)
        Path(self.folder, "working").rmdir()
        return {}


def test_no_more_units_are_in_flight_than_there_are_workers(executor: RayExecutor, store: Store, tmp_path: Path) -> None:
    run([Alone(units=6, folder=str(tmp_path))], store, RayExecutor(workers=1))


class Marked(Try):
    def attempt(self, unit: Unit, number: int) -> Facts:
        Path(self.folder, str(number)).touch()
        if number == 0:
            raise RunError("unit 0 has had enough: give it less")
        time.sleep(0.2)
        return {}


def test_a_failure_ends_the_phase_and_later_units_are_not_begun(executor: RayExecutor, store: Store, tmp_path: Path) -> None:
    with pytest.raises(RunError, match=r"^unit 0 has had enough: give it less$"):
        run([Marked(units=60, folder=str(tmp_path))], store, RayExecutor(workers=3))
    assert len(list(tmp_path.iterdir())) < 30


class Mistaken(Try):
    def attempt(self, unit: Unit, number: int) -> Facts:
        return {"value": {}["missing"]}


def test_a_mistake_in_the_code_keeps_its_type_and_its_trace(executor: RayExecutor, store: Store) -> None:
    with pytest.raises(KeyError, match="missing") as caught:
        run([Mistaken()], store, executor)
    assert 'return {"value": {}["missing"]}' in caught.value.__notes__[0]


class Stubborn(Exception):
    def __init__(self, one: str, two: str) -> None:
        super().__init__(f"{one}\n{two}")


class Unportable(Try):
    def attempt(self, unit: Unit, number: int) -> Facts:
        raise Stubborn("cannot", "travel")


def test_an_error_that_cannot_be_pickled_arrives_as_a_run_error_of_one_line(executor: RayExecutor, store: Store) -> None:
    with pytest.raises(RunError) as caught:
        run([Unportable()], store, executor)
    assert str(caught.value) == "Stubborn: cannot travel"


class Worried(Try):
    def attempt(self, unit: Unit, number: int) -> Facts:
        logging.getLogger("tests.worried").warning("unit %d looks odd", number)
        print("this is not for the driver's stdout")
        return {}


def test_warnings_of_workers_are_logged_by_the_driver_and_their_output_is_kept_away(
    executor: RayExecutor, store: Store, caplog: pytest.LogCaptureFixture, capfd: pytest.CaptureFixture[str]
) -> None:
    run([Worried()], store, executor)
    assert sorted(record.getMessage() for record in caplog.records if record.name == "tests.worried") == [
        f"unit {number} looks odd" for number in range(4)
    ]
    assert capfd.readouterr().out == ""


class Doomed(Try):
    def attempt(self, unit: Unit, number: int) -> Facts:
        os.kill(os.getpid(), signal.SIGKILL)
        return {}


def test_a_unit_that_loses_its_process_each_time_ends_in_a_run_error_with_a_remedy(executor: RayExecutor, store: Store) -> None:
    with pytest.raises(RunError, match=r"^unit 0 of doomed/\w+ \(attempt\) was lost with its process.*use fewer --workers"):
        run([Doomed(units=1)], store, RayExecutor(retries=1))


@pytest.fixture
def driver(ray_cluster: RunningRay, store: Store) -> Iterator[Callable[[], "subprocess.Popen[str]"]]:
    """Starts a driver of the small corpus in a process of its own, up to its first unit."""
    started = []

    def start() -> "subprocess.Popen[str]":
        command = [sys.executable, "-m", "tests.infra.driver", ray_cluster.address, store.url, str(PAUSE)]
        process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=PROJECT)
        started.append(process)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def working_on(phases: tuple[str, ...]) -> list[int]:
    """The processes that are at work on a unit of these phases; Ray writes their names into their titles."""
    titles = tuple(f"ray::{phase}".encode() for phase in phases)
    token = os.environ["RAY_AUTH_TOKEN_PATH"].encode()  # which only processes of our Ray know
    found = []
    for process in Path("/proc").glob("[0-9]*"):
        try:
            if (process / "cmdline").read_bytes().startswith(titles) and token in (process / "environ").read_bytes():
                found.append(int(process.name))
        except OSError:
            continue
    return found


PHASES = ("grow.grow", "sift.weigh", "sift.sift")


class Killer:
    """Kills a process that is at work on the small corpus, a while after it is asked to; `killed` says whether there was one."""

    def __init__(self, wait: float, chance: random.Random) -> None:
        self.killed, self._over = False, threading.Event()
        self._thread = threading.Thread(target=self._kill, args=(wait, chance))

    def _kill(self, wait: float, chance: random.Random) -> None:
        time.sleep(wait)
        while not (self.killed or self._over.is_set()):
            for pid in chance.sample(pids := working_on(PHASES), len(pids)):
                os.kill(pid, signal.SIGKILL)
                self.killed = True
                break

    def __enter__(self) -> "Killer":
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()


def kill_a_worker(chance: random.Random, store: Store) -> None:
    with Killer(chance.uniform(0, 0.8), chance) as killer:
        run([corpus(PAUSE)], store, RayExecutor())
    assert killer.killed


def kill_the_driver(chance: random.Random, driver: Callable[[], "subprocess.Popen[str]"], store: Store) -> None:
    process = driver()
    time.sleep(chance.uniform(0, 1.2))
    process.kill()
    process.wait()
    run([corpus(PAUSE)], store, RayExecutor())


def test_a_killed_worker_leaves_the_same_bytes_in_the_end_and_nothing_on_stdout(
    executor: RayExecutor, store: Store, expected: dict[str, Any], capfd: pytest.CaptureFixture[str]
) -> None:
    kill_a_worker(random.Random(1), store)
    assert left(corpus(), store) == expected
    assert capfd.readouterr().out == ""


def test_a_killed_driver_leaves_the_same_bytes_in_the_end(
    executor: RayExecutor, driver: Callable[[], "subprocess.Popen[str]"], store: Store, expected: dict[str, Any]
) -> None:
    kill_the_driver(random.Random(2), driver, store)
    assert left(corpus(), store) == expected


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(20))
def test_random_kills_lose_nothing_and_double_nothing(
    seed: int, executor: RayExecutor, driver: Callable[[], "subprocess.Popen[str]"], store: Store, expected: dict[str, Any]
) -> None:
    if seed % 2:
        kill_the_driver(random.Random(seed), driver, store)
    else:
        kill_a_worker(random.Random(seed), store)
    assert left(corpus(), store) == expected
