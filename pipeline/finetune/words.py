"""Sentences that were cut into words, as a model reads them: joined to running text, with the first token of each word known."""

from bisect import bisect_right
from collections.abc import Sequence
from typing import TYPE_CHECKING, Literal, NamedTuple

from pipeline.objectives.words import UNSPACED

if TYPE_CHECKING:
    from pipeline.finetune.reader import Reader

Joining = Literal["by-script", "spaces", "nothing"]
PUNCTUATION = ((0x3000, 0x303F), (0xFF00, 0xFFEF))
"""Of the scripts that are written without spaces."""
Span = tuple[int, int]


class Sentence(NamedTuple):
    """Running text, and the characters [begin, end) of each word; of a word of nothing but spaces, none."""

    text: str
    words: list[Span]


class ReadWords(NamedTuple):
    """The tokens of a sentence, and the place of each word's first one; None for a word that the tokenizer makes nothing of."""

    ids: list[int]
    firsts: list[int | None]


def read_words(words: Sequence[str], joining: Joining, reader: "Reader") -> ReadWords:
    """The tokens of a sentence as of running text. Where a token would hold characters of two words, each word is encoded by itself."""
    sentence = join(words, joining)
    ids, spans = reader.pieces(sentence.text)
    firsts = _firsts(spans, sentence.words)
    return _one_by_one(sentence, reader) if firsts is None else ReadWords(ids, firsts)


def join(words: Sequence[str], joining: Joining) -> Sentence:
    """Words as running text. By script, there is no space beside a character of a script that is written without spaces.

    Nor is there one in a sentence of such a script that was cut into single characters, digits and Latin letters among them.
    """
    bare = [word.strip() for word in words]
    close = joining == "nothing" or (joining == "by-script" and _is_cut_into_characters(bare))
    text, spans = "", list[Span]()
    for word in bare:
        if text and word and not close and (joining == "spaces" or not (_unspaced(text[-1]) or _unspaced(word[0]))):
            text += " "
        spans.append((len(text), len(text) + len(word)))
        text += word
    return Sentence(text, spans)


def _is_cut_into_characters(words: Sequence[str]) -> bool:
    return all(len(word) <= 1 for word in words) and any(_unspaced(word) for word in words if word)


def _unspaced(character: str) -> bool:
    """Whether a character is of a script that is written without spaces."""
    return any(first <= ord(character) <= last for first, last in (*UNSPACED, *PUNCTUATION))


def _firsts(pieces: Sequence[Span], words: Sequence[Span]) -> list[int | None] | None:
    """The first piece that has a character of each word; None where a piece has characters of two. The space before a word is its own."""
    firsts: list[int | None] = [None] * len(words)
    ends = [end for _, end in words]
    for place, (begin, end) in enumerate(pieces):
        if begin == end:
            continue
        word = bisect_right(ends, end - 1)
        if word and begin < ends[word - 1]:
            return None
        if firsts[word] is None and end > words[word][0]:
            firsts[word] = place
    return firsts


def _one_by_one(sentence: Sentence, reader: "Reader") -> ReadWords:
    """Each word's tokens by themselves, with those of the space before it."""
    ids, firsts, before = list[int](), list[int | None](), 0
    for begin, end in sentence.words:
        pieces = reader.pieces(sentence.text[before:end])
        (first,) = _firsts(pieces.spans, [(begin - before, end - before)]) or (None,)
        firsts.append(None if first is None else len(ids) + first)
        ids += pieces.ids
        before = end
    return ReadWords(ids, firsts)
