"""A matrix of weights as a small picture: a PNG of one colour, the more opaque the greater the weight, on light and dark pages."""

import base64
import struct
import zlib

import numpy as np
from numpy.typing import NDArray

COLOUR = bytes.fromhex("4a86cf")
SIGNATURE = b"\x89PNG\r\n\x1a\n"


def picture(weights: NDArray[np.float32]) -> str:
    """The address of a picture of weights [rows, columns], a pixel each; the greatest is opaque, and small ones are raised to be seen."""
    shares = np.sqrt(np.clip(weights, 0, None) / max(float(weights.max(initial=0.0)), 1e-9))
    rows = np.pad((255 * shares).round().astype(np.uint8), ((0, 0), (1, 0)))  # each row is led by its filter: none
    header = struct.pack(">IIBBBBB", weights.shape[1], weights.shape[0], 8, 3, 0, 0, 0)
    chunks = [
        (b"IHDR", header),
        (b"PLTE", COLOUR * 256),
        (b"tRNS", bytes(range(256))),
        (b"IDAT", zlib.compress(rows.tobytes(), 9)),
        (b"IEND", b""),
    ]
    data = SIGNATURE + b"".join(_chunk(name, content) for name, content in chunks)
    return f"data:image/png;base64,{base64.b64encode(data).decode()}"


def _chunk(name: bytes, content: bytes) -> bytes:
    return struct.pack(">I", len(content)) + name + content + struct.pack(">I", zlib.crc32(name + content))
