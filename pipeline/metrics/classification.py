"""Accuracy and F1 from counts that add up over rows."""

from collections.abc import Mapping


def label_scores(expected: str, said: str) -> dict[str, float]:
    """What one answer counts for: right or not, and for each label that it has to do with, hits, false alarms and misses."""
    if expected == said:
        return {"right": 1.0, f"hit/{expected}": 1.0}
    return {"right": 0.0, f"missed/{expected}": 1.0, f"false/{said}": 1.0}


def label_metrics(totals: Mapping[str, float]) -> dict[str, float]:
    """`accuracy`, and `f1`: the mean over the labels that were expected or said, each by 2·hits / (2·hits + false + missed)."""
    labels = {name.split("/", 1)[1] for name, count in totals.items() if "/" in name and count}
    scores = []
    for label in labels:
        hits, false, missed = (totals.get(f"{kind}/{label}", 0.0) for kind in ("hit", "false", "missed"))
        scores.append(2 * hits / (2 * hits + false + missed))
    return {"accuracy": totals["right"] / totals["n"], "f1": sum(scores) / len(scores) if scores else 0.0}
