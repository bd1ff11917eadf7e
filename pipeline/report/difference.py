"""Two texts side by side: lines that are equal stand beside each other, and in lines that are not, the words that differ are marked.

Whatever the texts are, the work is bounded: SEGMENTS lines a text are compared, and words only as long as BUDGET lasts.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import SequenceMatcher

SEGMENTS = 200
"""What comes behind so many lines is left out."""
LONGEST = 160
"""Where a line has no end for so many characters, it is cut: Chinese paragraphs, and code that was squeezed."""
BUDGET = 60_000
"""Comparisons of a word with a word."""
BESIDE = 1
"""Equal lines that are shown before and after what differs."""
ENDS = "。！？；.!?;"


@dataclass(frozen=True)
class Piece:
    """A run of text, marked if the other text has nothing like it in its place."""

    text: str
    marked: bool = False


@dataclass(frozen=True)
class Row:
    """What stands side by side."""

    left: tuple[Piece, ...]
    right: tuple[Piece, ...]

    @property
    def equal(self) -> bool:
        return not any(piece.marked for piece in (*self.left, *self.right))


@dataclass(frozen=True)
class Equal:
    """So many rows that are equal and not shown."""

    rows: int


def difference(one: str, other: str) -> list[Row]:
    """All of both texts, up to SEGMENTS lines of each, in rows."""
    left, right = segments(one)[:SEGMENTS], segments(other)[:SEGMENTS]
    budget, rows = BUDGET, list[Row]()
    for kind, start, end, begin, stop in SequenceMatcher(None, left, right, autojunk=False).get_opcodes():
        if kind == "equal":
            rows += [Row((Piece(text),), (Piece(text),)) for text in left[start:end]]
            continue
        mine, theirs = words("".join(left[start:end])), words("".join(right[begin:stop]))
        budget -= len(mine) * len(theirs)
        rows.append(_compared(mine, theirs) if budget > 0 else Row(_whole(mine), _whole(theirs)))
    return rows


def folded(rows: Sequence[Row]) -> Iterator[Row | Equal]:
    """The rows that differ and BESIDE rows around them; of the others, how many there are."""
    near = {place + step for place, row in enumerate(rows) if not row.equal for step in range(-BESIDE, BESIDE + 1)}
    hidden = 0
    for place, row in enumerate(rows):
        if place in near:
            if hidden:
                yield Equal(hidden)
            hidden = 0
            yield row
        else:
            hidden += 1
    if hidden:
        yield Equal(hidden)


def segments(text: str) -> list[str]:
    """The lines of a text with their ends; long ones are cut behind sentences, or anywhere."""
    return [part for line in text.splitlines(keepends=True) for part in _cut(line)]


def _cut(line: str) -> Iterator[str]:
    while len(line) > LONGEST:
        end = max(line.rfind(sign, LONGEST // 4, LONGEST) for sign in ENDS)
        end = end + 1 if end >= 0 else LONGEST
        yield line[:end]
        line = line[end:]
    yield line


def words(text: str) -> list[str]:
    """Runs of letters and digits, runs of white space, and single characters of all else; where no spaces are written, single letters."""
    found = list[str]()
    kind = ""
    for character in text:
        now = _kind(character)
        if now and now == kind:
            found[-1] += character
        else:
            found.append(character)
        kind = now
    return found


def _kind(character: str) -> str:
    """Characters of one kind are a run; "" stands alone. From U+2E80 on, letters are of scripts without spaces, or nearly all."""
    if character.isspace():
        return "space"
    return "word" if character.isalnum() and character < "\u2e80" else ""


def _compared(mine: list[str], theirs: list[str]) -> Row:
    left, right = list[Piece](), list[Piece]()
    for kind, start, end, begin, stop in SequenceMatcher(None, mine, theirs, autojunk=False).get_opcodes():
        left += [Piece("".join(mine[start:end]), kind != "equal")] if end > start else []
        right += [Piece("".join(theirs[begin:stop]), kind != "equal")] if stop > begin else []
    return Row(tuple(left), tuple(right))


def _whole(text: list[str]) -> tuple[Piece, ...]:
    return (Piece("".join(text), True),) if text else ()
