"""A process group of test processes, which ends with them."""

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NoReturn


@contextmanager
def meeting(place: Path, rank: int, size: int) -> Iterator[None]:
    """This process as one of a gloo group that meets in a file.

    torch._dynamo, which torch.optim loads, takes a group that is there by then for its default arguments, and so keeps it when it is
    destroyed; its threads then reach the end of the interpreter, where now and then one aborts the process. So it is loaded before.
    """
    import torch._dynamo
    from torch import distributed

    torch.set_num_threads(1)
    distributed.init_process_group("gloo", init_method=f"file://{place}", rank=rank, world_size=size)
    yield
    distributed.destroy_process_group()


def leave() -> NoReturn:
    """End this process where DeepSpeed was in use. It keeps groups of its own for good, whose threads do the same, whatever was loaded."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(0)
