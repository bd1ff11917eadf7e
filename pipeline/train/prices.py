"""What devices and their electricity cost: a list that the user gives, since nobody else knows."""

import json
import math
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.errors import RequestError

REMEDY = 'name a TOML file such as: currency = "EUR", and below a line [worker_hour] the price of each device by its name, cpu = 0.04'
KNOWN = ("currency", "kilowatt_hour", "worker_hour")


@dataclass(frozen=True, kw_only=True)
class Prices:
    """Prices in one currency."""

    currency: str
    """Its name, such as EUR."""
    worker_hour: tuple[tuple[str, float], ...]
    """(what a device's name holds, the price of a worker on it for an hour), the first that fits counts."""
    kilowatt_hour: float = 0.0
    """Of electricity; 0 where it is part of a worker's price."""

    def __post_init__(self) -> None:
        if not isinstance(self.currency, str) or not self.currency:
            raise RequestError(f"prices.currency is {self.currency!r}: use a name, such as EUR")
        for name, price in (*self.worker_hour, ("kilowatt_hour", self.kilowatt_hour)):
            if isinstance(price, bool) or not isinstance(price, int | float) or not 0 <= price < math.inf:
                raise RequestError(f"prices: {name} is {price!r}: use 0 or more")

    @classmethod
    def read(cls, location: str) -> "Prices":
        """The prices in a TOML file, or in a JSON file where its name ends so; raises RequestError."""
        found = _content(Path(location).expanduser(), json.loads if location.endswith(".json") else tomllib.loads)
        if unknown := sorted(found.keys() - set(KNOWN)):
            raise RequestError(f"{location} names {unknown[0]!r}, which has no price here: use {', '.join(KNOWN)}")
        hours = found.get("worker_hour")
        if "currency" not in found or not isinstance(hours, Mapping) or not hours:
            raise RequestError(f"{location} is no list of prices: {REMEDY}")
        return cls(**{**found, "worker_hour": tuple(hours.items())})

    def amount(self, device: str, worker_seconds: float, joules: float | None = None) -> float | None:
        """The price of so much on a device of this name; None where it is not on the list."""
        hour = next((price for name, price in self.worker_hour if name in device), None)
        return None if hour is None else worker_seconds / 3600 * hour + (joules or 0.0) / 3.6e6 * self.kilowatt_hour


def _content(place: Path, parse: Callable[[str], Any]) -> dict[str, Any]:
    try:
        found = parse(place.read_text(encoding="utf-8"))
    except (OSError, ValueError) as problem:
        raise RequestError(f"{place} is no list of prices ({problem}): {REMEDY}") from problem
    if not isinstance(found, dict):
        raise RequestError(f"{place} is no list of prices: {REMEDY}")
    return found
