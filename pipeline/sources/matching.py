"""Which files two listings have in common: a merge join of sorted tables, in bounded memory."""

from bisect import bisect_right
from collections.abc import Iterator
from operator import methodcaller

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from pipeline.sources.catalogue import Catalogue, Mask
from pipeline.sources.rows import BATCH_FILES


def matched(left: Catalogue, right: Catalogue) -> tuple[Mask, Mask]:
    """For each file of the one and of the other, whether both have it, of the same name, size and mark.

    The two are gone through side by side, once, a window at a time (as in a merge join).
    """
    if left == right:  # as most often
        return np.ones(len(left), dtype=bool), np.ones(len(right), dtype=bool)
    in_right, in_left = np.zeros(len(left), dtype=bool), np.zeros(len(right), dtype=bool)
    for mine, yours in _windows(left.rows.table["path"], right.rows.table["path"]):
        my_files, your_files = left.rows.table[mine], right.rows.table[yours]
        named, known = _are_in(my_files["path"], your_files["path"]), _are_in(your_files["path"], my_files["path"])
        my_keys, your_keys = _keys(my_files.filter(pa.array(named))), _keys(your_files.filter(pa.array(known)))
        in_right[mine][named] = _are_in(my_keys, your_keys)
        in_left[yours][known] = _are_in(your_keys, my_keys)
        left.rows.let_go()
        right.rows.let_go()
    return in_right, in_left


def _are_in(values: pa.ChunkedArray, others: pa.ChunkedArray) -> Mask:
    found: Mask = pc.is_in(values, value_set=others).to_numpy()
    return found


def _windows(left: pa.ChunkedArray, right: pa.ChunkedArray) -> Iterator[tuple[slice, slice]]:
    """The rows of two sorted columns in pairs of slices between the same names, of about BATCH_FILES rows at most."""
    mine = yours = 0
    while mine < len(left) and yours < len(right):
        last = (names[min(start + BATCH_FILES, len(names)) - 1].as_py() for names, start in ((left, mine), (right, yours)))
        until = min(last)
        ends = [bisect_right(names, until, start, key=methodcaller("as_py")) for names, start in ((left, mine), (right, yours))]
        yield slice(mine, ends[0]), slice(yours, ends[1])
        mine, yours = ends


def _keys(table: pa.Table) -> pa.ChunkedArray:
    """What tells files apart, as one value each; neither sizes nor marks hold a zero byte."""
    columns = [pc.cast(pc.cast(table["bytes"], pa.large_string()), pa.large_binary()), pc.cast(table["mark"], pa.large_binary())]
    return pc.binary_join_element_wise(*columns, table["path"], pa.scalar(b"\0", pa.large_binary()))
