"""A member of a gang on Ray Train, in its worker process, and the words that it sends to the driver."""

import os
import pickle
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from ipaddress import ip_address
from typing import Any

from infra.worker import Answer, Ear, portable
from pipeline.workflow.executor import run_member
from pipeline.workflow.unit import UnitTask


@dataclass(frozen=True)
class Came:
    """A member has started."""

    rank: int


@dataclass(frozen=True)
class Said:
    """The first member's report."""

    metrics: Mapping[str, Any]


@dataclass(frozen=True)
class Saved:
    """The work can go on from where it is now, by whatever number of processes."""


@dataclass(frozen=True)
class Fell:
    """A member's own error, as an answer."""

    rank: int
    answer: Answer


@dataclass
class RayMember:
    """A member of a gang on Ray Train."""

    rank: int
    size: int
    mailbox: Any
    last: Any = None

    def report(self, metrics: Mapping[str, Any]) -> None:
        if self.rank == 0:
            self.say(Said(dict(metrics)))

    @property
    def leaving(self) -> bool:
        """What Ray Train's watcher of nodes has told this process; its own question after it would be a barrier for the whole gang."""
        from ray.train.v2._internal.execution.context import get_train_context

        return get_train_context().preemption_context.preemption_info is not None

    def saved(self) -> None:
        if self.rank == 0:
            self.say(Saved())

    def say(self, word: Any) -> None:
        """Send a word to the driver without waiting for it."""
        self.last = self.mailbox.put.remote(pickle.dumps(word))

    def flush(self) -> None:
        """Wait until the mailbox has every word."""
        import ray

        ray.get(self.last)


def live(task: UnitTask, mailbox: Any) -> None:
    """A member's whole life, in its worker process."""
    import ray.train

    context = ray.train.get_context()
    member = RayMember(context.get_world_rank(), context.get_world_size(), mailbox)
    member.say(Came(member.rank))
    with Ear(member.say):
        try:
            _prepare(context)
            run_member(task, member)
        except Exception as problem:
            member.say(Fell(member.rank, Answer(None, portable(problem))))
            member.flush()
            raise RuntimeError(f"member {member.rank}: {type(problem).__name__}: {problem}") from None  # a type that Ray's controller knows
        member.flush()


def _prepare(context: Any) -> None:
    """The environment, threads and process group of a member."""
    import ray

    ranks = {"RANK": context.get_world_rank(), "WORLD_SIZE": context.get_world_size()}
    local = {"LOCAL_RANK": context.get_local_rank(), "LOCAL_WORLD_SIZE": context.get_local_world_size()}
    os.environ.update({name: str(value) for name, value in (ranks | local).items()})
    cores = next((int(node["Resources"].get("CPU", 1)) for node in ray.nodes() if node["NodeID"] == context_node()), 1)
    threads = max(1, cores // context.get_local_world_size())
    os.environ["OMP_NUM_THREADS"] = str(threads)
    if not ray.get_runtime_context().get_accelerator_ids().get("GPU"):
        os.environ["DS_ACCELERATOR"] = "cpu"
    if "torch" in sys.modules:
        sys.modules["torch"].set_num_threads(threads)
    if context.get_world_size() > 1:
        _join_group(context)


def context_node() -> str:
    import ray

    return str(ray.get_runtime_context().get_node_id())


def _join_group(context: Any) -> None:
    """A gloo process group whose rendezvous listens on the first member's node address alone."""
    import ray.util
    from ray.train.collective import broadcast_from_rank_zero
    from torch import distributed
    from torch.distributed import TCPStore  # type: ignore[attr-defined]  # public, but not in its module's list

    if distributed.is_initialized():  # by Ray's TorchConfig
        return
    rank, size = context.get_world_rank(), context.get_world_size()
    here = ray.util.get_node_ip_address()
    if ip_address(here).is_loopback:
        os.environ.setdefault("GLOO_SOCKET_IFNAME", "lo")
    listener = socket.create_server((here, 0)) if rank == 0 else None
    host, port = broadcast_from_rank_zero(listener.getsockname()[:2] if listener else None)
    handle = listener.detach() if listener else None
    store = TCPStore(host, port, is_master=rank == 0, master_listen_fd=handle, wait_for_workers=False)
    distributed.init_process_group("gloo", store=store, rank=rank, world_size=size)
