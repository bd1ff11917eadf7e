"""pyarrow without pandas: at the first array that is made it imports pandas, to tell whether the values are a column of pandas.

They never are here, and the import takes as long as all of a refresh with nothing to do. Where pandas is asked for by name
(`to_pandas`), or is there already, pyarrow uses it as ever.
"""

import sys
from importlib.abc import MetaPathFinder
from typing import Any

import pyarrow as pa


class _NoPandas(MetaPathFinder):
    """Says that pandas is not installed."""

    def find_spec(self, fullname: str, path: Any, target: Any = None) -> None:  # noqa: ARG002 - as finders are called
        if fullname == "pandas":
            raise ModuleNotFoundError("pandas is left out", name=fullname)


def leave_pandas_out() -> None:
    """Have pyarrow look for pandas now, and not find it."""
    if "pandas" in sys.modules:
        return
    finder = _NoPandas()
    sys.meta_path.insert(0, finder)
    try:
        pa.array([])
    finally:
        sys.meta_path.remove(finder)
