"""The sketch of a document: what is needed to find those that may be like it, in a few numbers."""

import numpy as np
import pyarrow as pa

from pipeline.dedup.banding import Banding
from pipeline.dedup.exact import exact_keys
from pipeline.dedup.minhash import band_hashes
from pipeline.dedup.shingles import shingles, text_buffers

EXACT_SCHEMA = pa.schema([("id", pa.string()), ("exact_high", pa.uint64()), ("exact_low", pa.uint64())])


def sketch_schema(banding: Banding | None) -> pa.Schema:
    """Id and exact key; for near-duplicates also the number of shingles (with repetitions) and the hash of each band."""
    if banding is None:
        return EXACT_SCHEMA
    return EXACT_SCHEMA.append(pa.field("shingles", pa.int64())).append(pa.field("bands", pa.list_(pa.uint64(), banding.bands)))


def sketch_batch(batch: pa.RecordBatch, banding: Banding | None, width: int, characters: bool) -> pa.RecordBatch:
    """The sketches of a batch of documents, in order."""
    buffers = text_buffers(batch["text"])
    keys = exact_keys(buffers)
    columns = [batch["id"], pa.array(keys[:, 0]), pa.array(keys[:, 1])]
    if banding is not None:
        hashes, ends = shingles(buffers, np.arange(batch.num_rows), width, characters)
        bands = band_hashes(hashes, ends, banding)
        counts = np.diff(ends, prepend=0)
        columns += [pa.array(counts), pa.FixedSizeListArray.from_arrays(pa.array(bands.reshape(-1)), banding.bands)]
    return pa.record_batch(columns, schema=sketch_schema(banding))
