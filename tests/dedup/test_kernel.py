"""How inner loops are compiled."""

import numba
import pytest
from numba.types import int64

from pipeline.dedup.kernel import kernel


def double(value: int) -> int:
    return 2 * value


def test_a_loop_runs_where_compiled_code_cannot_be_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    compile_function = numba.njit

    def refuse(*arguments: object, cache: bool = False, **options: object) -> object:
        if cache:
            raise RuntimeError("cannot cache function 'double': no locator available for file 'double.py'")
        return compile_function(*arguments, **options)

    monkeypatch.setattr(numba, "njit", refuse)
    assert kernel(int64(int64))(double)(21) == 42


def test_any_other_failure_to_compile_is_an_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: object, **options: object) -> object:
        raise RuntimeError("no memory left")

    monkeypatch.setattr(numba, "njit", fail)
    with pytest.raises(RuntimeError, match="no memory left"):
        kernel(int64(int64))(double)
