"""A gang on Ray Train (V2): processes that start and fail together, on gloo or NCCL.

Ray Train places the processes, watches them and takes all down where one fails. What they say to the driver goes
through a mailbox, at the time they say it, since `ray.train.report` is a barrier for the whole gang.
A gang that lost a process, or stands still, is started again, and its work goes on from its own checkpoints in the root;
an error that the work raised itself is raised here, and not tried again. Where the work may be done by fewer processes, it is,
while there is no room for all of them, and by more again, from a checkpoint on, when there is.

On CUDA, Ray's own TorchConfig makes the process group. On CPU the gang makes it itself: the rendezvous then
listens on the node's address instead of everywhere, and neither driver nor controller has to load torch.
"""

import logging
import os
import pickle
import tempfile
import threading
import time
import warnings
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from infra.gang_member import Came, Fell, Said, Saved, context_node, live
from infra.gang_pulse import Pulse
from infra.gang_size import Resized, free_places, give_back, largest, waits
from infra.worker import Answer, Word, arrival, packed, surroundings
from pipeline.errors import MillraceError, RequestError, RunError
from pipeline.storage import open_store
from pipeline.workflow.executor import Report
from pipeline.workflow.unit import UnitTask

log = logging.getLogger(__name__)
POLL_SECONDS = 0.2
WATCH_SECONDS = 1.0
ENDING_SECONDS = 10.0


@dataclass
class Gang:
    """One gang's life, seen from the driver."""

    task: UnitTask
    sizes: Sequence[int]
    """The numbers of processes that may do the work, the wanted one first."""
    report: Report
    restarts: int
    """How often it is started again without having come further than before."""
    fixed: bool
    patience: float
    """Seconds after which a gang that waits for its place is told of, and does with fewer processes if it may."""
    pulse: Pulse
    reached: int = 0
    """The furthest step that was told of."""
    fallen: list[Fell] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.size = self.sizes[0]

    def run(self) -> None:
        """Run the gang to its end. Raises what a member raised, or RunError where processes were lost too often."""
        lost = 0
        while True:
            before = self.reached
            problem = self._attempt()
            if problem is None or open_store(self.task.root).size(self.task.receipt_path) is not None:
                return
            if isinstance(problem, Resized):
                log.warning(
                    "%s goes on with %d processes instead of %d, from its last checkpoint", self.task.address, problem.size, self.size
                )
                self.size = problem.size
                continue
            error, lost = self._error(problem), 1 if self.reached > before else lost + 1
            if lost > self.restarts or not _may_be_collateral(error):
                raise error
            log.warning("%s; starting the gang again from its last checkpoint (%d of %d)", error, lost, self.restarts)

    def _attempt(self) -> Exception | None:
        """Start the gang once and relay what it says until it ends; returns how it failed, if it did."""
        import ray

        self.fallen.clear()
        self.pulse.stop()
        fit = Fit()
        mailbox = _mailbox()
        try:
            with tempfile.TemporaryDirectory(prefix="millrace-gang-", ignore_cleanup_errors=True) as folder:
                trainer = self._trainer(mailbox, folder)
                # in a thread of its own, so that Ray leaves the driver's signals alone
                threading.Thread(target=fit.run, args=(trainer,), name="millrace-gang", daemon=True).start()
                try:
                    self._relay(mailbox, fit)
                except (Resized, Lost) as turn:
                    return turn
                finally:
                    fit.end()
        finally:
            ray.kill(mailbox)
        return fit.problem

    def _relay(self, mailbox: Any, fit: "Fit") -> None:
        """In the driver's main thread: listeners are called here, and an interruption arrives here.

        Raises Lost for a gang that stands still, and Resized for one that is to have another size.
        """
        import ray

        came, mention, ended = set[int](), time.monotonic() + self.patience, False
        while not ended:
            ended = fit.over.wait(POLL_SECONDS)  # what is in the mailbox then is all that there will be
            for word in map(pickle.loads, ray.get(mailbox.take.remote())):
                match word:
                    case Came(rank):
                        came.add(rank)
                    case Said(metrics):
                        self.pulse.beat(metrics, time.monotonic())
                        self.reached = max(self.reached, metrics.get("step", 0))
                        self.report(metrics)
                    case Saved():
                        self._grow()
                    case Word():
                        Answer(words=(word,)).open()
                    case Fell():
                        self.fallen.append(word)
            if len(came) < self.size and time.monotonic() > mention:
                if not came:
                    self._shrink()
                log.warning("%d of %d processes of %s have started: the others wait for cores", len(came), self.size, self.task.address)
                mention += self.patience
            if not ended and (silent := self.pulse.too_long(time.monotonic())) is not None:
                raise Lost(
                    f"{self.task.address} has said nothing for {silent:.0f} seconds after step {self.reached}"
                    f" (as a rule it is {self.pulse.usual:.1f} at most): a process or the network hangs"
                )

    def _shrink(self) -> None:
        """Raise Resized where the gang waits for its place, and there is one for a smaller gang."""
        fewer = largest([size for size in self.sizes if size < self.size], free_places())
        if fewer is not None and waits():
            raise Resized(fewer)

    def _grow(self) -> None:
        """Raise Resized where there is room for a larger gang."""
        if self.size < self.sizes[0]:
            more = largest(self.sizes, self.size + free_places())
            if more is not None and more > self.size:
                raise Resized(more)

    def _trainer(self, mailbox: Any, folder: str) -> Any:
        """Ray Train's trainer, which leaves its own files in `folder`; restarts are ours, since it tries wrong work again too."""
        os.environ.setdefault("RAY_TRAIN_HEALTH_CHECK_INTERVAL_S", str(WATCH_SECONDS))
        if self.fixed:  # one machine is not pre-empted in part, and the watchers cost two processes
            os.environ["RAY_TRAIN_ENABLE_PREEMPTION_WATCHER"] = "0"
        os.environ |= {"RAY_TRAIN_V2_ENABLED": "1", "RAY_CHDIR_TO_TRIAL_DIR": "0"}
        warnings.filterwarnings("ignore", category=DeprecationWarning, module=r"ray\.")  # Ray deprecates parts that Ray uses
        from ray.train import FailureConfig, LoggingConfig, RunConfig
        from ray.train.v2.api.data_parallel_trainer import DataParallelTrainer

        arrive, around, payload = arrival(), surroundings({}), packed(live, self.task, mailbox)
        needed = self.sizes[-1] if self.reached == 0 else 0  # what is lost on the way may come back
        scaling, backend = _placement(self.size, needed, self.fixed)
        return DataParallelTrainer(
            lambda: arrive(around, payload),
            backend_config=backend,
            scaling_config=scaling,
            run_config=RunConfig(
                name="gang",
                storage_path=folder,
                failure_config=FailureConfig(max_failures=0, max_preemption_failures=0),
                logging_config=LoggingConfig("ERROR"),
            ),
        )

    def _error(self, problem: Exception) -> Exception:
        """The error to tell of: a member's own one if there is one, ours before others', the first before the later."""
        if isinstance(problem, Lost):
            return problem
        from ray.exceptions import RayError
        from ray.train import TrainingFailedError

        errors = [fell.answer.error for fell in self.fallen if fell.answer.error is not None]
        lost = [rank for rank, failure in getattr(problem, "worker_failures", {}).items() if _is_loss(failure)]
        ours = [error for error in errors if isinstance(error, MillraceError)]
        if ours:
            return ours[0]
        if errors and not lost:
            return errors[0]
        if not isinstance(problem, TrainingFailedError | RayError):
            return problem
        return Lost(
            f"{self.task.address} lost {'member ' + ', '.join(map(str, lost)) if lost else 'its gang'} of {self.size} "
            f"({_last_line(problem)}); if memory ran out, use a smaller micro-batch; the same command goes on from here"
        )


@dataclass
class Fit:
    """A call of Ray Train's `fit` in a thread: how it failed, if it did, and whether it is over.

    The thread itself cannot be asked: in Python 3.11 one whose `join` was interrupted is taken for ended.
    """

    problem: Exception | None = None
    over: threading.Event = field(default_factory=threading.Event)

    def run(self, trainer: Any) -> None:
        try:
            trainer.fit()
        except Exception as problem:
            self.problem = problem
        finally:
            self.over.set()

    def end(self) -> None:
        """Where the driver is told to end meanwhile: end the controller, and with it the gang's processes and the call.

        Ray would end the driver on the spot, without a word of ours, where a call still waits when Ray is shut down.
        """
        from ray import ActorID, JobID, get_runtime_context
        from ray._private import state, worker

        until = time.monotonic() + ENDING_SECONDS
        while not self.over.is_set() and time.monotonic() < until:
            for name, actor in state.actors(job_id=JobID.from_hex(get_runtime_context().get_job_id())).items():
                if actor["ActorClassName"] == "TrainController" and actor["State"] != "DEAD":
                    worker.global_worker.core_worker.kill_actor(ActorID.from_hex(name), True)
                    give_back()
            self.over.wait(POLL_SECONDS)


class Lost(RunError):
    """A gang's process ended without an error of its own."""


def _may_be_collateral(error: Exception) -> bool:
    """Whether an error may only tell of another process's end: the collectives' errors are bare RuntimeErrors, or of torch.distributed."""
    return isinstance(error, Lost) or type(error) is RuntimeError or type(error).__name__.startswith("Dist")


def _is_loss(failure: Exception) -> bool:
    from ray.exceptions import RayError
    from ray.train.v2._internal.exceptions import WorkerHealthCheckFailedError

    return isinstance(failure, RayError | WorkerHealthCheckFailedError)


def _last_line(problem: Exception) -> str:
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()]
    return lines[-1] if lines else type(problem).__name__


def _mailbox() -> Any:
    """An actor that keeps words in the order in which a member sends them. Its class is made here so that it travels by value.

    It lives on the driver's node: it must outlive any other.
    """
    import ray
    from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

    class Mailbox:
        def __init__(self) -> None:
            self.words: list[bytes] = []

        def put(self, word: bytes) -> None:
            self.words.append(word)

        def take(self) -> list[bytes]:
            words, self.words = self.words, []
            return words

    here = NodeAffinitySchedulingStrategy(node_id=context_node(), soft=False)
    return ray.remote(num_cpus=0, scheduling_strategy=here)(Mailbox).remote()


def _placement(size: int, needed: int, fixed: bool) -> tuple[Any, Any]:
    """Ray Train's scaling and backend: a GPU a process where the cluster has GPUs, else a core, or a share of the cores."""
    import ray
    from ray.train import BackendConfig, ScalingConfig

    has = ray.cluster_resources()
    if gpus := int(has.get("GPU", 0)):
        if gpus < needed:
            raise RequestError(f"{needed} training workers need {needed} GPUs, and the cluster has {gpus}: use {gpus} workers")
        from ray.train.torch import TorchConfig

        return ScalingConfig(num_workers=size, use_gpu=True), TorchConfig(backend="cpu:gloo,cuda:nccl")
    share = min(1.0, int(10_000 * has.get("CPU", 1) / size) / 10_000) if fixed else 1.0  # Ray counts in ten-thousandths
    return ScalingConfig(num_workers=size, resources_per_worker={"CPU": share}), BackendConfig()
