"""Numbers and facts in words, as reports and progress lines give them."""

import math
from collections.abc import Mapping
from typing import Any

from pipeline.workflow.journal import words_of as lasting

PREFIXES = ((1e12, "T"), (1e9, "B"), (1e6, "M"), (1e3, "k"))
__all__ = ["compact", "count", "lasting", "metric", "percent", "size", "summary"]


def count(number: float) -> str:
    """A count in full: "12,345"."""
    return f"{number:,.0f}"


def compact(number: float) -> str:
    """A count at a glance: "98,765", then in three figures: "123 k", "1.20 M", "45.6 B"."""
    return " ".join(_scaled(number)) if 1e5 <= abs(number) < math.inf else f"{number:,.0f}"


def _scaled(number: float) -> tuple[str, str]:
    """The number in three figures, and the prefix of its unit."""
    scale, prefix = next(((scale, prefix) for scale, prefix in PREFIXES if abs(number) >= scale), (1.0, ""))
    return _three_figures(number / scale), prefix


def _three_figures(number: float) -> str:
    return f"{number:.{max(0, 2 - int(math.log10(abs(number))))}f}"


def size(number: float) -> str:
    """A number of bytes: "12.3 MB"."""
    if number < 1e3:
        return f"{number:,.0f} B"
    figures, prefix = _scaled(number)
    return f"{figures} {'G' if prefix == 'B' else prefix}B"


def percent(part: float, whole: float) -> str:
    """A share: "12.3 %", and "< 0.1 %" for what would read as none."""
    share = 100 * part / whole if whole else 0.0
    return "< 0.1 %" if 0 < share < 0.05 else f"{share:.1f} %"


def metric(number: Any) -> str:
    """A measured number in four figures; a dash for none; anything else as it is written."""
    if number is None:
        return "–"
    if isinstance(number, bool) or not isinstance(number, int | float):
        return str(number)
    if isinstance(number, int) or (math.isfinite(number) and abs(number) >= 10_000):
        return f"{number:,.0f}"
    return f"{number:.4g}"


def summary(facts: Mapping[str, Any]) -> str:
    """What a finished step left, in a few words; empty where its facts are of no kind that is known here."""
    if isinstance(facts.get("tokens"), Mapping):
        train, validation = facts["tokens"].get("train", 0), facts["tokens"].get("validation", 0)
        return f"{compact(train)} tokens, {compact(validation)} held out"
    if "read" in facts and "kept" in facts:
        kept = f"{count(facts['kept'])} documents"
        return kept if facts["read"] == facts["kept"] else f"{kept} of {count(facts['read'])}"
    if isinstance(facts.get("loss"), Mapping):
        loss = facts["loss"]
        return f"{count(facts.get('steps', 0))} steps, loss {metric(loss.get('first'))} → {metric(loss.get('last'))}"
    if isinstance(facts.get("scores"), Mapping):
        return "; ".join(_score(task, metrics) for task, metrics in facts["scores"].items())
    if "samples" in facts:
        return f"{count(len(facts['samples']))} {'sample' if len(facts['samples']) == 1 else 'samples'}"
    if isinstance(facts.get("looked_at"), Mapping):
        looked = facts["looked_at"]
        return f"{count(looked['sources'])} source{'' if looked['sources'] == 1 else 's'}, {count(looked['excerpts'])} excerpts"
    if "vocabulary" in facts:
        return f"vocabulary of {count(facts['vocabulary'])}"
    return ""


def _score(task: str, metrics: Mapping[str, Any]) -> str:
    """The one metric that says most of a task."""
    name = next((name for name in ("bits_per_byte", "accuracy", *metrics) if name in metrics), None)
    return f"{task} {metric(metrics[name])} {name.replace('_', ' ')}" if name else task
