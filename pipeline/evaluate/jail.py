"""Shuts a program of a stranger in, and runs it: what `pipeline.evaluate.sandbox` starts as a process of its own.

It knows nothing of this project, so that nothing of it is loaded where the program runs. Three processes follow one another, and each
dies with the one before: the first lets the second have a user of its own, the second makes namespaces (users, mounts, processes,
network, IPC, host name) and a root that holds the interpreter, read-only, and an empty folder; the third becomes a user without any
rights, with bounds on what it takes, and executes the interpreter. See namespaces(7), mount_setattr(2) and setrlimit(2).
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Iterator, Mapping

NOBODY = 65534
NEW_NAMESPACES = 0x00020000 | 0x04000000 | 0x08000000 | 0x10000000 | 0x20000000 | 0x40000000
"""Mounts, host name, IPC, users, processes, network."""
NO_SET_USER, NO_DEVICES, BIND, RECURSIVE, PRIVATE = 2, 4, 4096, 16384, 1 << 18
MOUNT_SET_ATTRIBUTES, HERE, READ_ONLY = 442, -100, 1
DIE_WITH_PARENT, NO_NEW_RIGHTS = 1, 38
DEVICES = ("/dev/null", "/dev/zero", "/dev/random", "/dev/urandom")
SYSTEM = ("/usr", "/bin", "/lib", "/lib64", "/etc/ld.so.cache")
FOLDER = "/tmp"  # noqa: S108 - the program's own
ENVIRONMENT = {"PATH": "/usr/bin:/bin", "HOME": FOLDER, "TMPDIR": FOLDER, "LANG": "C.UTF-8", "PYTHONHASHSEED": "0"}
HARNESS = """
import os, sys, types
sign, _, program = sys.stdin.buffer.read().decode().partition("\\n")
os.close(0)
os.open("/dev/null", os.O_RDONLY)
main = types.ModuleType("__main__")
sys.modules["__main__"] = main
exec(compile(program, "<program>", "exec"), main.__dict__)
sys.stdout.flush()
os.write(1, sign.encode())
os._exit(0)
"""
"""Runs the program on standard input behind its first line, which is written out when the program has come to its end."""
INTERPRETER = os.path.realpath(sys.executable)
libc = ctypes.CDLL(None, use_errno=True)


def call(name: str, *arguments: int | bytes | None) -> None:
    """A function of the C library, with its errors raised."""
    if getattr(libc, name)(*arguments) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{name}: {os.strerror(number)}")


def die_with_parent() -> None:
    call("prctl", DIE_WITH_PARENT, int(signal.SIGKILL), 0, 0, 0)


def main() -> None:
    """Run the program on standard input within the limits in argument 1, with a root at argument 2; what fails is said to the file
    number in argument 3, which is closed when the program begins."""
    limits, root, trouble = json.loads(sys.argv[1]), sys.argv[2], int(sys.argv[3])
    os.set_inheritable(trouble, False)
    die_with_parent()
    try:
        ready, mapped = os.pipe(), os.pipe()
        second = os.fork()
        if second == 0:
            shut_in(limits, root, ready[1], mapped[0])
        os.close(ready[1])
        if os.read(ready[0], 1):
            map_users(second)
            os.write(mapped[1], b"1")
        leave(second)
    except BaseException as problem:  # whatever it is, the program must not run
        os.write(trouble, str(problem).encode())
        os._exit(1)


def map_users(process: int) -> None:
    """Let a process have one user: nobody, who is nobody outside too where we are root, and otherwise ourselves."""
    root = os.geteuid() == 0
    if not root:
        write(f"/proc/{process}/setgroups", "deny")
    for kind, own in (("uid_map", os.geteuid()), ("gid_map", os.getegid())):
        write(f"/proc/{process}/{kind}", f"0 0 1\n{NOBODY} {NOBODY} 1" if root else f"{NOBODY} {own} 1")


def write(place: str, text: str) -> None:
    with open(place, "w") as file:
        file.write(text)


def leave(process: int) -> None:
    """End as a process ends."""
    _, status = os.waitpid(process, 0)
    os._exit(min(abs(os.waitstatus_to_exitcode(status)), 255))


def shut_in(limits: Mapping[str, int], root: str, ready: int, mapped: int) -> None:
    """The second process: namespaces and a root of its own, and the program in them."""
    was_root = os.geteuid() == 0
    call("unshare", NEW_NAMESPACES)
    os.write(ready, b"1")
    if not os.read(mapped, 1):
        raise OSError("no user could be made")
    build_root(root.encode(), limits["folder_bytes"])
    if was_root:
        os.setgroups([])
        os.setresgid(NOBODY, NOBODY, NOBODY)
        os.setresuid(NOBODY, NOBODY, NOBODY)
    die_with_parent()  # not before: a change of rights takes it back
    program = os.fork()
    if program == 0:
        execute(limits)
    leave(program)


def build_root(root: bytes, folder_bytes: int) -> None:
    """A root with the interpreter, the system's libraries and a few devices, all read-only, and a folder in memory that is not."""
    call("mount", None, b"/", None, RECURSIVE | PRIVATE, None)
    call("mount", b"tmpfs", root, b"tmpfs", NO_SET_USER | NO_DEVICES, b"size=1m,mode=755")
    for place in visible():
        target = root + place.encode()
        os.makedirs(os.path.dirname(target), exist_ok=True)
        if os.path.islink(place):
            os.symlink(os.readlink(place), target.decode())
            continue
        os.mkdir(target) if os.path.isdir(place) else open(target, "x").close()
        call("mount", place.encode(), target, None, BIND | RECURSIVE, None)
        make_read_only(target)
    folder = root + FOLDER.encode()
    os.mkdir(folder)
    call("mount", b"tmpfs", folder, b"tmpfs", NO_SET_USER | NO_DEVICES, f"size={folder_bytes},mode=777,nr_inodes=10000".encode())
    make_read_only(root, recursive=False)
    os.chroot(root)
    os.chdir(FOLDER)


def visible() -> Iterator[str]:
    """What the program's root holds, each once."""
    places = [*SYSTEM, *DEVICES, os.path.realpath(sys.base_prefix), os.path.dirname(INTERPRETER)]
    seen: list[str] = []
    for place in places:
        if os.path.exists(place) and not any(place == other or place.startswith(other + "/") for other in seen):
            seen.append(place)
            yield place


def make_read_only(place: bytes, recursive: bool = True) -> None:
    attributes = (ctypes.c_uint64 * 4)(READ_ONLY | NO_SET_USER, 0, 0, 0)
    if libc.syscall(MOUNT_SET_ATTRIBUTES, HERE, place, 0x8000 if recursive else 0, attributes, ctypes.sizeof(attributes)) < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"mount_setattr: {os.strerror(number)}")


def execute(limits: Mapping[str, int]) -> None:
    """The third process: the first of its namespace, so that all others in it end with it."""
    die_with_parent()
    os.setsid()
    call("prctl", NO_NEW_RIGHTS, 1, 0, 0, 0)
    bound(resource.RLIMIT_AS, limits["memory_bytes"])
    bound(resource.RLIMIT_CPU, limits["cpu_seconds"])
    bound(resource.RLIMIT_FSIZE, limits["folder_bytes"])
    bound(resource.RLIMIT_NPROC, limits["processes"])
    bound(resource.RLIMIT_NOFILE, limits["files"])
    bound(resource.RLIMIT_CORE, 0)
    os.execve(INTERPRETER, (INTERPRETER, "-s", "-S", "-P", "-B", "-c", HARNESS), ENVIRONMENT)  # noqa: S606 - the program of a stranger, shut in


def bound(kind: int, most: int) -> None:
    """At most so much, or what was allowed before, if that is less; the same for the one and the other limit, so that it is final."""
    before = resource.getrlimit(kind)[1]
    most = most if before == resource.RLIM_INFINITY else min(most, before)
    resource.setrlimit(kind, (most, most))


if __name__ == "__main__":
    main()
