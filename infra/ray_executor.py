"""The executor on Ray: units as tasks, gangs by Ray Train. It holds no state of its own: what is done is in the store."""

import logging
import pickle
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any

from infra.worker import Answer, answered, arrival, packed, surroundings, threads
from pipeline.errors import RunError
from pipeline.workflow.executor import Report
from pipeline.workflow.receipt import Receipt
from pipeline.workflow.unit import UnitTask

log = logging.getLogger(__name__)
QUEUED_PER_CORE = 2  # one that runs, and one that waits so that no core does
PATIENCE_SECONDS = 60.0


@dataclass(frozen=True, kw_only=True)
class RayExecutor:
    """Runs units and gangs on the Ray that this process is connected to.

    `workers` bounds the units in flight (None: as many as the cluster has cores for); `retries` is how often
    a unit, or a gang that comes no further, whose process was lost is started again; `fixed` says that the cluster cannot grow, so
    that a gang larger than its cores shares them rather than waits for more. `patience` are the seconds after which a gang
    that waits for room does with fewer processes, if it may; `silence` those that one says nothing of its steps, at least,
    before it is taken to stand still.
    """

    workers: int | None = None
    retries: int = 3
    fixed: bool = False
    patience: float = 60.0
    silence: float = 300.0

    def units(self, tasks: Sequence[UnitTask]) -> Iterator[tuple[int, Receipt]]:
        """Run the tasks, few enough at a time that none queues for long; yields each as it is committed.

        Raises what a unit raised, and RunError where a unit's process was lost more than `retries` times.
        """
        import ray

        send = self._sender(len(tasks))
        waiting, flying = iter(tasks), dict[Any, UnitTask]()
        try:
            while True:
                for task in islice(waiting, max(0, self._room() - len(flying))):
                    flying[send(task)] = task
                if not flying:
                    return
                done, _ = ray.wait(list(flying), num_returns=1, timeout=PATIENCE_SECONDS)
                for ref in done:
                    task = flying.pop(ref)
                    yield task.index, _receipt(ref, task)
                if not done:
                    _mention_an_empty_cluster()
        finally:
            for ref in flying:
                ray.cancel(ref)

    def gang(self, task: UnitTask, sizes: Sequence[int], report: Report) -> None:
        from infra.gang_pulse import Pulse
        from infra.train_gang import Gang

        pulse = Pulse(seconds=self.silence)
        Gang(task, sizes, report, restarts=self.retries, fixed=self.fixed, patience=self.patience, pulse=pulse).run()

    def _room(self) -> int:
        """How many units may be in flight now; a cluster may grow meanwhile."""
        import ray

        return self.workers or max(1, QUEUED_PER_CORE * int(ray.cluster_resources().get("CPU", 0)))

    def _sender(self, count: int) -> Callable[[UnitTask], Any]:
        """Starts a task on the cluster. Where there are fewer units than cores, each has several threads."""
        import ray

        node = _cores_of_a_node()
        cores = max(1, min(node, self.workers or node) // max(1, count))
        options: dict[str, Any] = {"num_cpus": cores, "max_retries": self.retries, "retry_exceptions": False}
        if cores > 1:  # libraries count their threads once in a process, so these need processes of their own
            options["runtime_env"] = {"env_vars": threads(cores)}
        remote = ray.remote(**options)(arrival())
        around: Mapping[str, Any] = surroundings(threads(cores))

        return lambda task: remote.options(name=f"{task.address.split('/')[0]}.{task.phase}").remote(around, packed(_run, task))


def _run(task: UnitTask) -> Answer:
    return answered(task.run)


def _receipt(ref: Any, task: UnitTask) -> Receipt:
    """The receipt of a finished unit; raises the unit's own error, or RunError where Ray could not finish it."""
    import ray

    unit = f"unit {task.index} of {task.address} ({task.phase})"
    try:
        data = ray.get(ref)
    except ray.exceptions.RayTaskError as problem:
        last = str(problem).strip().splitlines()[-1]
        raise RunError(f"{unit} could not begin in a worker ({last}): its nodes need the same packages as this one") from problem
    except ray.exceptions.RayError as problem:
        first = str(problem).strip().splitlines()[0]
        raise RunError(
            f"{unit} was lost with its process, and again when it was tried anew ({type(problem).__name__}: {first}); "
            "if memory ran out, use fewer --workers; the same command goes on from here"
        ) from problem
    receipt: Receipt = pickle.loads(data).open()  # noqa: S301 - from a worker of this cluster, which runs our code anyway
    return receipt


def _cores_of_a_node() -> int:
    import ray

    return max((int(node["Resources"].get("CPU", 0)) for node in ray.nodes() if node["Alive"]), default=1)


def _mention_an_empty_cluster() -> None:
    import ray

    if not ray.cluster_resources().get("CPU"):
        log.warning("the cluster has no cores at present: waiting until a node with some joins it")
