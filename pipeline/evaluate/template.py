"""Prompts from the columns of a record: `{question}` in a template stands for the column of that name."""

import re
from functools import cache

from pipeline.errors import RequestError
from pipeline.evaluate.task_file import Row

PART = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]")


@cache
def _parts(template: str) -> tuple[tuple[str, str | None], ...]:
    """The literal pieces of a template, each with the column that follows it."""
    parts, literal, place = [], "", 0
    for match in PART.finditer(template):
        literal += template[place : match.start()]
        place = match.end()
        if match[0] in ("{{", "}}"):
            literal += match[0][0]
        elif match[1]:
            parts.append((literal, match[1]))
            literal = ""
        else:
            raise RequestError(
                f"the template {template!r} has {match[0]!r}: write {{COLUMN}} for what stands in a column, and {{{{ for a brace"
            )
    return (*parts, ((literal + template[place:]), None))


def filled(template: str, row: Row) -> str:
    """A template with what stands in the columns that it names.

    Raises RequestError for a column that the record does not have, and for braces that name none.
    """
    return "".join(literal + (row.text(column) if column is not None else "") for literal, column in _parts(template))
