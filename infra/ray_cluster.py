"""What `--cluster` means: an executor, and the Ray behind it for as long as a run lasts.

| word | what it is |
|---|---|
| none | this process |
| local | a Ray of its own on loopback, stopped at the end; inside a submitted job, the cluster that the job runs in |
| auto | the cluster that RAY_ADDRESS names, or the one that `ray start` started on this machine |
| HOST:PORT | that cluster; this machine must be one of its nodes |

Ray 2.60 listens on every interface unless its node address is loopback, makes its token file readable for all, does not use the token with
an address that was given in words, and waits for 80 seconds before it ends the process where nothing answers:
this module is where those are put right. Nothing of Ray goes to stdout.
"""

import logging
import os
import re
import secrets
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import RequestError
from pipeline.workflow.run import Executor, InlineExecutor

log = logging.getLogger(__name__)
REACH_SECONDS = 10.0
OBJECT_STORE_BYTES = 200 << 20  # artifacts travel through the root, not through Ray
INSIDE_JOB = "RAY_JOB_CONFIG_JSON_ENV_VAR"


def check_cluster(where: str) -> None:
    """Raise RequestError where `--cluster` has a value that means nothing. Starts nothing, connects to nothing."""
    if where.startswith("ray://"):
        raise RequestError(
            f"--cluster {where} is a Ray Client address, which cannot train: use `ray job submit --working-dir . -- python jobs/…`"
        )
    if where not in ("local", "auto", "none") and not re.fullmatch(r"(\[[0-9a-fA-F:]+\]|[^\s:/]+):\d{1,5}", where):
        raise RequestError(f"--cluster {where!r} is no cluster: use local, auto, none or HOST:PORT")


@contextmanager
def cluster(where: str, workers: int | None = None) -> Iterator[Executor]:
    """The executor that `where` means. `workers` is the most units at a time (None: as many as there are cores).

    Raises RequestError where the cluster cannot be reached, within about 10 seconds.
    """
    check_cluster(where)
    if workers is not None and workers < 1:
        raise RequestError(f"--workers is {workers}: use 1 or more")
    if where == "none":
        yield InlineExecutor()
        return
    start = where == "local" and INSIDE_JOB not in os.environ
    _keep_off_stdout()
    if start:
        _start(workers)
    else:
        _connect("auto" if where == "local" else where)
    import ray

    from infra.ray_executor import RayExecutor

    try:
        yield RayExecutor(workers=None if start else workers, fixed=start)
    finally:
        ray.shutdown()


def _keep_off_stdout() -> None:
    """Ray prints the raylet's complaints on the driver's stdout, whatever `log_to_driver` says; they belong in the log."""
    from ray._private import worker

    def tell(data: dict[str, Any], ignore_prefix: bool) -> None:  # noqa: ARG001 - Ray's signature
        log.warning("Ray's %s: %.300s", data.get("pid"), " ".join(" ".join(data["lines"]).split()))

    worker.print_to_stdstream = tell


def _start(workers: int | None) -> None:
    """A Ray on loopback with token authentication, without a dashboard."""
    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"  # the name is odd, the meaning is: the node's address is loopback
    os.environ.setdefault("RAY_AUTH_MODE", "token")
    if os.environ["RAY_AUTH_MODE"].lower() == "token":
        keep_token_private()
    import ray

    ray.init(
        address="local",
        num_cpus=workers,
        include_dashboard=False,
        object_store_memory=OBJECT_STORE_BYTES,
        log_to_driver=False,
        logging_level=logging.ERROR,
    )


def _connect(address: str) -> None:
    """Connect this process to a running cluster."""
    import ray
    from ray._private.services import canonicalize_bootstrap_address

    if "RAY_AUTH_MODE" not in os.environ and _token_is_known():
        os.environ["RAY_AUTH_MODE"] = "token"
    try:
        reached = canonicalize_bootstrap_address(address) or ""
    except (ConnectionError, ValueError, OSError) as problem:
        raise RequestError(f"--cluster {address}: {_line(problem)}; start one with `ray start --head`, or use --cluster local") from problem
    if not _answers(reached):
        raise RequestError(f"--cluster {address}: no Ray answers at {reached}; look whether it runs (`ray status`), or use --cluster local")
    try:
        ray.init(address=address, log_to_driver=False, logging_level=logging.ERROR)
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError) as problem:
        raise RequestError(
            f"--cluster {address}: cannot connect ({_line(problem)}); run this on a node of that cluster, with its Ray version and its "
            "token (RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH), or use `ray job submit`"
        ) from problem


def _answers(address: str) -> bool:
    """Whether something that speaks gRPC is at HOST:PORT; with TLS it is left to Ray to find out."""
    import grpc  # type: ignore[import-untyped]

    if os.environ.get("RAY_USE_TLS", "0") != "0":
        return True
    with grpc.insecure_channel(address) as channel:
        try:
            grpc.channel_ready_future(channel).result(timeout=REACH_SECONDS)
        except grpc.FutureTimeoutError:
            return False
    return True


def _token_place() -> Path:
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")


def _token_is_known() -> bool:
    return bool(os.environ.get("RAY_AUTH_TOKEN")) or _token_place().is_file()


def keep_token_private() -> None:
    """Make the token that a new cluster will use, readable for this user alone; Ray by itself makes it readable for all."""
    if os.environ.get("RAY_AUTH_TOKEN"):
        return
    place = _token_place()
    try:
        place.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        if not place.exists():
            _write_token(place)
        if place.stat().st_mode & 0o077:
            place.chmod(0o600)
    except OSError as problem:  # a home that cannot be written to, as in some containers
        place = Path(tempfile.mkdtemp(prefix="millrace-token-"), "auth_token")
        log.info("the token of the local cluster is in %s, since %s", place, problem)
        _write_token(place)
        os.environ["RAY_AUTH_TOKEN_PATH"] = str(place)


def _write_token(place: Path) -> None:
    """Whole or not at all, since another process may start its own Ray at the same moment."""
    with tempfile.NamedTemporaryFile("w", dir=place.parent, prefix=".draft-") as draft:  # made with mode 0600
        draft.write(secrets.token_hex(32))
        draft.flush()
        try:
            os.link(draft.name, place)
        except FileExistsError:
            return


def _line(problem: BaseException) -> str:
    return str(problem).strip().splitlines()[0] if str(problem).strip() else type(problem).__name__
