"""Reads the transaction log of an offline W&B run: protocol buffers in blocks, as LevelDB writes its log."""

import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

HEADER, BLOCK, RECORD_HEADER = 7, 32_768, 7
WHOLE, LAST = 1, 4


def records(path: Path) -> Iterator[Any]:
    """The records of a `.wandb` file, in order."""
    from wandb.proto.wandb_internal_pb2 import Record

    data, place, part = path.read_bytes(), HEADER, b""
    assert data.startswith(b":W&B")
    while place + RECORD_HEADER <= len(data):
        if BLOCK - place % BLOCK < RECORD_HEADER:
            place += BLOCK - place % BLOCK
            continue
        _, length, kind = struct.unpack_from("<IHB", data, place)
        part += data[place + RECORD_HEADER : place + RECORD_HEADER + length]
        place += RECORD_HEADER + length
        if kind in (WHOLE, LAST):
            record = Record()
            record.ParseFromString(part)
            part = b""
            yield record
