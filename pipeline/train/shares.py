"""How a step's batch is shared out: among how many workers, and how much of it one takes at once."""

from pipeline.errors import RequestError


def check_least(least: int | None, workers: int) -> None:
    """Raise RequestError for a least number of workers that is none."""
    if least is not None and not 1 <= least <= workers:
        raise RequestError(f"least_workers is {least}: use 1 to the number of workers ({workers}), or None")


def sizes_of(batch: int, workers: int, least: int | None, slices: int = 1) -> tuple[int, ...]:
    """The numbers of workers, from `least` on, that may share a batch, the wanted one first; without a least one, that alone.

    Where `slices` neighbours share each window, these are multiples of that.
    """
    return tuple(size for size in range(workers, (least or workers) - 1, -slices) if batch * slices % size == 0)


def rows_at_once(share: int, most: int) -> int:
    """Windows that a worker takes at once: the greatest divisor of its share that is no more than `most`."""
    return next(rows for rows in range(min(most, share), 0, -1) if share % rows == 0)
