"""What a training cost, in words: the waits, the restarts, memory, energy and money, its own and of all runs that led to its weights."""

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from pipeline.report.words import count, lasting, metric, percent, size

KILOWATT_HOUR = 3.6e6


def cost_pairs(economy: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what, how much) of the facts that a training keeps as `economy`; what is not known is left out."""
    seconds, lineage = economy.get("seconds", 0.0), economy.get("lineage", {})
    found = [
        ("Waited for data", _share(economy.get("data_seconds", 0.0), seconds)),
        ("Waited for checkpoints", _share(economy.get("save_seconds", 0.0), seconds)),
        ("Restarts", _restarts(economy)),
        *_known(economy, "peak_bytes", "Peak memory of a worker", size),
        ("Workers' time", _spent(economy)),
    ]
    if len(lineage.get("runs", ())) > 1:
        found.append((f"Workers' time of all {count(len(lineage['runs']))} runs that led to it", _spent(lineage)))
    if lineage.get("uncounted"):
        found.append(("Before it, at a cost that is not on record", ", ".join(map(str, lineage["uncounted"]))))
    return found


def cost_in_words(economy: Mapping[str, Any]) -> str:
    """The same in one line: "30 min of a worker on cpu, 0.02 EUR"."""
    lineage = economy.get("lineage", {})
    words = _spent(economy, f" of a worker on {economy.get('device', 'an unknown device')}")
    return f"{words}; with the runs that it began with, {_spent(lineage)}" if len(lineage.get("runs", ())) > 1 else words


def _spent(bill: Mapping[str, Any], whose: str = "") -> str:
    """The time of workers, and energy and money where they are known."""
    parts = [f"{lasting(3600 * bill.get('worker_hours', 0.0))}{whose}"]
    parts += (words for _, words in _known(bill, "joules", "Energy", lambda joules: f"{metric(joules / KILOWATT_HOUR)} kWh"))
    parts += (words for _, words in _known(bill, "price", "Price", lambda price: f"{metric(price)} {bill.get('currency', '')}".rstrip()))
    return ", ".join(parts)


def _share(part: float, whole: float) -> str:
    return f"{lasting(part)} ({percent(part, whole)})"


def _restarts(economy: Mapping[str, Any]) -> str:
    if not economy.get("restarts"):
        return "none"
    again = f"{count(economy.get('steps_again', 0))} steps done again, {lasting(economy.get('restart_seconds', 0.0))} lost"
    return f"{count(economy['restarts'])}: {again}"


def _known(found: Mapping[str, Any], name: str, what: str, words: Callable[[Any], str]) -> Iterator[tuple[str, str]]:
    if isinstance(found.get(name), int | float):
        yield what, words(found[name])
