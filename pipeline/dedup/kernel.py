"""How the inner loops of this package are compiled: once a machine, without the interpreter's lock.

The compiled code is kept beside the module that holds the loop, and is thrown away when that file changes
(not when another file does): a loop and everything it calls live in one file.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
from numba.types import Array, boolean, float64, int64, uint8, uint32, uint64, void

F = TypeVar("F", bound=Callable[..., Any])

BYTES = Array(uint8, 1, "C", readonly=True)
OFFSETS = Array(int64, 1, "C", readonly=True)
TABLE = Array(uint32, 1, "C", readonly=True)
HASHES = Array(uint64, 1, "C", readonly=True)
BYTES_OUT, OFFSETS_OUT, HASHES_OUT, REALS_OUT = uint8[::1], int64[::1], uint64[::1], float64[::1]
HASH_ROWS_OUT = uint64[:, ::1]
PLACE_ROWS = Array(int64, 2, "C", readonly=True)
BOOLEAN, INTEGER, REAL, NOTHING = boolean, int64, float64, void


part = cast("Callable[[F], F]", numba.njit(nogil=True))
"""A part of a loop, compiled into each loop that calls it."""


def kernel(signature: Any) -> Callable[[F], F]:
    """Compile a loop for one signature, such as NOTHING(BYTES, OFFSETS, OFFSETS_OUT)."""

    def compile_function(function: F) -> F:
        try:
            compiled: F = numba.njit(signature, nogil=True, cache=True)(function)
        except RuntimeError as problem:
            if "cannot cache" not in str(problem):
                raise
            compiled = numba.njit(signature, nogil=True)(function)  # a machine where no folder can be written
        return compiled

    return compile_function
