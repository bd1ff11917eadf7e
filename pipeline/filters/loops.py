"""The loops over characters and words, compiled. Imported only by what runs them."""

from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

OTHER, SPACE, LETTER, HANGUL, DIGIT, MARK, JOINER, HAN, KANA, SYLLABLE = range(10)
"""What a character is to a word: LETTER to DIGIT make runs, HAN to SYLLABLE are words by themselves."""
NUMBER, RUN, KOREAN_RUN, HAN_WORD = range(4)
"""What a word is: a run without letters, a run with letters, one with Hangul; from HAN_WORD on, a character by itself.

All of these stand in this file because numba takes them into its compiled code, and looks at no other file to see
whether that is still good.
"""
TOP, LONGEST = 4, 10
_PRIME = np.uint64(0x9E3779B97F4A7C15)
_SHIFT, _LEFT, _RIGHT = np.uint64(29), np.uint64(23), np.uint64(41)


@njit(cache=True)  # type: ignore[untyped-decorator]
def find_words(
    codes: NDArray[np.uint32], classes: NDArray[np.uint8], hashes: NDArray[np.uint64], lengths: NDArray[np.int32], sums: NDArray[np.int64]
) -> int:
    """Fill `hashes` and `lengths` (characters) with the words of `codes`; returns their number.

    `sums` [3, kinds] is filled with the number of words of each kind, with their characters, and at [2, 0] with the
    characters that are no white space.
    """
    words = visible = 0
    state, length, kind = _PRIME, 0, NUMBER
    inside = OTHER  # LETTER within a run, HAN after a character that stands for itself, OTHER outside
    for place in range(codes.size):
        sort = classes[codes[place]]
        visible += sort != SPACE
        if LETTER <= sort <= DIGIT:
            begins, inside = inside != LETTER, LETTER
        elif sort >= HAN:
            begins, inside = True, HAN
        elif (sort == MARK and inside != OTHER) or (sort == JOINER and inside == LETTER and _joins(codes, classes, place)):
            begins = False
        else:
            inside = OTHER
            continue
        if begins:
            if words:
                sums[0, kind] += 1
                sums[1, kind] += length
            state, length, kind = _PRIME, 0, NUMBER
            words += 1
        state = _mixed(state, np.uint64(codes[place]))
        length += 1
        if sort == LETTER:
            kind = max(kind, RUN)
        elif sort == HANGUL:
            kind = KOREAN_RUN
        elif sort >= HAN:
            kind = HAN_WORD + sort - HAN
        hashes[words - 1], lengths[words - 1] = state, length
    if words:
        sums[0, kind] += 1
        sums[1, kind] += length
    sums[2, 0] = visible
    return words


@njit(cache=True)  # type: ignore[untyped-decorator]
def _joins(codes: NDArray[np.uint32], classes: NDArray[np.uint8], place: int) -> bool:
    """Whether a letter or a digit follows."""
    return place + 1 < codes.size and LETTER <= classes[codes[place + 1]] <= DIGIT


@njit(cache=True)  # type: ignore[untyped-decorator]
def _mixed(state: Any, value: Any) -> Any:
    """64 bits of hash from 64 bits of state and a value; their order matters."""
    mixed = (((state << _LEFT) | (state >> _RIGHT)) ^ value) * _PRIME
    return mixed ^ (mixed >> _SHIFT)


@njit(cache=True)  # type: ignore[untyped-decorator]
def repeated_characters(hashes: NDArray[np.uint64], lengths: NDArray[np.int32], stretch: float) -> NDArray[np.int64]:
    """Characters of words in repeated n-grams, for n = 2 … LONGEST times `stretch` (1 or more); no character counts twice.

    Up to n = TOP: all occurrences of the most frequent n-gram, if it occurs more than once (of several,
    the one with the most characters). Beyond: every occurrence of any n-gram but its first.

    An n-gram can repeat only where the shorter one that begins it does, so each n looks at the places left by the
    one before: of ordinary text, few. Time is linear in the words for each n.
    """
    repeated = np.zeros(LONGEST - 1, np.int64)
    grams = hashes.copy()
    places = np.arange(hashes.size)
    reached = 1
    for size in range(2, LONGEST + 1):
        n = int(size * stretch + 0.5)
        while places.size and places[-1] + n > hashes.size:
            places = places[:-1]
        for place in places:
            for word in range(place + reached, place + n):
                grams[place] = _mixed(grams[place], hashes[word])
        reached = n
        first, count = _first_occurrences(grams, places)
        if size <= TOP:
            best = _most_frequent(places, first, count, lengths, n)
            if best >= 0:
                repeated[size - 2] = _covered(places[first == best], lengths, n)
        else:
            repeated[size - 2] = _covered(places[first != np.arange(first.size)], lengths, n)
        places = places[count[first] > 1]
        if places.size == 0:
            break
    return repeated


@njit(cache=True)  # type: ignore[untyped-decorator]
def _first_occurrences(grams: NDArray[np.uint64], places: NDArray[np.int64]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """For each of `places`, the index (into `places`) of the first with the same n-gram; and at that index, their number."""
    first = np.empty(places.size, np.int64)
    count = np.zeros(places.size, np.int64)
    size = 16
    while size < 2 * places.size:
        size *= 2
    table = np.full(size, -1, np.int64)
    for index in range(places.size):
        gram = grams[places[index]]
        slot = np.int64(gram >> np.uint64(8)) & (size - 1)
        while table[slot] >= 0 and grams[places[table[slot]]] != gram:
            slot = (slot + 1) & (size - 1)
        if table[slot] < 0:
            table[slot] = index
        first[index] = table[slot]
        count[first[index]] += 1
    return first, count


@njit(cache=True)  # type: ignore[untyped-decorator]
def _most_frequent(
    places: NDArray[np.int64], first: NDArray[np.int64], count: NDArray[np.int64], lengths: NDArray[np.int32], n: int
) -> int:
    """The index of the first occurrence of the n-gram that occurs most often, -1 if none occurs twice."""
    best, most, widest = -1, 1, 0
    for index in range(places.size):
        if first[index] == index and count[index] >= max(most, 2):
            width = lengths[places[index] : places[index] + n].sum()
            if count[index] > most or width > widest:
                best, most, widest = index, count[index], width
    return best


@njit(cache=True)  # type: ignore[untyped-decorator]
def _covered(places: NDArray[np.int64], lengths: NDArray[np.int32], n: int) -> int:
    """The characters of the words that n-grams at `places` (ascending) cover."""
    total = reached = 0
    for place in places:
        for word in range(max(place, reached), place + n):
            total += lengths[word]
        reached = place + n
    return total


@njit(cache=True)  # type: ignore[untyped-decorator]
def language_scores(
    text: NDArray[np.uint8],
    moves: NDArray[np.uint32],
    rows: NDArray[np.uint16],
    outputs: NDArray[np.int32],
    weights: NDArray[np.float32],
    prior: NDArray[np.float32],
) -> NDArray[np.float32]:
    """The naive Bayes score of each class [classes] for the bytes of a text; zeros where no feature is in it.

    `moves` [rows · 256] and `rows` [states] are the automaton that finds byte n-grams, `outputs` [states] the feature
    that a state completes (-1: none), `weights` [features, classes] and `prior` [classes] are logarithms.
    """
    found = np.empty(text.size, np.int32)
    features = 0
    state = np.int64(0)
    for byte in text:
        state = np.int64(moves[np.int64(rows[state]) * 256 + byte])
        if outputs[state] >= 0:
            found[features] = outputs[state]
            features += 1
    if features == 0:
        return np.zeros_like(prior)
    scores = prior.copy()
    ordered = np.sort(found[:features])
    start = 0
    while start < features:
        end = start + 1
        while end < features and ordered[end] == ordered[start]:
            end += 1
        weight = np.float32(np.log1p(end - start))
        for place in range(scores.size):
            scores[place] += weight * weights[ordered[start], place]
        start = end
    return scores
