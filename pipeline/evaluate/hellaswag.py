"""HellaSwag: which of four endings a text has (Zellers and others, 2019), laid out as lm-eval does."""

from dataclasses import dataclass
from functools import cache
from typing import Any

from pipeline.evaluate.multiple_choice import MultipleChoice
from pipeline.evaluate.task_file import Row, as_text


@dataclass(frozen=True, kw_only=True)
class Hellaswag(MultipleChoice):
    """Which ending of a text a model finds likeliest, in HellaSwag's own files.

    A text begins with what it is about; its unfinished sentence begins with a capital; what is left of WikiHow's layout goes.
    Where a file has no columns ctx_a and ctx_b, but only both as ctx, the unfinished sentence is what comes after the last ". ", if it
    begins with a small letter.
    """

    choices: str = "endings"
    label: str = "label"

    def question(self, row: Row) -> str:
        begun, unfinished = self._parts(row)
        return cleaned(f"{row.text('activity_label')}: {begun} {unfinished.capitalize()}")

    def texts(self, row: Row) -> list[str]:
        return [cleaned(text) for text in super().texts(row)]

    def _parts(self, row: Row) -> tuple[str, str]:
        if "ctx_a" in row.columns:
            return row.text("ctx_a"), row.text("ctx_b")
        begun, stop, unfinished = row.text("ctx").rpartition(". ")
        return ((begun + stop).rstrip(), unfinished) if unfinished[:1].islower() else (row.text("ctx"), "")


@cache
def _bracketed() -> Any:
    """What WikiHow's layout has left, such as [step]."""
    import re2

    return re2.compile(r"\[.*?\]")


def cleaned(text: str) -> str:
    """A text without what WikiHow's layout has left in it."""
    return str(_bracketed().sub("", as_text(text).strip().replace(" [title]", ". "))).replace("  ", " ")
