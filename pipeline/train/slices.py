"""What cannot be trained on in slices is refused before anything starts; how it is done is in `exchange.py`."""

from pipeline.errors import RequestError
from pipeline.models.base import Architecture


def check_slices(model: Architecture, context: int, slices: int, workers: int) -> None:
    """Raise RequestError where `slices` neighbours of so many workers cannot share windows of this model."""
    if slices == 1:
        return
    if slices < 1:
        raise RequestError(f"sequence_parallel is {slices}: use 1 (workers have windows of their own) or more")
    if model.whole_windows is not None:
        raise RequestError(
            f"sequence_parallel is {slices}, and workers cannot hold a slice each of a window of {type(model).__name__}"
            f" ({model.whole_windows}): use 1"
        )
    for name, number in (("workers", workers), ("model.heads", getattr(model, "heads", slices)), ("context", context)):
        if number % slices:
            raise RequestError(f"{name} is {number}, and sequence_parallel is {slices}, which does not divide it: use a multiple, or 1")
