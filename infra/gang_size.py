"""How many processes a gang has now: all that it may have where there is room for them, and fewer where it may do with fewer."""

from collections.abc import Sequence


class Resized(Exception):
    """A gang is to go on with another number of processes."""

    def __init__(self, size: int) -> None:
        super().__init__(size)
        self.size = size


def largest(sizes: Sequence[int], room: int) -> int | None:
    """The greatest of the sizes for which there is room; None where there is none for the smallest."""
    return max((size for size in sizes if size <= room), default=None)


def free_places() -> int:
    """Processes that the cluster has room for beside what runs on it: a GPU each where it has GPUs, else a core."""
    import ray

    name = "GPU" if ray.cluster_resources().get("GPU") else "CPU"
    return int(ray.available_resources().get(name, 0))


def waits() -> bool:
    """Whether a gang waits for its place: Ray gives all of its members theirs at once."""
    from ray.util import placement_group_table

    return any(group["state"] in ("PENDING", "RESCHEDULING") for group in placement_group_table().values())
