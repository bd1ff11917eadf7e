"""Documents that passed a filter narrowly: it would have dropped them if one of its numbers were a quarter stricter."""

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from pipeline.documents import Document
from pipeline.errors import RequestError
from pipeline.filters.base import Filter
from pipeline.filters.clean import asked

MARGIN = 0.25
MOST_CHARACTERS = 10_000
"""Longer documents are not tried: a filter is asked many times."""


@dataclass(frozen=True)
class Narrow:
    """A document that a filter kept, and the change that would have made it drop it."""

    document: Document
    change: str


@dataclass(frozen=True)
class Stricter:
    """A filter with its numbers, or tuples of them, a quarter greater or smaller: each alone, by the change in words, and all at once."""

    alone: Mapping[str, Filter]
    together: Filter

    def change(self, document: Document) -> str | None:
        """The first change that makes the filter drop a document."""
        if asked(self.together, document).reason is None:
            return None
        return next((words for words, member in self.alone.items() if asked(member, document).reason is not None), None)


def stricter(member: Filter, factor: float) -> Stricter:
    """The filter, stricter wherever a number times `factor` is; numbers that the filter refuses stay as they are."""
    alone, together = dict[str, Filter](), member
    for field in dataclasses.fields(member):
        before = getattr(member, field.name)
        after = _scaled(before, factor)
        if after is None or after == before:
            continue
        try:
            varied, together = (dataclasses.replace(each, **{field.name: after}) for each in (member, together))
        except RequestError:  # such as a share above 1
            continue
        alone[f"{field.name} {_words(before)} → {_words(after)}"] = varied
    return Stricter(alone, together)


def _scaled(value: Any, factor: float) -> Any:
    """A number, or a tuple of numbers, times a factor; None of anything else."""
    if isinstance(value, tuple) and value:
        scaled = [_scaled(item, factor) for item in value]
        return None if None in scaled else tuple(scaled)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return round(value * factor) if isinstance(value, int) else value * factor


def _words(value: Any) -> str:
    return ", ".join(f"{item:.3g}" for item in value) if isinstance(value, tuple) else f"{value:.6g}"


def narrow(member: Filter, documents: Iterable[Document], most: int) -> list[Narrow]:
    """Up to `most` of the documents that the filter keeps narrowly, in their order."""
    variants = [stricter(member, factor) for factor in (1 + MARGIN, 1 - MARGIN)]
    found = list[Narrow]()
    for document in documents:
        if len(found) == most:
            break
        if len(document.text) > MOST_CHARACTERS:
            continue
        change = next((words for variant in variants if (words := variant.change(document)) is not None), None)
        if change is not None and asked(member, document).reason is None:
            found.append(Narrow(document, change))
    return found
