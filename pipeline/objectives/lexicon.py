"""The vocabulary of a model: a tokenizer's, with the special tokens that an objective adds behind it, and the bytes of each token.

All is read from tokenizer.json. The bytes say what a token is a part of; how they are spelled depends on the kind of tokenizer.
"""

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import RequestError

SPACE, CONTINUED = "▁", "##"
"""What stands for a space in tokenizers like SentencePiece, and what marks the rest of a word in WordPiece."""


@dataclass(frozen=True)
class Spelling:
    """The bytes of every token: those of token i are values[offsets[i] : offsets[i + 1]]; special tokens have none."""

    values: NDArray[np.uint8]
    offsets: NDArray[np.int64]


@dataclass(frozen=True)
class Lexicon:
    """A tokenizer.json whose ids end below `tokenizer_size`, and the names of the special tokens that a model needs beyond it."""

    tokenizer: Path
    tokenizer_size: int
    end_of_text: int
    added: Sequence[str] = ()

    @cached_property
    def ids(self) -> dict[str, int]:
        """The id of each special token, of the tokenizer and added; one that the tokenizer has already keeps its id.

        Raises RequestError where it is plain text to the tokenizer, or there is no free id for it.
        """
        from tokenizers import Tokenizer

        tokenizer = Tokenizer.from_file(str(self.tokenizer))
        special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
        for name in self.added:
            if name not in special and tokenizer.token_to_id(name) is not None:
                raise RequestError(f"{name!r} is plain text to the tokenizer, and is needed as a special token: use another tokenizer")
        taken = set(tokenizer.get_vocab(with_added_tokens=True).values())
        tokenizer.add_special_tokens(added_tokens(self.added))
        known = tokenizer.get_vocab(with_added_tokens=True)
        ids = {name: known[name] for name in (*special, *self.added)}
        if any(ids[name] in taken for name in self.added if name not in special):
            raise RequestError("the tokenizer's ids have gaps, so that added tokens would take the place of others: use another tokenizer")
        return ids

    @property
    def size(self) -> int:
        """One more than the greatest id: the model's vocabulary."""
        return max(self.tokenizer_size, 1 + max((self.ids[name] for name in self.added), default=0))

    def id_of(self, name: str) -> int:
        """The id of a special token; raises RequestError where there is none."""
        if name not in self.ids:
            raise RequestError(f"the tokenizer has no special token {name}: use a checkpoint that was trained with this objective")
        return self.ids[name]

    @cached_property
    def ordinary(self) -> NDArray[np.int64]:
        """The ids that are no special tokens, in order."""
        return np.flatnonzero(np.diff(self.spelling.offsets) > 0)

    @cached_property
    def spelling(self) -> Spelling:
        """The bytes of all tokens; raises RequestError for a kind of tokenizer whose spelling is not known."""
        tokens = [b""] * self.size
        for name, token in self._spelled():
            tokens[token] = name
        offsets = np.zeros(self.size + 1, np.int64)
        np.cumsum([len(token) for token in tokens], out=offsets[1:])
        return Spelling(np.frombuffer(b"".join(tokens), np.uint8), offsets)

    def _spelled(self) -> Iterator[tuple[bytes, int]]:
        from tokenizers import Tokenizer

        spell = _speller(json.loads(self.tokenizer.read_bytes()))
        tokenizer = Tokenizer.from_file(str(self.tokenizer))
        literal = {token.content for token in tokenizer.get_added_tokens_decoder().values()}
        for token, number in tokenizer.get_vocab(with_added_tokens=True).items():
            if token not in self.ids:
                yield (token.encode() if token in literal else spell(token)), number


def added_tokens(names: Sequence[str]) -> list[Any]:
    """Special tokens as the tokenizers library knows them."""
    from tokenizers import AddedToken

    return [AddedToken(name, special=True, normalized=False) for name in names]


def _speller(form: dict[str, Any]) -> Callable[[str], bytes]:
    """How the tokens of a tokenizer.json spell bytes."""
    kinds = set(_kinds([form["pre_tokenizer"], form["decoder"]]))
    if "ByteLevel" in kinds:
        return _byte_level()
    if form["model"]["type"] == "WordPiece":
        return lambda token: (token[len(CONTINUED) :] if token.startswith(CONTINUED) else f" {token}").encode()
    if kinds & {"Metaspace", "ByteFallback"}:
        return _sentence_piece
    raise RequestError(f"the tokenizer is a {form['model']['type']} whose tokens do not say where words begin: use a byte-level BPE")


def _kinds(node: Any) -> Iterator[str]:
    """Every `type` in a part of a tokenizer.json."""
    if isinstance(node, dict):
        yield str(node.get("type"))
        node = list(node.values())
    if isinstance(node, list):
        for item in node:
            yield from _kinds(item)


def _byte_level() -> Callable[[str], bytes]:
    """Printable bytes of Latin-1 stand for themselves, and the others, in order, for what follows it (Radford and others, 2019)."""
    printable = [*range(0x21, 0x7F), *range(0xA1, 0xAD), *range(0xAE, 0x100)]
    others = [byte for byte in range(0x100) if byte not in set(printable)]
    table = {chr(byte): byte for byte in printable} | {chr(0x100 + place): byte for place, byte in enumerate(others)}
    return lambda token: bytes(table[letter] for letter in token) if all(letter in table for letter in token) else token.encode()


def _sentence_piece(token: str) -> bytes:
    """`<0xE4>` is a byte."""
    if len(token) == 6 and token.startswith("<0x") and token.endswith(">"):
        return bytes([int(token[3:5], 16)])
    return token.replace(SPACE, " ").encode()
