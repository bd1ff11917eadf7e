"""Which format a file is in, by its name."""

import os

from pipeline.sources.formats.arrow import Arrow
from pipeline.sources.formats.base import COMPRESSIONS, Format
from pipeline.sources.formats.csv import Csv, Tsv
from pipeline.sources.formats.html import Html
from pipeline.sources.formats.json_lines import JsonLines
from pipeline.sources.formats.json_values import Json
from pipeline.sources.formats.parquet import Parquet
from pipeline.sources.formats.tar import Tar
from pipeline.sources.formats.text import Text
from pipeline.sources.formats.warc import Warc
from pipeline.sources.formats.zip import Zip


def format_of(name: str) -> Format | None:
    """The format of a file of this name; None where it is not known."""
    return BY_SUFFIX.get(format_suffix(name))


def format_suffix(name: str) -> str:
    """The suffix that says the format, in lower case: ".jsonl" for "a.JSONL.gz"; "" where there is none."""
    stem, suffix = os.path.splitext(name.lower())
    return os.path.splitext(stem)[1] if suffix in COMPRESSIONS else suffix


FORMATS: tuple[Format, ...] = (
    *(Text(), JsonLines(), Json(), Csv(), Tsv(), Parquet(), Arrow(), Html(), Warc()),
    *(Tar(format_of), Zip(format_of)),
)
BY_SUFFIX = {suffix: known for known in FORMATS for suffix in known.suffixes}
READABLE = f"{' '.join(BY_SUFFIX)}, each also {' and '.join(COMPRESSIONS)}"
"""What people are told can be read."""
