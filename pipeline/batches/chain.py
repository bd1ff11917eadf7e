"""A chain over the global batches of a run: runs that saw the same data in the same order have the same value, and no others.

chain(0) is that of no batches, and chain(k) = H(chain(k − 1), the digests of the rows of step k's global batch, in order). A row's
digest commits to its token ids, the inputs and the last target, and to where documents begin in it, and so to everything that
a `Batch` says. It commits to nothing else: not to the ids of the documents, nor to what an objective hides of a row.

Rows are digested one by one, so each member of a gang digests those that it trains on, and the number of members, the
micro-batch and the accumulation leave no mark. H is BLAKE2b with 128 bits: about a nanosecond a byte, five bytes a token.
"""

from hashlib import blake2b

import numpy as np

from pipeline.batches.packing import Batch

SIZE = 16
"""Bytes of a digest."""
START = bytes(SIZE).hex()
"""The chain of no batches."""


def row_digests(batch: Batch) -> bytes:
    """The digests of a batch's rows, one behind the other."""
    tokens = batch.tokens.astype("<u4").view(np.uint8)
    begins = np.packbits(batch.documents[:, 1:] != batch.documents[:, :-1], axis=1)
    return b"".join(blake2b(row, digest_size=SIZE).digest() for row in np.concatenate([tokens, begins], axis=1))


def extended(chain: str, rows: bytes) -> str:
    """The chain after one more batch, given by the digests of all its rows."""
    return blake2b(bytes.fromhex(chain) + rows, digest_size=SIZE).hexdigest()
