"""Which documents are held out for validation: a hash of the id decides, so the answer never depends on what else is in a corpus."""

import hashlib
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import RequestError


@dataclass(frozen=True, kw_only=True)
class Split:
    """Whole documents are held out, a `fraction` of them on average, before a tokenizer is trained. `salt` gives another choice."""

    fraction: float = 0.01
    salt: str = ""

    def __post_init__(self) -> None:
        if not 0 <= self.fraction <= 1:
            raise RequestError(f"split.fraction is {self.fraction}: hold out a fraction from 0 (nothing) to 1 (all)")

    def held_out(self, document_id: str) -> bool:
        """Whether a document is kept from training."""
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
