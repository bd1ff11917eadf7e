"""Texts in several scripts, a tokenizer trained on some of them, and batches of their tokens."""

from collections.abc import Sequence
from pathlib import Path

import numpy as np
from hypothesis import strategies as st
from numpy.typing import NDArray
from tokenizers import Tokenizer

from pipeline.batches.packing import Batch
from pipeline.objectives.base import Objective, held_out_rows
from pipeline.objectives.lexicon import Lexicon
from pipeline.objectives.words import word_starts
from pipeline.tokens.sample import Sample
from pipeline.tokens.tokenizer import TOKENIZER, train_bpe

ENGLISH = "The old fox jumped over 1234 quiet walls, and a naïve heron didn't look."
CHINESE = "天地玄黃，宇宙洪荒。日月盈昃，辰宿列張。"
RARE = "龘齾爨"
"""Characters that the tokenizer has never seen, so that each is three bytes of its own."""
texts = st.text(alphabet=st.sampled_from(f"{ENGLISH}{CHINESE}{RARE} \n\u0301ไทยน้ำかなカナ한국🦊"), min_size=1, max_size=60)


def write_tokenizer(folder: Path) -> Path:
    """A byte-level BPE of English, and of Chinese in which pieces of several characters were found."""
    sample = Sample(1 << 20, heap=[(0, "", text.encode() * 30) for text in (f"{ENGLISH} ", CHINESE)])
    place = folder / TOKENIZER
    place.write_bytes(train_bpe(sample, 400))
    return place


def lexicon_of(place: Path, objective: Objective, context: int) -> Lexicon:
    size = Tokenizer.from_file(str(place)).get_vocab_size()
    return Lexicon(place, size, 0, objective.added(context))


def encoded(lexicon: Lexicon, text: str) -> NDArray[np.int64]:
    return np.array(Tokenizer.from_file(str(lexicon.tokenizer)).encode(text, add_special_tokens=False).ids, np.int64)


def spelled(lexicon: Lexicon, tokens: Sequence[int]) -> bytes:
    values, offsets = lexicon.spelling.values, lexicon.spelling.offsets
    return b"".join(values[offsets[token] : offsets[token + 1]].tobytes() for token in tokens)


def words_of(lexicon: Lexicon, tokens: NDArray[np.int64]) -> list[bytes]:
    """The bytes of the words among the tokens of one document."""
    starts = np.flatnonzero(word_starts(tokens[None], np.arange(len(tokens))[None] == 0, lexicon.spelling)[0])
    return [spelled(lexicon, part.tolist()) for part in np.split(tokens, starts[1:])]


def windows(lexicon: Lexicon, count: int, context: int) -> Batch:
    """Windows of mixed text, none of which is another."""
    tokens = encoded(lexicon, "".join(f"{number} {ENGLISH} {CHINESE}{RARE}" for number in range(count * context // 30 + 1)))
    return held_out_rows(tokens[: count * context].reshape(count, context))
