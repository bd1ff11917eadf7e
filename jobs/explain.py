"""What a recipe's filters would drop and change, seen on a sample, with examples; nothing is built."""

if not __package__:  # run as a script: from anywhere, installed or not, and without this folder shadowing modules
    import sys
    from pathlib import Path

    sys.path[0] = str(Path(__file__).resolve().parents[1])

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from jobs.command import Invocation, Result, execute
from jobs.recipe import CorpusRecipe
from jobs.terminal import cut, room
from pipeline.documents import Document
from pipeline.errors import RequestError
from pipeline.filters.clean import Clean
from pipeline.filters.explanation import Explanation, Finding, explain, spread

BAR = 16


@dataclass(frozen=True, kw_only=True)
class Sample:
    """How much to look at."""

    sample: int = 1000
    """Documents to look at, spread evenly over the sources by a hash of their ids; the sources are read to their end."""
    examples: int = 2
    """Documents to show for each reason."""

    def __post_init__(self) -> None:
        for name, least in (("sample", 1), ("examples", 0)):
            if getattr(self, name) < least:
                raise RequestError(f"--{name} is {getattr(self, name)}: give {least} or more")


def explain_filters(invocation: Invocation[CorpusRecipe]) -> Result:
    """Read the sources and ask the filters about a sample of their documents."""
    if invocation.options.plan:
        return {"built": [], "skipped": [], "plan": []}
    return explained(invocation.recipe, invocation.more)


def explained(recipe: CorpusRecipe, sample: Sample) -> Result:
    """What the recipe's filters would do to a sample of its sources."""
    if recipe.against or recipe.good or recipe.bad:
        raise RequestError("filters alone are explained, not --against, --good and --bad: leave these out here")
    for ingest in recipe.ingests:
        ingest.check()
    quarantined, read = Counter[str](), Counter[str]()
    documents = spread(_records(recipe, read, quarantined), sample.sample)
    chain = Clean(documents=recipe.ingests[0], normalize=recipe.normalize, mend=recipe.mend, filters=recipe.filters)
    explanation = explain(chain, documents, sample.examples)
    return {"built": [], "skipped": [], "documents": _counts(explanation, read, quarantined), "filters": _findings(explanation)}


def _records(recipe: CorpusRecipe, read: Counter[str], quarantined: Counter[str]) -> Iterator[Document]:
    """The documents of all sources, counted as they go by."""
    for ingest in recipe.ingests:
        print(f"reading {ingest.source.name}", file=sys.stderr)
        for partition in ingest.source.partitions():
            for record in ingest.source.read(partition):
                read[ingest.source.name] += 1
                if isinstance(record, Document):
                    yield record
                else:
                    quarantined[record.reason] += 1


def _counts(explanation: Explanation, read: Counter[str], quarantined: Counter[str]) -> dict[str, Any]:
    return {
        "read": read.total(),
        "quarantined": dict(quarantined),
        "sampled": explanation.sampled,
        "kept": explanation.kept,
        "dropped": dict(explanation.dropped),
    }


def _findings(explanation: Explanation) -> list[dict[str, Any]]:
    return [_finding(finding, explanation.sampled) for finding in explanation.findings]


def _finding(finding: Finding, sampled: int) -> dict[str, Any]:
    """A filter's part of the result: its drops when asked alone, and how many of these no filter before it drops."""
    count = finding.drops.total()
    part: dict[str, Any] = {
        "filter": finding.name,
        "drops": count,
        "share": round(count / sampled, 6) if sampled else 0.0,
        "first": finding.first,
        "reasons": {
            reason: {"count": number, "examples": [_example(each) for each in finding.examples[reason]]}
            for reason, number in finding.drops.most_common()
        },
    }
    if finding.edits:
        shown = [_example(each) for each in finding.changed_examples]
        changes = dict(finding.changes.most_common())
        part["edits"] = {"documents": finding.changed, "characters": finding.characters, "changes": changes, "examples": shown}
    return part


def _example(example: Any) -> dict[str, str]:
    return {name: value for name, value in asdict(example).items() if value is not None}


def show(result: Result) -> str:
    """The result as a page for a terminal."""
    if "plan" in result:
        return "nothing would be built: the filters would be asked about a sample of the sources"
    counts, width = result["documents"], room()
    sampled, kept = counts["sampled"], counts["kept"]
    whole = f"all {sampled:,} documents" if sampled == counts["read"] - sum(counts["quarantined"].values()) else f"{sampled:,} documents"
    lines = [f"looked at {whole} of {counts['read']:,} records", f"kept {kept:,} ({_percent(kept, sampled)}), dropped {sampled - kept:,}"]
    lines += [f"  − {number:>9,}  {reason}" for reason, number in counts["dropped"].items() if reason == "empty"]
    if not result["filters"]:
        lines.append("the recipe has no filters: name some with --filters (--help lists them)")
    elif sampled:
        lines += [
            "",
            _row("filter", "drops", "", "first", ""),
            *(line for part in result["filters"] for line in _part(part, sampled, width)),
        ]
        lines += ["", "drops: asked alone, of all; first: of these, what no filter above drops"]
    return "\n".join(lines)


def _part(part: dict[str, Any], sampled: int, width: int) -> Iterator[str]:
    """The lines on one filter."""
    drops = part["drops"]
    bar = "█" * round(BAR * drops / sampled) or ("▏" if drops else "")
    yield _row(part["filter"], f"{drops:,}", _percent(drops, sampled), f"{part['first']:,}", bar)
    for reason, found in part["reasons"].items():
        yield _row(f"  {reason}", f"{found['count']:,}", _percent(found["count"], sampled), "", "")
        for example in found["examples"]:
            yield from _quoted(example, width)
    edits = part.get("edits")
    if edits and edits["documents"]:
        changed, shorter = edits["documents"], edits["characters"]
        yield _row("  documents that it changes", f"{changed:,}", _percent(changed, sampled), "", "")
        yield _row("  characters that it takes out", f"{shorter:,}", "", "", "")
        yield from (_row(f"    {kind}", f"{number:,}", "", "", "") for kind, number in edits["changes"].items())
        for example in edits["examples"]:
            yield from _quoted(example, width)


def _row(name: str, drops: str, share: str, first: str, bar: str) -> str:
    return f"{name:<34}{drops:>9}{share:>9}{first:>9}  {bar}".rstrip()


def _quoted(example: dict[str, str], width: int) -> Iterator[str]:
    """An example on a few lines: where it is from, and how its text begins."""
    yield f"      {cut(example['origin'][::-1], width - 6)[::-1]}"
    yield f"      │ {cut(example['text'], width - 8)}"
    if "edited" in example:
        yield f"      → {cut(example['edited'], width - 8)}"


def _percent(part: int, whole: int) -> str:
    return f"{100 * part / whole:.1f} %" if whole else "–"


if __name__ == "__main__":
    raise SystemExit(execute("explain", CorpusRecipe, explain_filters, show, default="python_library", more=Sample()))
