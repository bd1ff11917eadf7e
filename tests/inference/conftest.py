"""The small checkpoints of the evaluation's tests, and one of each family."""

from tests.evaluate.conftest import one_thread, trained
from tests.inference.families import families

__all__ = ["families", "one_thread", "trained"]
