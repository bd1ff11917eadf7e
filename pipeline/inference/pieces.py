"""Tokens as people can read them, those that are parts of a character included."""

import codecs
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any


@dataclass(frozen=True)
class Piece:
    """A token in words."""

    text: str
    """What it stands for; of a token that is a part of a character, what all its parts together stand for."""
    special: bool = False
    part: int = 1
    """Which of its parts it is, from 1."""
    parts: int = 1
    data: bytes = b""
    """Its own bytes."""


def pieces(tokenizer: Any, ids: Sequence[int]) -> list[Piece]:
    """A piece for each token. Bytes that are no text in any grouping stand as replacement characters."""
    special = set(tokenizer.all_special_ids)
    found: list[Piece] = []
    for group in _groups([None if token in special else _bytes(tokenizer, token) for token in ids]):
        tokens = [ids[place] for place in group]
        if tokens[0] in special:
            found.append(Piece(tokenizer.convert_ids_to_tokens(tokens[0]), special=True))
            continue
        data = [_bytes(tokenizer, token) for token in tokens]
        text = b"".join(data).decode("utf-8", "replace")
        found += [Piece(text, part=part, parts=len(data), data=own) for part, own in enumerate(data, 1)]
    return found


def _groups(data: Sequence[bytes | None]) -> Iterator[list[int]]:
    """The places of tokens that only together end where characters do; None stands for a token of its own."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    group: list[int] = []
    for place, own in enumerate(data):
        if own is None:
            if group:
                yield group
            yield [place]
            group = []
            decoder.reset()
            continue
        group.append(place)
        decoder.decode(own)
        if not decoder.getstate()[0]:
            yield group
            group = []
    if group:
        yield group


def _bytes(tokenizer: Any, token: int) -> bytes:
    """The bytes that a token stands for, by the ways in which tokenizers spell them."""
    spelled = tokenizer.convert_ids_to_tokens(token)
    if spelled is None:  # an entry of the model's matrix that no token has
        return f"<{token}>".encode()
    if token in tokenizer.added_tokens_decoder:
        return str(spelled).encode()
    if "ByteLevel" in repr(tokenizer.backend_tokenizer.decoder):
        alphabet = byte_alphabet()
        return bytes(alphabet[letter] for letter in spelled if letter in alphabet)
    if re.fullmatch(r"<0x[0-9A-F]{2}>", spelled):  # SentencePiece's bytes
        return bytes([int(spelled[3:5], 16)])
    return str(spelled).replace("▁", " ").encode("utf-8", "replace")


@lru_cache(maxsize=1)
def byte_alphabet() -> dict[str, int]:
    """The byte that each letter of a byte-level vocabulary stands for (Radford and others, 2019, `bytes_to_unicode`)."""
    plain = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in plain]
    return {chr(byte): byte for byte in plain} | {chr(256 + place): byte for place, byte in enumerate(others)}
