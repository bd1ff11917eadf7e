"""A local folder for what is saved, before it is stored: it goes when it is left, and where its process was killed, at the next save.

Each folder holds a file that its process has locked for as long as it lives, on whatever side of a container's wall: a folder whose lock
can be had is nobody's any more.
"""

import fcntl
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

PREFIX, LOCK = "millrace-save-", ".lock"


@contextmanager
def scratch() -> Iterator[Path]:
    """A new folder, after those of killed processes were removed."""
    _clear()
    with tempfile.TemporaryDirectory(prefix=PREFIX) as folder, open(draft := Path(folder, f"{LOCK}-draft"), "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        draft.rename(Path(folder, LOCK))  # it is never there unlocked
        (inner := Path(folder, "saved")).mkdir()
        yield inner


def _clear() -> None:
    for folder in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        with suppress(OSError), open(folder / LOCK) as lock:  # another user's, or gone meanwhile, or in use
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder)
