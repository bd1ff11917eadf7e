"""What a stranger's program tries, and what comes of it: each attack is run as it is, against the real sandbox."""

import os
import secrets
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from pipeline.errors import RequestError
from pipeline.evaluate.sandbox import Limits, Outcome, run_program
from tests.evaluate.shutting import need_sandbox
from tests.jobs.running import PROJECT

SHORT = Limits(seconds=10, cpu_seconds=2)
MARK = f"{secrets.randbelow(10**9) + 10**6}.5"
"""Seconds that no other process on the machine sleeps."""


@pytest.fixture(scope="module", autouse=True)
def _sandbox() -> None:
    need_sandbox()


def running(mark: str = MARK) -> list[int]:
    """The processes whose command holds a mark."""
    found = []
    for place in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            if mark.encode() in place.read_bytes():
                found.append(int(place.parent.name))
    return found


def gone(mark: str = MARK) -> bool:
    """Whether there soon is no such process."""
    until = time.monotonic() + 10
    while running(mark) and time.monotonic() < until:
        time.sleep(0.05)
    return not running(mark)


def attacked(program: str, limits: Limits = SHORT) -> Outcome:
    return run_program(program, limits)


def test_a_program_that_comes_to_its_end_passes_and_its_output_is_kept() -> None:
    assert attacked("print('天地', 2 ** 10)") == Outcome("passed", "天地 1024\n")


@pytest.mark.parametrize(
    "program",
    ["assert 1 == 2", "raise SystemExit", "import sys; sys.exit(0)", "import os; os._exit(0)", "x =", "exit()", "import os; os.abort()"],
)
def test_a_program_that_ends_before_its_end_does_not_pass(program: str) -> None:
    assert attacked(program).ended == "failed"


def test_what_a_library_expects_of_a_program_is_there() -> None:
    program = """
import collections, dataclasses, heapq, math, pickle, random, re, tempfile, threading, typing
@dataclasses.dataclass
class Point:
    x: int
assert pickle.loads(pickle.dumps(Point(3))) == Point(3)
assert __name__ == "__main__"
thread = threading.Thread(target=print, args=("said",)); thread.start(); thread.join()
with tempfile.NamedTemporaryFile("w") as file:
    file.write("x" * 1000)
"""
    assert attacked(program) == Outcome("passed", "said\n")


def test_a_loop_without_end_is_ended_by_the_time_of_the_processor() -> None:
    assert attacked("while True: pass", Limits(seconds=60, cpu_seconds=1)).ended == "failed"


def test_a_program_that_waits_is_ended_by_the_clock() -> None:
    assert attacked("import time; time.sleep(1000)", Limits(seconds=1)).ended == "time"


def test_a_program_that_closes_its_output_and_waits_is_ended_by_the_clock() -> None:
    assert attacked("import os, time; os.close(1); os.close(2); time.sleep(1000)", Limits(seconds=1)).ended == "time"


def test_signals_do_not_keep_a_program_alive() -> None:
    program = """
import signal, time
for number in range(1, 32):
    try: signal.signal(number, signal.SIG_IGN)
    except OSError: pass
time.sleep(1000)
"""
    assert attacked(program, Limits(seconds=1)).ended == "time"


def test_memory_ends_before_the_machines_does() -> None:
    outcome = attacked("x = []\nwhile True: x.append(bytearray(1 << 24))")
    assert outcome.ended == "failed"
    assert "MemoryError" in outcome.output


def test_a_fork_bomb_meets_a_bound_and_leaves_nothing() -> None:
    sleeper = f"import time; time.sleep({MARK})"
    bomb = f"""
import os, sys
while True:
    try:
        if not os.fork():
            os.execv(sys.executable, [sys.executable, "-c", {sleeper!r}])
    except OSError: pass
"""
    most, done = 0, threading.Event()

    def count() -> None:
        nonlocal most
        while not done.wait(0.02):
            most = max(most, len(running(sleeper)))

    watching = threading.Thread(target=count)
    watching.start()
    outcome = attacked(bomb, Limits(seconds=4, cpu_seconds=60))
    done.set()
    watching.join()
    assert outcome.ended == "time"
    assert 1 <= most < SHORT.processes
    assert gone()


def test_more_processes_than_are_allowed_are_refused() -> None:
    program = "import os, time\nfor n in range(50):\n    if not os.fork(): time.sleep(100)"
    assert "BlockingIOError" in attacked(program).output


def test_threads_count_as_processes() -> None:
    program = "import threading, time\nfor n in range(50): threading.Thread(target=time.sleep, args=(100,), daemon=True).start()"
    assert "can't start new thread" in attacked(program).output


def test_what_a_program_leaves_running_ends_with_it() -> None:
    waiting = f"import time; time.sleep({MARK})"
    program = f"import subprocess, sys\nsubprocess.Popen([sys.executable, '-c', {waiting!r}], start_new_session=True, stdout=-3, stderr=-3)"
    assert attacked(program).ended == "passed"
    assert gone()


def test_no_file_outside_its_folder_can_be_written_and_nothing_stays(tmp_path: Path) -> None:
    program = f"""
import os
tried = ["/x", "/usr/x", "/bin/x", "/dev/x", "/etc/x", "/root/x", os.path.join({str(tmp_path)!r}, "x"), os.__file__, {__file__!r}]
for place in tried:
    try:
        open(place, "a").write("x")
        print("wrote", place)
    except OSError: pass
for act in (lambda: os.mkdir("/x"), lambda: os.remove(os.__file__), lambda: os.chmod("/usr", 0o777), lambda: os.rename("/usr", "/x")):
    try: act(); print("did")
    except OSError: pass
open("mine", "w").write("x"); open("/tmp/other", "w").write("x")
print(sorted(os.listdir(".")))
"""
    assert attacked(program) == Outcome("passed", "['mine', 'other']\n")
    assert attacked("import os; print(os.listdir('.'))") == Outcome("passed", "[]\n")
    assert not list(tmp_path.iterdir())


def test_files_of_the_machine_cannot_be_read(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    program = f"""
import os
for place in ({str(tmp_path / "secret")!r}, {__file__!r}, "/etc/passwd", "/etc/shadow", "/proc/1/environ", "/sys", "/run"):
    print(os.path.exists(place))
"""
    assert set(attacked(program).output.split()) == {"False"}


def test_the_environment_is_empty_of_secrets(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HF_TOKEN", "hf_secret")
    outcome = attacked("import os\nfor name, value in os.environ.items(): print(name, value)")
    assert "secret" not in outcome.output
    names = {line.split()[0] for line in outcome.output.splitlines()}
    assert names <= {"PATH", "HOME", "TMPDIR", "LANG", "LC_CTYPE", "PYTHONHASHSEED"}


def test_files_that_are_open_here_are_not_open_there(tmp_path: Path) -> None:
    (tmp_path / "secret").write_text("secret")
    with open(tmp_path / "secret") as file:
        os.set_inheritable(file.fileno(), True)
        program = "import os\nfor number in range(3, 64):\n    try: os.fstat(number); print(number)\n    except OSError: pass"
        assert attacked(program + "\nprint(os.read(0, 9))").output == "b''\n"


@pytest.fixture
def listening() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_there_is_no_network_not_even_the_loopback(listening: int) -> None:
    program = f"""
import socket
for place in (("127.0.0.1", {listening}), ("1.1.1.1", 53)):
    try: socket.create_connection(place, 2); print("connected")
    except OSError as problem: print(problem.errno)
try: socket.getaddrinfo("example.com", 80); print("resolved")
except OSError: pass
"""
    assert attacked(program) == Outcome("passed", "101\n101\n"), "unreachable"


def test_output_without_end_is_cut() -> None:
    outcome = attacked("import os\nwhile True: os.write(1, b'x' * 65536)")
    assert outcome.ended == "output"
    assert len(outcome.output) == SHORT.output_bytes


def test_a_folder_holds_no_more_than_it_may() -> None:
    program = "for n in range(64):\n    with open(str(n), 'wb') as file: file.write(bytes(1 << 20))"
    assert "No space left" in attacked(program).output
    assert "No space left" in attacked("for n in range(100_000): open(str(n), 'wb').close()", Limits(cpu_seconds=10)).output
    assert attacked("open('x', 'wb').write(bytes(1 << 25))").ended == "failed"


def test_no_process_but_its_own_can_be_ended_or_traced() -> None:
    mine = os.getpid()
    program = f"""
import ctypes, os, signal
print(os.getpid(), os.getppid())
for process in ({mine}, {os.getppid()}, -1, 2, os.getppid()):
    try: os.kill(process, signal.SIGKILL)
    except OSError as problem: pass
print(ctypes.CDLL(None).ptrace(16, {mine}, 0, 0))
"""
    assert attacked(program) == Outcome("passed", "1 0\n-1\n")


def test_no_rights_can_be_got_back() -> None:
    program = """
import ctypes, os
libc = ctypes.CDLL(None, use_errno=True)
print(os.getuid() != 0, libc.setuid(0), libc.unshare(0x10000000), libc.unshare(0x00020000), libc.chroot(b"."))
print(libc.mount(b"tmpfs", b"/tmp", b"tmpfs", 0, None), libc.sethostname(b"x", 1))
import resource
for kind in (resource.RLIMIT_AS, resource.RLIMIT_CPU, resource.RLIMIT_NPROC):
    try: resource.setrlimit(kind, (resource.RLIM_INFINITY, resource.RLIM_INFINITY)); print("raised")
    except (ValueError, OSError): pass
"""
    assert attacked(program) == Outcome("passed", "True -1 -1 -1 -1\n-1 -1\n")


def test_a_program_ends_with_the_process_that_asked_for_it() -> None:
    sleeper = f"import time; time.sleep({MARK})"
    waiting = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {sleeper!r}])"
    script = f"from pipeline.evaluate.sandbox import Limits, run_program; run_program({waiting!r}, Limits(seconds=300))"
    asking = subprocess.Popen([sys.executable, "-c", script], cwd=PROJECT)
    until = time.monotonic() + 30
    while set(running(sleeper)) <= {asking.pid} and time.monotonic() < until:
        time.sleep(0.05)
    assert set(running(sleeper)) > {asking.pid}
    asking.kill()
    asking.wait()
    assert gone(sleeper)


@pytest.mark.parametrize("name", ["seconds", "memory_bytes", "processes"])
def test_a_limit_that_allows_nothing_is_refused(name: str) -> None:
    with pytest.raises(RequestError, match=f"{name} of a sandbox is 0"):
        Limits(**{name: 0})


def test_where_programs_cannot_be_shut_in_they_are_refused_and_not_run(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    broken = tmp_path / "jail.py"
    broken.write_text("import os, sys\nos.write(int(sys.argv[3]), b'unshare: not permitted')\nsys.exit(1)\n")
    monkeypatch.setattr("pipeline.evaluate.jail.__file__", str(broken))
    with pytest.raises(RequestError, match=r"cannot be shut in on this machine .*not permitted"):
        run_program("print(1)", SHORT)
