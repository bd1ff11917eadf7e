"""The small checkpoint of the evaluation's tests."""

from tests.evaluate.conftest import one_thread, trained

__all__ = ["one_thread", "trained"]
