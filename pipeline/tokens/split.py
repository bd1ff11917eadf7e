"""What is held out for validation: a document's own id or text decides, so the answer never depends on what else is in a corpus."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal, get_args

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from pipeline.errors import RequestError
from pipeline.workflow.fingerprint import later

HeldOutOf = Literal["documents", "ends"]


@dataclass(frozen=True, kw_only=True)
class Split:
    """Whole documents are held out, a `fraction` of them on average, before a tokenizer is trained. `salt` gives another choice.

    Of `ends`, it is the last `fraction` of the characters of each document, as one piece: for a corpus of one long text, or of few.
    """

    fraction: float = 0.01
    salt: str = ""
    of: HeldOutOf = later("documents")

    def __post_init__(self) -> None:
        if not 0 <= self.fraction <= 1:
            raise RequestError(f"split.fraction is {self.fraction}: hold out a fraction from 0 (nothing) to 1 (all)")
        if self.of not in get_args(HeldOutOf):
            raise RequestError(f"split.of is {self.of!r}: use {' or '.join(get_args(HeldOutOf))}")
        if self.of == "ends" and self.fraction == 1:
            raise RequestError("split.fraction is 1, and the end of a document follows on a beginning: hold out less of each")

    def parted(self, batch: pa.RecordBatch) -> tuple[pa.RecordBatch, NDArray[np.bool_]]:
        """Documents (with columns `id` and `text` at least) as rows that are either trained on or held out, and which of them are held
        out. Where ends are, a row for each beginning is followed by one for each end; both have the document's id."""
        if self.of == "documents":
            return batch, self.held_out_of(batch.column("id").to_pylist())
        texts = batch.column("text").to_pylist()
        cuts = [max(1, int(len(text) * (1 - self.fraction))) for text in texts]
        ended = [row for row, (text, cut) in enumerate(zip(texts, cuts, strict=True)) if cut < len(text)]
        pieces = [text[:cut] for text, cut in zip(texts, cuts, strict=True)] + [texts[row][cuts[row] :] for row in ended]
        rows = batch.take(pa.array([*range(len(texts)), *ended], pa.int64()))
        place = batch.schema.get_field_index("text")
        rows = rows.set_column(place, batch.schema.field(place), pa.array(pieces, batch.schema.field(place).type))
        return rows, np.arange(len(pieces)) >= len(texts)

    def kept(self, trained: int, held_out: int) -> int:
        """The number of documents of so many rows of each kind."""
        return trained if self.of == "ends" else trained + held_out

    def held_out(self, document_id: str) -> bool:
        """Whether a whole document is kept from training."""
        return hash_of(document_id, self.salt) < self._bound

    def held_out_of(self, document_ids: Iterable[str]) -> NDArray[np.bool_]:
        """`held_out` for a column of ids."""
        return hashes_of(document_ids, self.salt) < self._bound

    @property
    def _bound(self) -> int:
        return int(self.fraction * 2**64)


def hash_of(document_id: str, salt: str) -> int:
    """64 evenly distributed bits of a document's id."""
    return int.from_bytes(hashlib.blake2b(f"{salt}\0{document_id}".encode(), digest_size=8).digest(), "little")


def hashes_of(document_ids: Iterable[str], salt: str) -> NDArray[np.uint64]:
    """`hash_of` for a column of ids."""
    prefix = hashlib.blake2b(f"{salt}\0".encode(), digest_size=8)
    digests = []
    for document_id in document_ids:
        digest = prefix.copy()
        digest.update(document_id.encode())
        digests.append(digest.digest())
    return np.frombuffer(b"".join(digests), dtype="<u8")
