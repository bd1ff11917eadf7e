"""Looking at a corpus: an option that jobs which build one have, the page with what was found, and the same as tables of a terminal."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import StringIO
from itertools import islice
from typing import TYPE_CHECKING, Any

from jobs.command import Options, Result
from jobs.launch import report_page
from pipeline.documents import Documents
from pipeline.filters.drop_budget import DropBudget
from pipeline.report.look.look import Look
from pipeline.report.page import looked_at, write_report
from pipeline.report.words import compact, count, percent
from pipeline.storage import open_store
from pipeline.tokens.tokenize import Tokenize
from pipeline.workflow.step import Step

if TYPE_CHECKING:
    from rich.table import Table

WIDTH = 80
SHOWN, NAMED = 12, 3
NARROW, MEDIUM, WIDE = 22, 34, 44
"""Cells of a name, by how much stands beside it."""


@dataclass(frozen=True, kw_only=True)
class Allowing:
    """How much may be lost. What is built does not depend on it."""

    drop_budget: float | None = None
    """Share of a source's documents that a stage after reading (filters, duplicates, …) may drop before the run fails; None: all."""

    def budgets(self, documents: Step[Documents]) -> tuple[DropBudget, ...]:
        """What is to be built before the rest, so that a run ends where too much was dropped."""
        return () if self.drop_budget is None else DropBudget.of(documents, self.drop_budget)


@dataclass(frozen=True, kw_only=True)
class Looking(Allowing):
    """How closely to look."""

    report: bool = False
    """Look at what each source holds and lost, at duplicates and at samples: on the report page and in tables here."""

    def at(self, tokens: Tokenize) -> tuple[Look, ...]:
        """The look that is asked for, to be built with what it looks at."""
        return (Look.at(tokens),) if self.report else ()


def reported(tokens: Tokenize, looks: tuple[Look, ...], options: Options) -> dict[str, Any]:
    """Write the page; returns where it is and, if a look was taken, what it found.

    The page with a look shows texts, so it is named for the look: who forgets a document that was looked at erases it too.
    """
    if not looks:
        return {"report": report_page((tokens,), options)}
    (look,), store = looks, open_store(options.root)
    page = write_report((tokens,), store, f"reports/{look.address.replace('/', '-')}.html", look)
    return {"report": page, "looking": looked_at(look, store).numbers()}


def show_looking(result: Result) -> str:
    """What was found, in tables of WIDTH columns; nothing where no look was taken."""
    if "looking" not in result:
        return ""
    from rich.console import Console

    found, page = result["looking"], StringIO()
    console = Console(file=page, width=WIDTH, color_system=None, force_terminal=False)
    for table in (_lost(found), _held(found), _languages(found), _clusters(found)):
        if table.row_count:
            console.print(table)
    return "\n" + "\n".join(line.rstrip() for line in page.getvalue().splitlines()) + "\n"


def _table(title: str, first: str, *numbers: str) -> "Table":
    from rich import box
    from rich.table import Table

    table = Table(title=title, title_justify="left", title_style="", box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0), expand=True)
    table.add_column(first, ratio=1, no_wrap=True)
    for name in numbers:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _lost(found: Mapping[str, Any]) -> "Table":
    """The funnel of each source."""
    table = _table(
        "What each source lost (tokens of what was dropped are estimated)", "source, stage and reason", "documents", "share", "tokens"
    )
    sources: dict[str, list[tuple[str, Mapping[str, Any]]]] = {}
    for stage in found["through"]:
        for name, counts in stage["sources"].items():
            sources.setdefault(name, []).append((stage["stage"], counts))
    for name, stages in _most(sources, table):
        read = stages[0][1]["read"]
        table.add_row(_tail(name, WIDE), count(read), "", "")
        for stage, counts in stages:
            for reason, lost in sorted(counts["dropped"].items(), key=lambda item: (-item[1]["documents"], item[0])):
                tokens = f"≈ {compact(lost['tokens'])}" if lost["tokens"] else ""
                table.add_row(_tail(f"  {stage}/{reason}", WIDE), f"− {count(lost['documents'])}", percent(lost["documents"], read), tokens)
        kept, tokens = stages[-1][1]["kept"], found["sources"].get(name, {}).get("tokens", 0)
        table.add_row(_tail("  kept", WIDE), count(kept), percent(kept, read), compact(tokens))
    return table


def _held(found: Mapping[str, Any]) -> "Table":
    """Lengths, in tokens and in characters."""
    table = _table("Lengths of documents", "source", "of", "5 %", "median", "95 %", "longest")
    for name, source in _most(found["sources"], table):
        for label, unit, key in ((name, "tokens", "token_lengths"), ("", "characters", "characters")):
            lengths = source[key]
            table.add_row(_tail(label, MEDIUM), unit, *(compact(lengths[part]) for part in ("5%", "50%", "95%", "longest")))
    return table


def _languages(found: Mapping[str, Any]) -> "Table":
    """The languages of each source, those that are most first."""
    table = _table("Languages (told of a sample)", "source", "told of", "shares")
    for name, source in _most(found["sources"], table):
        languages = source["languages"]
        sampled = sum(languages.values())
        shares = ", ".join(f"{language} {percent(number, sampled)}" for language, number in islice(languages.items(), NAMED))
        table.add_row(_tail(name, NARROW), count(sampled), shares)
    return table


def _clusters(found: Mapping[str, Any]) -> "Table":
    """The documents that most others repeat."""
    table = _table("Largest clusters of duplicates", "kept document", "dropped for it", "least similar")
    for cluster in found["clusters"]:
        least = min((each["similarity"] for each in cluster["shown"]), default=1.0)
        table.add_row(_tail(cluster["origin"] or cluster["kept"], WIDE), count(cluster["drops"]), f"{least:.3f}")
    return table


def _most(sources: Mapping[str, Any], table: "Table") -> Iterator[tuple[str, Any]]:
    """The first SHOWN sources, and a last row that says how many more there are."""
    yield from islice(sources.items(), SHOWN)
    if len(sources) > SHOWN:
        table.add_row(_tail(f"and {len(sources) - SHOWN:,} more sources", NARROW))


def _tail(name: str, cells: int) -> Any:
    """The end of a name in so many cells, of which Chinese takes two a character, and nothing in it that commands a terminal."""
    from rich.cells import cell_len
    from rich.text import Text

    line = "".join(character if character.isprintable() else " " for character in name[-2 * cells :])
    if len(line) == len(name) and cell_len(line) <= cells:
        return Text(line)
    while cell_len(line) > cells - 1:
        line = line[1:]
    return Text(f"…{line}")
