"""Benchmarks as files."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from pipeline.errors import RequestError, RunError
from pipeline.evaluate.task_file import Row, TaskFile
from pipeline.evaluate.template import filled
from pipeline.workflow.fingerprint import canonical
from tests.evaluate.files import QUESTIONS, written


def test_a_benchmark_is_the_same_wherever_it_lies_and_however_it_is_packed(tmp_path: Path) -> None:
    plain = written(tmp_path, QUESTIONS)
    (tmp_path / "elsewhere").mkdir()
    packed = tmp_path / "elsewhere" / "few.jsonl.gz"
    packed.write_bytes(gzip.compress(Path(plain.location).read_bytes()))
    assert canonical(TaskFile.at(str(packed))) == canonical(plain)
    assert [row.columns for row in TaskFile.at(str(packed)).rows()] == [row.columns for row in plain.rows()] == list(QUESTIONS)


def test_other_bytes_or_another_name_are_another_benchmark(tmp_path: Path) -> None:
    plain = written(tmp_path, QUESTIONS)
    assert canonical(written(tmp_path, QUESTIONS[1:])) != canonical(plain)
    assert canonical(written(tmp_path, QUESTIONS, "other.jsonl")) != canonical(plain)


def test_every_kind_of_table_gives_the_same_records(tmp_path: Path) -> None:
    records = [{"query": "one\ntwo", "answer": "3"}, {"query": "四", "answer": "5"}]
    (tmp_path / "a.json").write_text(json.dumps(records))
    (tmp_path / "a.csv").write_text('query,answer\n"one\ntwo",3\n四,5\n')
    pq.write_table(pa.Table.from_pylist(records), tmp_path / "a.parquet")
    for path in (written(tmp_path, records, "a.jsonl").location, *(str(tmp_path / f"a.{kind}") for kind in ("json", "csv", "parquet"))):
        assert [dict(row.columns) for row in TaskFile.at(path).rows()] == records


def test_a_header_is_no_example(tmp_path: Path) -> None:
    location = written(tmp_path, [{"task": "cloze"}, *QUESTIONS]).location
    file = TaskFile.at(location, headed=True)
    assert file.header() == {"task": "cloze"}
    assert [row.columns for row in file.rows()] == list(QUESTIONS)


WRONG: dict[str, tuple[bytes | None, str]] = {
    "nothing.jsonl": (None, "there is no file"),
    "text.md": (b"words", r"readable are \.jsonl"),
    "broken.jsonl": (b'{"a": 1}\n{"a": \n', r"broken\.jsonl#2 .*malformed-json"),
    "list.jsonl": (b"[1]\n", r"list\.jsonl#1 .*not-an-object"),
    "empty.jsonl": (b"", "holds no examples"),
    "header.csv": (b"a,b\n", "holds no examples"),
    "packed.jsonl.gz": (b"no gzip", "packed.jsonl.gz cannot be read"),
    "rubbish.parquet": (b"PAR1 no", "rubbish.parquet"),
}


@pytest.mark.parametrize("name", WRONG)
def test_what_is_no_benchmark_is_refused_with_its_place(tmp_path: Path, name: str) -> None:
    content, words = WRONG[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    with pytest.raises(RequestError, match=words):
        list(TaskFile.at(str(tmp_path / name)).rows())


def test_a_folder_without_a_table_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RequestError, match="there are no examples in the folder"):
        TaskFile.at(str(tmp_path))


def test_a_file_that_changes_before_it_is_read_stops_the_run(tmp_path: Path) -> None:
    file = written(tmp_path, QUESTIONS)
    written(tmp_path, QUESTIONS[1:])
    with pytest.raises(RunError, match="has changed since the run was asked for"):
        list(file.rows())


def test_a_template_is_filled_with_columns_and_braces_can_be_written() -> None:
    row = Row("few.jsonl#1", {"a": "x{y}", "b c": 3, "none": None, "half": "\ud800"})
    assert filled("{a} {b c}{none}! {{a}} {half}", row) == "x{y} 3! {a} ?"


@pytest.mark.parametrize("template", ["{", "}", "{}", "{a", "a}", "{{{"])
def test_a_template_with_a_brace_too_many_is_refused(template: str) -> None:
    with pytest.raises(RequestError, match="the template"):
        filled(template, Row("few.jsonl#1", {"a": ""}))
