"""What a build loads, and what it does not."""

import subprocess
import sys

import pytest

SCRIPT = """
import sys
import numpy as np
import pipeline.documents
import pyarrow as pa
import pyarrow.compute as pc
table = pa.table({"numbers": pa.array(np.arange(3)), "words": pa.array(["a", None, "b"])})
pc.is_in(table["words"], value_set=pa.array(["a"])).to_numpy(zero_copy_only=False), table.to_pylist(), pa.scalar(1)
assert "pandas" not in sys.modules
"""


@pytest.mark.parametrize(
    "then",
    [
        "assert table.to_pandas()['numbers'].tolist() == [0, 1, 2]",
        "import pandas; assert pa.table(pandas.DataFrame({'a': [1.5, None]}))['a'].null_count == 1",
        "import pandas; assert pa.array(pandas.Series(['a', float('nan')]), from_pandas=True).null_count == 1",
    ],
)
def test_arrays_are_made_without_pandas_and_with_it_where_it_is_asked_for(then: str) -> None:
    done = subprocess.run([sys.executable, "-c", SCRIPT + then], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_pandas_that_is_there_already_is_used_as_ever() -> None:
    script = "import pandas, pipeline.documents, pyarrow as pa; assert pa.array(pandas.Series([1.5, None])).null_count == 1"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
