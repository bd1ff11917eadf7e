"""DeduplicateParagraphs: lines or paragraphs that an earlier kept document has already are removed."""

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Literal

import pyarrow as pa

from pipeline.dedup.remove_repeats import RemoveRepeats
from pipeline.errors import RequestError

if TYPE_CHECKING:
    from pipeline.dedup.passages import Passages


@dataclass(frozen=True, kw_only=True)
class DeduplicateParagraphs(RemoveRepeats):
    """The documents of all inputs without the lines (or paragraphs: what blank lines part) that stand earlier (see `RemoveRepeats`).

    Two are equal if they are so in CCNet's form (Wenzek et al., 2020): case does not count, nor which digit a digit is, nor
    punctuation outside ASCII, nor how much white space there is. Those whose form has fewer than `least` characters stay wherever they
    are. A line goes with its end, a paragraph with the blank lines after it.
    """

    reason: ClassVar[str] = "repeated-paragraphs"

    unit: Literal["line", "paragraph"] = "line"
    least: int = 30

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.unit not in ("line", "paragraph"):
            raise RequestError(f"unit is {self.unit!r}: use 'line' or 'paragraph'")
        if self.least < 1:
            raise RequestError(f"least is {self.least}: use 1 or more")

    def passages(self, texts: pa.LargeStringArray) -> "Passages":
        from pipeline.dedup.lines import line_passages
        from pipeline.dedup.shingles import text_buffers

        return line_passages(text_buffers(texts), self.unit == "paragraph", self.least)
