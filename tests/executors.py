"""An executor that does its units in another order than they are listed in."""

from collections.abc import Iterator, Sequence

from pipeline.workflow.receipt import Receipt
from pipeline.workflow.unit import UnitTask


class Backwards:
    """Does the units of a phase in the opposite order, in this process."""

    def units(self, tasks: Sequence[UnitTask]) -> Iterator[tuple[int, Receipt]]:
        for task in reversed(tasks):
            yield task.index, task.run()

    def gang(self, *_: object) -> None:
        raise NotImplementedError
