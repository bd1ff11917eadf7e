"""What `--cluster` means: an executor, and the Ray behind it for as long as a run lasts.

| word | what it is |
|---|---|
| none | this process |
| local | a Ray of its own on loopback, stopped at the end; inside a submitted job, the cluster that the job runs in |
| auto | the cluster that RAY_ADDRESS names, or the one that `ray start` started on this machine |
| HOST:PORT | that cluster; this machine must be one of its nodes |

Ray 2.60 listens on every interface unless its node address is loopback, makes its token file readable for all, does not use
the token with an address that was given in words, tries for 80 seconds before it gives up where nothing answers, and
prints on stdout: this module is where those are put right.
"""

import logging
import os
import re
import secrets
import signal
import socket
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pipeline.errors import RequestError, RunError
from pipeline.workflow.executor import Executor, InlineExecutor

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
    start = starts_own(where)
    with _own_signals():
        if start:
            _start(workers)
        else:
            _connect(where)
    import ray

    from infra.ray_executor import RayExecutor

    try:
        yield RayExecutor(workers=None if start else workers, fixed=start)
    finally:
        ray.shutdown()


def starts_own(where: str) -> bool:
    """Whether a run starts a Ray for itself."""
    return where == "local" and INSIDE_JOB not in os.environ


def running_at(where: str) -> str | None:
    """HOST:PORT of the cluster that `where` means and that is there already; None where a run starts its own, or needs none.

    Raises RequestError where it cannot be reached.
    """
    if where == "none" or starts_own(where):
        return None
    from ray._private.authentication.authentication_token_setup import maybe_enable_token_auth_if_token_available

    maybe_enable_token_auth_if_token_available(warn_if_disabled=False)
    address = "auto" if where == "local" else where
    found = _find(address)
    _reach(address, found)
    return found


@contextmanager
def _own_signals() -> Iterator[None]:
    """Ray takes SIGTERM for itself and ends the process with a dump of it; who starts Ray here has said already what is to be done."""
    mine = signal.getsignal(signal.SIGTERM)
    yield
    if mine is not None and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGTERM, mine)


def _keep_quiet() -> None:
    """Ray prints the raylet's complaints on the driver's stdout, whatever `log_to_driver` says; they belong in the log.

    And it warns, with some fuss, that its authentication is on.
    """
    from ray._private import worker

    def tell(data: dict[str, Any], ignore_prefix: bool) -> None:  # noqa: ARG001 - Ray's signature
        log.warning("Ray's %s: %.300s", data.get("pid"), " ".join(" ".join(data["lines"]).split()))

    worker.print_to_stdstream = tell
    logging.getLogger("ray._private.authentication").setLevel(logging.ERROR)


def _start(workers: int | None) -> None:
    """A Ray on loopback with token authentication, without a dashboard."""
    import ray

    _stay_on_loopback()
    keep_token_private()
    _keep_quiet()
    try:
        ray.init(
            address="local",
            num_cpus=workers,
            include_dashboard=False,
            object_store_memory=OBJECT_STORE_BYTES,
            log_to_driver=False,
            logging_level=logging.ERROR,
        )
    except (ray.exceptions.RayError, RuntimeError, OSError, ValueError) as problem:
        raise RunError(
            f"cannot start a local Ray ({_line(problem)}); its logs are in /tmp/ray/session_latest, or use --cluster none"
        ) from problem


def _connect(where: str) -> None:
    """Connect this process to a running cluster."""
    import ray

    _keep_quiet()
    found = running_at(where)
    try:
        ray.init(address=found, log_to_driver=False, logging_level=logging.ERROR)
    except (ray.exceptions.RayError, ConnectionError, RuntimeError, ValueError) as problem:
        raise RequestError(
            f"--cluster {where}: cannot connect ({_line(problem)}); run this on a node of that cluster, with its versions of Ray "
            "and Python, or use `ray job submit`"
        ) from problem


def _find(where: str) -> str:
    """HOST:PORT at which Ray will look for the cluster. It takes loopback for the address that others know this machine by."""
    from ray._private.services import canonicalize_bootstrap_address, get_ray_address_from_environment

    try:
        address = str(get_ray_address_from_environment("auto", None)) if where == "auto" else where
        known = str(canonicalize_bootstrap_address(address))
    except (ConnectionError, ValueError, OSError) as problem:
        raise RequestError(f"--cluster {where}: {_line(problem)}; start one with `ray start --head`, or use --cluster local") from problem
    if known != address and _listens(address) and not _listens(known):
        _stay_on_loopback()
        return address
    return known


def _stay_on_loopback() -> None:
    """The names are odd, the meaning is: the address of this node is loopback, and there is no other node."""
    from ray._private import ray_constants

    os.environ["RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER"] = "0"
    ray_constants.ENABLE_RAY_CLUSTER = False


def _listens(address: str) -> bool:
    host, port = address.rsplit(":", 1)
    try:
        with socket.create_connection((host.strip("[]"), int(port)), timeout=REACH_SECONDS):
            return True
    except OSError:
        return False


def _reach(where: str, address: str) -> None:
    """Raise RequestError unless a Ray that knows our token answers at HOST:PORT; with TLS it is left to Ray to find out."""
    import grpc  # type: ignore[import-untyped]

    if os.environ.get("RAY_USE_TLS", "0") != "0":
        return
    headers = [("authorization", f"Bearer {token}")] if (token := _token()) else None
    with grpc.insecure_channel(address) as channel:
        ask = channel.unary_unary("/ray.rpc.NodeInfoGcsService/GetClusterId")
        try:
            ask(b"", timeout=REACH_SECONDS, wait_for_ready=True, metadata=headers)
        except grpc.RpcError as problem:
            if problem.code() is grpc.StatusCode.UNAUTHENTICATED:
                remedy = "set RAY_AUTH_MODE=token and RAY_AUTH_TOKEN_PATH to a file with its token"
                raise RequestError(f"--cluster {where}: the Ray at {address} does not take our token: {remedy}") from problem
            remedy = "look whether it runs (`ray status`), or use --cluster local"
            raise RequestError(f"--cluster {where}: no Ray answers at {address} ({problem.code().name}); {remedy}") from problem


def _token() -> str | None:
    """The token that Ray would use, if there is one."""
    place = _token_place()
    return os.environ.get("RAY_AUTH_TOKEN") or (place.read_text().strip() if place.is_file() else None)


def _token_place() -> Path:
    return Path(os.environ.get("RAY_AUTH_TOKEN_PATH") or Path.home() / ".ray" / "auth_token")


def keep_token_private() -> None:
    """Make the token that a new cluster will use, readable for this user alone; Ray by itself makes it readable for all."""
    if os.environ.get("RAY_AUTH_TOKEN") or os.environ.get("RAY_AUTH_MODE", "token").lower() != "token":
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
