"""A dataset of the Hugging Face Hub, streamed by `datasets` at a fixed commit."""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.documents import Document, Dropped
from pipeline.errors import RequestError, RunError
from pipeline.sources.base import Source, no_text_field
from pipeline.sources.formats.base import Record

SCHEME = "hf://"
LOCATION = re.compile(r"hf://datasets/(?P<dataset>[\w.-]+(?:/[\w.-]+)?)(?:@(?P<revision>[^@]+))?")
COMMIT = re.compile(r"[0-9a-f]{40}")
SECONDS = 20


@dataclass(frozen=True, kw_only=True)
class HuggingFace(Source):
    """One split of a dataset; `snapshot` is the commit. Made by `HuggingFace.at`.

    A partition is one of the shards that `datasets` finds in it; a record's place is its row in the shard, from 0.
    """

    dataset: str
    """OWNER/NAME on the Hub; or, in a trial, ./FOLDER, which `datasets` reads in the same way."""
    config: str | None = None
    """Which of the dataset's configurations, where it has several."""
    split: str = "train"
    text_field: str = "text"
    """The field of a record that holds its text; the others become `meta`."""

    def __post_init__(self) -> None:
        if not self.text_field:
            raise RequestError("text_field is empty: name the field of a record that holds its text")

    @classmethod
    def at(cls, location: str, *, config: str | None = None, split: str = "train", text_field: str = "text") -> "HuggingFace":
        """The dataset at hf://datasets/OWNER/NAME[@REVISION], as it is now; raises RequestError where the Hub does not tell."""
        named = LOCATION.fullmatch(location)
        if named is None:
            raise RequestError(f"cannot read {location!r}: write hf://datasets/OWNER/NAME or hf://datasets/OWNER/NAME@REVISION")
        if Path(named["dataset"]).exists():
            raise RequestError(
                f"cannot read {location!r}: {named['dataset']} is also a path here, and would be read instead; rename that one"
            )
        revision = named["revision"]
        commit = revision if revision and COMMIT.fullmatch(revision) else _commit(named["dataset"], revision)
        return cls(dataset=named["dataset"], config=config, split=split, text_field=text_field, snapshot=commit)

    @property
    def name(self) -> str:
        return f"hf://datasets/{self.dataset}"

    def check(self) -> None:
        """Raise RequestError where the Hub cannot be asked, or the dataset has no such configuration, split or text field."""
        if not self.dataset.startswith("./"):
            _commit(self.dataset, self.snapshot)
        try:
            stream = self._stream()
        except RunError as problem:
            raise RequestError(str(problem)) from problem
        fields = stream.column_names
        if fields and self.text_field not in fields:
            raise no_text_field(self.name, self.text_field, fields)

    def partitions(self) -> Sequence[int]:
        return range(self._stream().num_shards)

    def read(self, partition: int) -> Iterator[Document | Dropped]:
        for location, record in self.records(partition):
            yield self.settle(location, record)

    def records(self, partition: int) -> Iterator[tuple[str, Record]]:
        """The rows of a partition as they are, each with the shard that it is in."""
        stream = self._stream()
        shard = stream.shard(num_shards=stream.num_shards, index=partition)
        location = "/".join(part for part in (self.name, self.config, self.split, f"{partition:05d}") if part)
        for place, fields in enumerate(_rows(shard, self.name)):
            yield location, Record(place, fields.pop(self.text_field, None), fields)

    def _stream(self) -> Any:
        """The split as a stream of rows; images and sound stay the bytes that they are. Raises RunError."""
        import datasets

        try:
            stream = datasets.load_dataset(self.dataset, self.config, split=self.split, revision=self.snapshot, streaming=True)
        except Exception as problem:  # whatever the Hub, the network or a file of the dataset raise
            raise RunError(_why(self.name, problem)) from problem
        return stream.decode(False)


def _rows(stream: Any, name: str) -> Iterator[dict[str, Any]]:
    try:
        yield from stream
    except Exception as problem:
        raise RunError(_why(name, problem)) from problem


def _commit(dataset: str, revision: str | None) -> str:
    """The commit that a revision stands for now; raises RequestError at once where the Hub does not tell."""
    import huggingface_hub

    try:
        info = huggingface_hub.HfApi().dataset_info(dataset, revision=revision, timeout=SECONDS)
    except Exception as problem:
        raise RequestError(_why(f"hf://datasets/{dataset}", problem)) from problem
    return str(info.sha)


def _why(name: str, problem: Exception) -> str:
    """One line about a failure, from the two that say most of what the Hub's libraries say."""
    lines = [line.strip() for line in str(problem).splitlines() if line.strip()] or [type(problem).__name__]
    return f"cannot read {name}: {' '.join(lines[:2])}; check name, revision, network and (for a private one) HF_TOKEN, or use its files"
