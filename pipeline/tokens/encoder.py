"""The encoding seam: texts in, token ids out. `tokenizers` is the reference; a faster encoder is used where it agrees.

The fast encoder (fastokens) gives the same ids at some thirty times the speed. It is never trusted: with every
batch a sample of the documents, and documents with unusual characters, are encoded by the reference too, and where
one id differs, or it refuses a tokenizer, the reference does the work. So the ids are the reference's in either case.

The text of a document is text: what looks like a special token in it ("<|endoftext|>") is encoded as the characters
that it is made of, so no document can end itself or forge a turn of a conversation.
"""

import json
import logging
import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import chain, islice
from pathlib import Path
from typing import Any, Protocol
from unicodedata import category

import numpy as np
from numpy.typing import NDArray

log = logging.getLogger(__name__)
CHUNK_CHARACTERS = 1 << 20
"""The reference holds about a hundred bytes a token while it works: it is given this much text at a time."""
COMPARED_STRIDE = 512
"""One document in so many is compared with the reference."""
COMPARED_ODD, SOUGHT_STRIDE = 2, 32
"""So many more odd documents of a batch (control, format and private-use characters, combining marks) are compared; one in so many
is looked at for that."""
COMPARED_CHARACTERS = 1 << 10
"""Of a longer document, its beginning is compared."""
ID_BYTES = 4
LINE_ENDS_AND_TABS = frozenset("\t\n\r")


@dataclass(frozen=True)
class Encoded:
    """Token ids of several texts: those of text i are ids[offsets[i] : offsets[i + 1]]."""

    ids: NDArray[np.uint32]
    offsets: NDArray[np.int64]

    def __getitem__(self, place: int) -> NDArray[np.uint32]:
        return self.ids[self.offsets[place] : self.offsets[place + 1]]


class Encoder(Protocol):
    """Encodes plain text, without special tokens, and never finds any in it."""

    def encode_batch(self, texts: Sequence[str]) -> Encoded: ...


class NotTheReference(Exception):
    """The fast encoder failed, or gave other ids than the reference."""


class Reference:
    """The encoder of the `tokenizers` library."""

    def __init__(self, tokenizer_json: Path) -> None:
        from tokenizers import Tokenizer

        self.tokenizer = Tokenizer.from_file(str(tokenizer_json))
        self.tokenizer.encode_special_tokens = True
        self.tokenizer.no_truncation()
        self.tokenizer.no_padding()

    def encode_batch(self, texts: Sequence[str]) -> Encoded:
        found = [encoding.ids for chunk in _chunks(texts) for encoding in self.tokenizer.encode_batch_fast(chunk, add_special_tokens=False)]
        offsets = np.zeros(len(found) + 1, np.int64)
        np.cumsum([len(ids) for ids in found], out=offsets[1:])
        return Encoded(np.fromiter(chain.from_iterable(found), np.uint32, int(offsets[-1])), offsets)


class Fast:
    """The encoder of the `fastokens` library; raises ValueError for a tokenizer that it does not know."""

    def __init__(self, reference: Reference) -> None:
        from fastokens import Tokenizer

        form = json.loads(reference.tokenizer.to_str())
        if form["pre_tokenizer"] is None or form["model"].get("byte_fallback"):
            raise ValueError("without a cut into words it finds tokens that a text spells out, such as <0x41> or the end of a text")
        self.tokenizer: Any = Tokenizer.from_json_str(reference.tokenizer.to_str())

    def encode_batch(self, texts: Sequence[str]) -> Encoded:
        """One text a call, which stays in this thread: a batch goes to another, and costs a third more while this one waits for it."""
        parts = [self.tokenizer.encode_batch_flat((text,), split_special_tokens=True)[0] for text in texts]
        offsets = np.zeros(len(parts) + 1, np.int64)
        np.cumsum([len(part) // ID_BYTES for part in parts], out=offsets[1:])
        return Encoded(np.frombuffer(b"".join(parts), "<u4"), offsets)


@dataclass(frozen=True)
class Compared:
    """The fast encoder, compared with the reference on a part of every batch; raises NotTheReference."""

    fast: Encoder
    reference: Encoder

    def encode_batch(self, texts: Sequence[str]) -> Encoded:
        try:
            encoded = self.fast.encode_batch(texts)
        except (KeyboardInterrupt, SystemExit):
            raise
        except BaseException as problem:  # a panic in Rust is no Exception
            raise NotTheReference(f"the fast encoder failed: {problem}") from problem
        places = compared_places(texts)
        beginnings = [texts[place][:COMPARED_CHARACTERS] for place in places]
        expected = self.reference.encode_batch(beginnings)
        for number, (place, beginning) in enumerate(zip(places, beginnings, strict=True)):
            found = encoded[place] if len(beginning) == len(texts[place]) else self.fast.encode_batch([beginning])[0]
            if not np.array_equal(found, expected[number]):
                raise NotTheReference(f"the fast encoder gives other ids for {beginning[:40]!r}")
        return encoded


def compared_places(texts: Sequence[str]) -> list[int]:
    """Which texts of a batch are compared with the reference: evenly spread ones, and the first odd ones among others so spread."""
    odd = (place for place in range(0, len(texts), SOUGHT_STRIDE) if _is_odd(texts[place][:COMPARED_CHARACTERS]))
    return sorted({*range(0, len(texts), COMPARED_STRIDE), *islice(odd, COMPARED_ODD)})


def _is_odd(text: str) -> bool:
    """Whether a text has control, format or private-use characters, or combining marks. A set of its characters is made at once."""
    return any(category(character)[0] in "CM" for character in set(text) - LINE_ENDS_AND_TABS)


@dataclass(frozen=True)
class Encoders:
    """The reference, and the compared fast encoder where there is one for the tokenizer."""

    reference: Encoder
    compared: Encoder | None


@lru_cache(maxsize=2)
def open_encoders(tokenizer_json: Path) -> Encoders:
    """The encoders of a tokenizer.json; kept, since units that follow use the same one."""
    _use_one_thread()
    reference = Reference(tokenizer_json)
    try:
        return Encoders(reference, Compared(Fast(reference), reference))
    except (ImportError, ValueError) as problem:
        log.warning("the reference encodes all, some thirty times slower: the fast encoder is of no use here (%s)", problem)
        return Encoders(reference, None)


def _use_one_thread() -> None:
    """A unit of work uses one core: who runs units decides how many there are at once."""
    os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")
    os.environ.setdefault("RAYON_NUM_THREADS", "1")


def _chunks(texts: Sequence[str]) -> Iterator[list[str]]:
    chunk: list[str] = []
    size = 0
    for text in texts:
        chunk.append(text)
        size += len(text)
        if size >= CHUNK_CHARACTERS:
            yield chunk
            chunk, size = [], 0
    if chunk:
        yield chunk
