"""What a chain of filters does to a sample of documents: each filter's drops and edits, with examples."""

import heapq
from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace

from pipeline.documents import Document
from pipeline.filters.base import Editor, Filter
from pipeline.filters.clean import EMPTY, Clean, asked, blank

BEFORE, AFTER = 24, 400
"""Characters of an example before the place where an edit begins, and from there on."""


@dataclass(frozen=True, slots=True)
class Example:
    """A document that was dropped or changed: where it is from, how its text begins there, and what an editor made of that."""

    origin: str
    text: str
    edited: str | None = None


@dataclass
class Finding:
    """What one filter does to a sample.

    `drops` counts reasons over all documents, asked alone; `first` of them are dropped by no filter before it.
    `changed` documents become shorter by `characters` together, by the kinds of `changes`.
    """

    name: str
    edits: bool
    first: int = 0
    drops: Counter[str] = field(default_factory=Counter)
    examples: dict[str, list[Example]] = field(default_factory=dict)
    changed: int = 0
    characters: int = 0
    changes: Counter[str] = field(default_factory=Counter)
    changed_examples: list[Example] = field(default_factory=list)


@dataclass
class Explanation:
    """What a chain does to a sample: sampled = kept + the sum of `dropped`, by the reasons that `Clean` gives."""

    findings: list[Finding]
    sampled: int = 0
    kept: int = 0
    dropped: Counter[str] = field(default_factory=Counter)


def spread(documents: Iterable[Document], size: int) -> list[Document]:
    """So many documents, evenly spread over all: those with the smallest ids, which are hashes. One pass; no more are held."""
    return heapq.nsmallest(size, documents, key=lambda document: document.id)


def explain(chain: Clean, documents: Iterable[Document], examples: int) -> Explanation:
    """Ask every filter of a chain about every document, whether or not one before has dropped it.

    Documents are cleaned as `chain` cleans them, and each filter sees the text that the editors before it leave.
    Up to `examples` are kept for each filter and reason.
    """
    explanation = Explanation([Finding(member.name(), isinstance(member, Editor)) for member in chain.filters])
    for document in documents:
        explanation.sampled += 1
        reasons = list(_reasons(chain, replace(document, text=chain.text_of(document)), explanation.findings, examples))
        if reasons:
            explanation.dropped[reasons[0]] += 1
        else:
            explanation.kept += 1
    return explanation


def _reasons(chain: Clean, document: Document, findings: list[Finding], examples: int) -> Iterator[str]:
    """The reasons for which a document would be dropped, in the order of the chain, each noted in its finding."""
    if blank(document.text):
        yield EMPTY
        return
    gone = False
    for member, finding in zip(chain.filters, findings, strict=True):
        reason = _note(member, finding, document, examples)
        if isinstance(reason, Document):
            document = reason
        elif reason is not None:
            finding.first += not gone
            gone = True
            yield f"{finding.name}/{reason}"


def _note(member: Filter, finding: Finding, document: Document, examples: int) -> "str | Document | None":
    """One filter's reason to drop a document, or the document as it leaves it, if it changes it."""
    text, changes, reason = asked(member, document)
    if reason is not None:
        finding.drops[reason] += 1
        shown = finding.examples.setdefault(reason, [])
        if len(shown) < examples:
            shown.append(Example(document.origin, document.text[:AFTER]))
        return reason
    if text == document.text:
        return None
    finding.changed += 1
    finding.characters += len(document.text) - len(text)
    finding.changes.update(changes)
    if len(finding.changed_examples) < examples:
        start = max(_first_difference(document.text, text) - BEFORE, 0)
        span = slice(start, start + BEFORE + AFTER)
        finding.changed_examples.append(Example(document.origin, document.text[span], text[span]))
    return replace(document, text=text)


def _first_difference(one: str, other: str) -> int:
    return next((place for place, (here, there) in enumerate(zip(one, other, strict=False)) if here != there), min(len(one), len(other)))
