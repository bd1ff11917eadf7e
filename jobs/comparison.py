"""Checkpoints side by side on the same tasks, and whether they differ by more than chance."""

from collections.abc import Mapping, Sequence
from typing import Any

from jobs.checkpoints import checkpoint_manifest
from jobs.tasks import Task
from pipeline.evaluate.answers import read_answers
from pipeline.evaluate.evaluate import Evaluate
from pipeline.evaluate.scores import Scores
from pipeline.report.comparison import Scored, write_comparison
from pipeline.storage import Store
from pipeline.workflow.fingerprint import fingerprint
from pipeline.workflow.unit import open_artifact

Row = Mapping[str, Any]


def compared(evaluations: Sequence[Evaluate], store: Store) -> list[Row]:
    """How the metrics of each checkpoint differ from those of the first one, where both were asked the same examples."""
    first, *others = evaluations
    rows: list[Row] = []
    for number, task in enumerate(first.tasks):
        asked, scores = _answered(first, task, store)
        for other in others:
            asked_too, others_scores = _answered(other, other.tasks[number], store)
            if asked_too != asked:
                continue
            found = others_scores.less(scores, task.ratios(scores.totals))
            pair = {"task": task.name, "checkpoint": other.checkpoint.address, "against": first.checkpoint.address}
            rows += [{**pair, "metric": metric, **difference._asdict()} for metric, difference in found.items()]
    return rows


def comparison_page(evaluations: Sequence[Evaluate], scores: Mapping[str, Any], differences: Sequence[Row], store: Store) -> str:
    """Write the page on checkpoints side by side into the root; returns where it is."""
    scored = [Scored(address, checkpoint_manifest(address, store).facts, own) for address, own in scores.items()]
    name = fingerprint([evaluation.address for evaluation in evaluations])
    return write_comparison(scored, differences, store, f"reports/comparison-{name}.html")


def _answered(evaluation: Evaluate, task: Task, store: Store) -> tuple[list[int], Scores]:
    """What a checkpoint was asked, and the scores of its answers."""
    asked, scores = [], Scores()
    for kept in read_answers(open_artifact(store, evaluation), task.name):
        asked.append(hash(kept.record.asked))
        scores.add(kept.scores)
    return asked, scores


def show_scores(scores: Mapping[str, Mapping[str, float]]) -> list[str]:
    """The scores of one checkpoint, a line a metric, with their confidence intervals."""
    rows = []
    for task, metrics in scores.items():
        rows.append([f"{task} ({metrics['n']:,} examples)"])
        for metric in _figures(metrics):
            bounds = [f"{metric}_low", f"{metric}_high"]
            sure = f"[{', '.join(f'{metrics[bound]:.6g}' for bound in bounds)}]" if bounds[0] in metrics else ""
            rows.append([f"  {metric}", f"{metrics[metric]:.6g}", sure])
    return aligned(rows)


def show_comparison(scores: Mapping[str, Mapping[str, Mapping[str, float]]], differences: Sequence[Row]) -> list[str]:
    """The scores of several checkpoints, a column each, and by how much each differs from the first: with the 95 % interval, the
    p of a sign test, and a star where the interval leaves 0 out."""
    first = next(iter(scores))
    by_place = {(row["task"], row["metric"], row["checkpoint"]): row for row in differences}
    rows = []
    for task in scores[first]:
        rows.append([f"{task} ({scores[first][task]['n']:,} examples)", *(f"({number})" for number in range(1, len(scores) + 1))])
        rows[-1] += [f"({number}) − (1)" for number in range(2, len(scores) + 1)]
        for metric in _figures(scores[first][task]):
            values = [f"{of[task][metric]:.6g}" if metric in of[task] else "" for of in scores.values()]
            beside = [_differs(by_place.get((task, metric, address))) for address in scores if address != first]
            rows.append([f"  {metric}", *values, *beside])
    return [*(f"({number}) {address}" for number, address in enumerate(scores, 1)), *aligned(rows)]


def show_contamination(contamination: Mapping[str, Mapping[str, Mapping[str, float]]]) -> list[str]:
    """The metrics of clean examples beside those of examples of which a part was found in training, with their confidence intervals."""
    rows = []
    for task, groups in contamination.items():
        rows.append([task, *(f"{group.replace('_', ' ')} ({metrics['n']:,})" for group, metrics in groups.items())])
        names = dict.fromkeys(name for metrics in groups.values() for name in _figures(metrics))
        rows += [[f"  {name}", *(_sure(metrics, name) for metrics in groups.values())] for name in names]
    return aligned(rows)


def _sure(metrics: Mapping[str, float], name: str) -> str:
    """A metric with its interval, where it has them."""
    ends = [f"{metrics[bound]:.6g}" for bound in (f"{name}_low", f"{name}_high") if bound in metrics]
    return " ".join([f"{metrics[name]:.6g}", *([f"[{', '.join(ends)}]"] if ends else [])]) if name in metrics else ""


def _figures(metrics: Mapping[str, float]) -> list[str]:
    """The metrics without the bounds of their intervals and the number of examples."""
    bounds = {f"{metric}_{end}" for metric in metrics for end in ("low", "high")}
    return [metric for metric in metrics if metric not in bounds and metric != "n"]


def _differs(row: Row | None) -> str:
    if row is None:
        return ""
    star = "*" if row["low"] > 0 or row["high"] < 0 else " "
    return f"{row['difference']:+.4g} [{row['low']:+.4g}, {row['high']:+.4g}] p {row['p']:.2g}{star}"


def aligned(rows: Sequence[Sequence[str]]) -> list[str]:
    """Rows with their cells below each other, the first to the left."""
    columns = max(map(len, rows))
    widths = [max((len(row[place]) for row in rows if place < len(row) and len(row) > 1), default=0) for place in range(columns)]
    lines = []
    for first, *others in rows:
        cells = [cell.rjust(width) for cell, width in zip(others, widths[1:], strict=False)]
        lines.append("  ".join([first.ljust(widths[0]), *cells]).rstrip())
    return lines
