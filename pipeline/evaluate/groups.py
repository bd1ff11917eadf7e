"""Counting examples by what they are about: a metric of every group beside that of all."""

from collections.abc import Collection

from pipeline.evaluate.base import Ratio

OF = "of:"


def grouped(metric: str, value: float, group: str | None) -> dict[str, float]:
    """The scores of an example in its group."""
    return {} if group is None else {f"{metric}:{group}": value, f"{OF}{group}": 1.0}


def group_ratios(metric: str, scores: Collection[str]) -> dict[str, Ratio]:
    """The metric of each group, among the names of scores."""
    groups = sorted(name.removeprefix(OF) for name in scores if name.startswith(OF))
    return {f"{metric}:{group}": Ratio(f"{metric}:{group}", f"{OF}{group}") for group in groups}
