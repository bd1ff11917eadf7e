"""Clean: mended and normalised text, and only the documents that every filter keeps."""

import logging
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import cache
from typing import Any, Literal, NamedTuple

from pipeline.documents import Document, Documents, Dropped, Tally, total, write_documents, write_dropped
from pipeline.errors import BudgetExceeded, MillraceError, RequestError
from pipeline.filters.base import Edit, Editor, Filter
from pipeline.filters.edits import Change, Edits
from pipeline.workflow.artifact import FileEntry
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit

log = logging.getLogger(__name__)
EMPTY, ERROR = "empty", "error"
ERROR_SHARE = 0.01


class Outcome(NamedTuple):
    """A document as the filters leave it, the reason to drop it, or None, and the edits that made it."""

    document: Document
    reason: str | None
    edits: tuple[Change, ...]


@dataclass(frozen=True, kw_only=True)
class Clean(Step[Documents]):
    """Mends and normalises the text of each document, then asks the filters in order; the first verdict drops it.

    - `mend`: repair text that was decoded wrongly ("cafÃ©", "ä½ å¥½"), by ftfy (see `mended`).
    - `normalize`: the Unicode form of the text, NFC or none.
    - `filters`: what a document must pass. One that holds nothing but white space is dropped before them. An editor
      among them changes the text for those that follow; what editors did to the documents that are kept stands in the
      facts as `edited` (see `pipeline.filters.edits`).

    Only the text changes: ids, origins and all else stay. Reasons are "empty" and "FILTER/REASON", such as
    "repetition/duplicate-lines"; an editor that leaves nothing is "FILTER/empty". Where a filter fails on a document,
    the document is dropped as "FILTER/error" with a line in the log; if that befalls more than one document in a
    hundred (and more than one), the filter is at fault, and the step raises BudgetExceeded.
    """

    artifact = Documents
    documents: Step[Documents]
    normalize: Literal["NFC"] | None = "NFC"
    mend: bool = False
    filters: tuple[Filter, ...] = ()

    def __post_init__(self) -> None:
        if self.normalize not in ("NFC", None):
            raise RequestError(f"Clean.normalize is {self.normalize!r}: use 'NFC' or None")
        for place, member in enumerate(self.filters):
            if not isinstance(member, Filter):
                raise RequestError(f"Clean.filters[{place}] is {member!r}: use members of pipeline.filters, such as WordCount(least=50)")

    def run(self, context: Context) -> Facts:
        shards = context.open(self.documents).shards
        parts = [receipt.facts for receipt in context.map(self.clean, shards, stands_for=lambda shard: shard.checksum)]
        facts = total(parts)
        check_errors(facts)
        return {**facts, **Edits.total(self.filters, parts).facts()}

    def clean(self, unit: Unit, shard: FileEntry) -> Facts:
        """One shard of documents: the unit of work."""
        tally, dropped, edits = Tally(), list[Dropped](), Edits.none(self.filters)

        def kept() -> Iterator[Document]:
            for document in unit.open(self.documents).read(shard):
                text = self.text_of(document)
                cleaned = document if text == document.text else replace(document, text=text)
                outcome = self.judge(cleaned)
                if outcome.reason is None:
                    edits.add(outcome.edits)
                    tally.keep(outcome.document)
                    yield outcome.document
                else:
                    tally.drop(outcome.reason, document.source)
                    dropped.append(Dropped(document.id, document.origin, outcome.reason))

        write_documents(unit, kept())
        write_dropped(unit, dropped)
        return {**tally.facts(), **edits.facts()}

    def text_of(self, document: Document) -> str:
        """The text of a document as this step leaves it."""
        text = mended(document.text) if self.mend else document.text
        return text if self.normalize is None else unicodedata.normalize(self.normalize, text)

    def judge(self, document: Document) -> Outcome:
        """What the filters make of a document whose text is clean."""
        if blank(document.text):
            return Outcome(document, EMPTY, ())
        edits = list[Change]()
        for member in self.filters:
            text, changes, reason = asked(member, document)
            if reason is not None:
                return Outcome(document, f"{member.name()}/{reason}", ())
            if text != document.text:
                edits.append(Change(member.name(), len(document.text) - len(text), changes))
                document = replace(document, text=text)
        return Outcome(document, None, tuple(edits))


def asked(member: Filter, document: Document) -> Edit:
    """What one filter makes of a document; that it fails, or leaves nothing of the text, is a reason too."""
    try:
        edit = member.edit(document) if isinstance(member, Editor) else Edit(document.text, {}, member.verdict(document))
    except MillraceError:
        raise
    except Exception as problem:
        log.warning("%s failed on %s: %s: %s", member.name(), document.origin, type(problem).__name__, problem)
        return Edit(document.text, {}, ERROR)
    return edit._replace(reason=EMPTY) if edit.reason is None and blank(edit.text) else edit


def blank(text: str) -> bool:
    """Whether a text holds nothing but white space."""
    return not text or text.isspace()


def check_errors(facts: Facts) -> None:
    """Raise BudgetExceeded where filters failed on more documents than may be blamed on the documents."""
    failed = {reason: count for reason, count in facts["dropped"].items() if reason.endswith(f"/{ERROR}")}
    if sum(failed.values()) > max(1, facts["read"] * ERROR_SHARE):
        raise BudgetExceeded(
            f"filters failed on {sum(failed.values())} of {facts['read']} documents ({', '.join(failed)}): "
            "the log says on which and how; mend the filter or leave it out"
        )


def mended(text: str) -> str:
    r"""Text with wrongly decoded parts repaired, lines that end in \n, and no terminal escapes or control characters.

    ftfy changes more by default. Off is whatever makes other text of sound text: full-width forms (，is no comma),
    curly quotes, ligatures, and HTML entities, which source code and its documentation mean as they stand.
    """
    import ftfy

    return ftfy.fix_text(text, _config())  # type: ignore[no-any-return]


@cache
def _config() -> Any:
    import ftfy

    return ftfy.TextFixerConfig(
        unescape_html=False, fix_character_width=False, uncurl_quotes=False, fix_latin_ligatures=False, normalization=None, explain=False
    )
