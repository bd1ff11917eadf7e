"""At which addresses the processes of this session listen, read from /proc."""

import os
from pathlib import Path

LISTEN = "0A"


def listening() -> list[str]:
    """HOST:PORT of every socket at which this process or one that it started listens (children of children too)."""
    inodes = {inode for pid in _family() for inode in _inodes(pid)}
    rows = [row.split() for name in ("tcp", "tcp6") for row in Path(f"/proc/net/{name}").read_text().splitlines()[1:]]
    return sorted(_readable(row[1]) for row in rows if row[3] == LISTEN and row[9] in inodes)


def _family() -> set[int]:
    """The processes that have this one as an ancestor, and it."""
    parents: dict[int, int] = {}
    for process in Path("/proc").glob("[0-9]*"):
        try:
            parents[int(process.name)] = int((process / "stat").read_text().rsplit(")", 1)[1].split()[1])
        except OSError:
            continue
    family, size = {os.getpid()}, 0
    while len(family) > size:
        size = len(family)
        family |= {pid for pid, parent in parents.items() if parent in family}
    return family


def _inodes(pid: int) -> set[str]:
    found = set()
    try:
        for link in Path(f"/proc/{pid}/fd").iterdir():
            target = os.readlink(link)
            if target.startswith("socket:["):
                found.add(target.removeprefix("socket:[").removesuffix("]"))
    except OSError:
        return found
    return found


def _readable(address: str) -> str:
    """`0100007F:1F90`, and the same as an IPv4 address in IPv6, as `127.0.0.1:8080`."""
    host, port = address.split(":")
    mapped = host.removeprefix("0000000000000000FFFF0000")
    octets = [str(int(mapped[place : place + 2], 16)) for place in (6, 4, 2, 0)] if len(mapped) == 8 else [host]
    return f"{'.'.join(octets)}:{int(port, 16)}"
