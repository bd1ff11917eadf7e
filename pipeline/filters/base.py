"""A filter looks at one document and says why it should go, or nothing; an editor may change its text as well."""

import dataclasses
import math
import re
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from typing import NamedTuple

from pipeline.documents import Document
from pipeline.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class Filter(ABC):
    """Base of all filters: a frozen, keyword-only dataclass whose fields are the rule's thresholds.

    One filter a file; a new one needs no other edit. Every field has a default.
    """

    @abstractmethod
    def verdict(self, document: Document) -> str | None:
        """None keeps the document; otherwise the reason, a stable kebab-case word without numbers, to be counted.

        A function of the document alone, in time linear in its text.
        """

    @classmethod
    def name(cls) -> str:
        """The filter's name in reasons: the class name in kebab case."""
        return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "-", cls.__name__).lower()

    def __post_init__(self) -> None:
        """Raise RequestError for a number that is negative or not finite: no threshold is. Extend it where more is known."""
        for field in dataclasses.fields(self):
            held = getattr(self, field.name)
            for value in held if isinstance(held, tuple) else (held,):
                if isinstance(value, int | float) and not 0 <= value < math.inf:
                    raise RequestError(f"{type(self).__name__}.{field.name} is {held!r}: use a finite number that is not negative")

    def require_shares(self, *fields: str) -> None:
        """Raise RequestError unless these fields, or the members of those that are tuples, are numbers between 0 and 1."""
        for field in fields:
            held = getattr(self, field)
            if not all(isinstance(value, int | float) and 0 <= value <= 1 for value in (held if isinstance(held, tuple) else (held,))):
                raise RequestError(f"{type(self).__name__}.{field} is {held!r}: use shares between 0 and 1")

    def require_order(self, least: str, most: str) -> None:
        """Raise RequestError unless `least` ≤ `most`; a `most` of None is no limit."""
        low, high = getattr(self, least), getattr(self, most)
        if high is not None and high < low:
            name = type(self).__name__
            raise RequestError(f"{name}.{most} is {high!r}, below {name}.{least} ({low!r}), so nothing would be kept: raise it")


class Edit(NamedTuple):
    """What an editor makes of a document: its text, how many places were changed by kind, and why it should go, or None."""

    text: str
    changes: Mapping[str, int]
    """Kinds are stable kebab-case words without numbers. What is changed is counted: nothing is lost in silence."""
    reason: str | None


@dataclass(frozen=True, kw_only=True)
class Editor(Filter):
    """Base of the filters that also change text. The members of a chain after it see the text that it leaves."""

    @abstractmethod
    def edit(self, document: Document) -> Edit:
        """The document's new text, or the reason to drop it. A function of the document alone, in time linear in its text."""

    def verdict(self, document: Document) -> str | None:
        return self.edit(document).reason


def share(part: float, whole: float) -> float:
    """`part` of `whole`, 0 of nothing. As a quotient, so that 3 of 10 is 0.3 and no more."""
    return part / whole if whole else 0.0
