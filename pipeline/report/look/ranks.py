"""Which documents are looked at: those with the smallest hashes of their ids, so that the choice hangs on nothing else."""

import heapq
import math
from collections.abc import Iterable, Mapping, Sequence

from pipeline.tokens.split import hashes_of

SALT = "look"
Ranked = tuple[int, str]
"""A hash, and the id that it is of."""


def ranked(document_ids: Sequence[str]) -> list[Ranked]:
    """Ids with their hashes."""
    return list(zip(hashes_of(document_ids, SALT).tolist(), document_ids, strict=True))


def first(candidates: Iterable[Ranked], most: int) -> list[Ranked]:
    """So many of them, those with the smallest hashes."""
    return heapq.nsmallest(most, set(candidates))


def shift(documents: int, wanted: int) -> int:
    """How many leading bits of a hash must be zero for about `wanted` of so many documents to be chosen, or half as many."""
    return max(0, math.ceil(math.log2(documents / wanted))) if documents else 0


def shifts(documents: Mapping[str, int], wanted: int) -> dict[str, int]:
    """`shift` for each source, which have a like share each; those of which all are chosen are left out."""
    each = max(1, wanted // max(1, len(documents)))
    return {source: bits for source, count in sorted(documents.items()) if (bits := shift(count, each))}
