"""Labelled records as people keep them."""

import gzip
import json
from pathlib import Path

import pyarrow as pa
import pytest
from pyarrow.parquet import write_table

from pipeline.documents import Dropped
from pipeline.errors import RequestError, RunError
from pipeline.finetune.records import Labelled, RecordFiles

ROWS = [{"text": "a quiet hill", "label": "1"}, {"text": '"quoted", and\na line end', "label": "0"}, {"text": "一座小山", "label": "1"}]


def values(files: RecordFiles) -> list[dict[str, object]]:
    return [dict(record.values) for record in files.records() if isinstance(record, Labelled)]


def reasons(files: RecordFiles) -> list[tuple[str, str]]:
    return [(record.origin, record.reason) for record in files.records() if isinstance(record, Dropped)]


@pytest.mark.parametrize("name", ["rows.jsonl", "rows.json", "rows.csv", "rows.tsv", "rows.parquet", "rows.jsonl.gz"])
def test_a_table_gives_the_same_records_in_every_format(name: str, tmp_path: Path) -> None:
    path = tmp_path / name
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    quoted = [['"' + value.replace('"', '""') + '"' for value in row.values()] for row in ROWS]
    match name.partition(".")[2]:
        case "jsonl":
            path.write_text(lines)
        case "jsonl.gz":
            path.write_bytes(gzip.compress(lines.encode()))
        case "json":
            path.write_text(json.dumps(ROWS))
        case "csv" | "tsv" as kind:
            mark = "," if kind == "csv" else "\t"
            path.write_text(f"text{mark}label\n" + "".join(mark.join(row) + "\n" for row in quoted))
        case "parquet":
            write_table(pa.Table.from_pylist(ROWS), path)
    assert values(RecordFiles.at((str(path),))) == ROWS


def test_columns_are_named_for_files_that_do_not(tmp_path: Path) -> None:
    path = tmp_path / "topics.tsv"
    path.write_text("Shares fall\tBusiness\nA comet\tScience\n")
    files = RecordFiles.at((str(path),), columns=("text", "label"))
    assert values(files) == [{"text": "Shares fall", "label": "Business"}, {"text": "A comet", "label": "Science"}]


def test_a_broken_record_is_left_out_with_its_reason_and_place(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a"}\n{"text": \n{"text": "b"}\n')
    files = RecordFiles.at((str(path),))
    assert values(files) == [{"text": "a"}, {"text": "b"}]
    assert reasons(files) == [("rows.jsonl#2", "malformed-json")]


def test_conll_sentences_are_lists_whose_last_column_is_the_last_of_the_file(tmp_path: Path) -> None:
    path = tmp_path / "esp.train"
    path.write_text("-DOCSTART- -X- O\n\nMelbourne NP B-LOC\n( Fpa O\n\n\nEl DA O\n", encoding="utf-8")
    files = RecordFiles.at((str(path),), "conll", ("tokens", "tags"))
    assert values(files) == [{"tokens": ["Melbourne", "("], "tags": ["B-LOC", "O"]}, {"tokens": ["El"], "tags": ["O"]}]


def test_a_sentence_with_a_line_of_too_few_columns_is_left_out_whole(tmp_path: Path) -> None:
    path = tmp_path / "esp.train"
    path.write_text("Melbourne B-LOC\nlost\nagain O\n\nEl O\n")
    files = RecordFiles.at((str(path),), "conll", ("tokens", "tags"))
    assert values(files) == [{"tokens": ["El"], "tags": ["O"]}]
    assert reasons(files) == [("esp.train#1", "columns-missing")]


def test_squad_questions_come_with_their_paragraph(tmp_path: Path) -> None:
    question = {"id": "q1", "question": "Who?", "answers": [{"text": "Ann", "answer_start": 0}]}
    broken = {"id": "q2", "question": "Who?", "answers": [{"text": "Ann"}]}
    path = tmp_path / "squad.json"
    path.write_text(json.dumps({"data": [{"paragraphs": [{"context": "Ann sang.", "qas": [question, broken]}]}]}))
    files = RecordFiles.at((str(path),), "squad")
    answers = {"text": ["Ann"], "answer_start": [0]}
    assert values(files) == [{"context": "Ann sang.", "question": "Who?", "id": "q1", "answers": answers}]
    assert reasons(files) == [("squad.json#0.1", "not-squad")]


def test_aligned_lines_are_columns_and_files_of_unequal_length_are_refused(tmp_path: Path) -> None:
    (tmp_path / "a.de.gz").write_bytes(gzip.compress(b"ein Hund\nzwei Hunde\n"))
    (tmp_path / "a.en").write_text("a dog\ntwo dogs\n")
    (tmp_path / "short.en").write_text("a dog\n")
    files = RecordFiles.at((str(tmp_path / "a.de.gz"), str(tmp_path / "a.en")), "lines", ("source", "target"))
    assert values(files) == [{"source": "ein Hund", "target": "a dog"}, {"source": "zwei Hunde", "target": "two dogs"}]
    uneven = RecordFiles.at((str(tmp_path / "a.en"), str(tmp_path / "short.en")), "lines", ("source", "target"))
    with pytest.raises(RequestError, match=r"short\.en has 1 lines, fewer"):
        values(uneven)


def test_a_moved_set_is_the_same_and_a_changed_one_another(tmp_path: Path) -> None:
    for name, text in (("a.jsonl", '{"text": "a"}\n'), ("b.jsonl", '{"text": "a"}\n'), ("c.jsonl", '{"text": "c"}\n')):
        (tmp_path / name).write_text(text)
    digests = [RecordFiles.at((str(tmp_path / name),)).digest for name in ("a.jsonl", "b.jsonl", "c.jsonl")]
    assert digests[0] == digests[1] != digests[2]


def test_files_that_change_after_the_request_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "rows.jsonl"
    path.write_text('{"text": "a"}\n')
    files = RecordFiles.at((str(path),))
    path.write_text('{"text": "b"}\n')
    with pytest.raises(RunError, match="changed since"):
        files.check_unchanged()


@pytest.mark.parametrize(
    ("locations", "layout", "columns", "words"),
    [
        (("nowhere.jsonl",), "table", (), "there is no file 'nowhere.jsonl'"),
        (("odd.xyz",), "table", (), "in no known format"),
        (("empty.jsonl",), "table", (), "is empty"),
        (("odd.xyz",), "tree", (), "layout is 'tree'"),
        (("odd.xyz",), "conll", (), "needs the names of its columns"),
        (("odd.xyz",), "lines", ("a", "b"), "1 files for 2 columns"),
        (("hf://datasets/a/b", "odd.xyz"), "table", (), "one data set of Hugging Face"),
    ],
)
def test_a_wrong_request_is_refused_at_once(
    locations: tuple[str, ...], layout: str, columns: tuple[str, ...], words: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("odd.xyz").write_text("text")
    Path("empty.jsonl").write_text("")
    with pytest.raises(RequestError, match=words):
        RecordFiles.at(locations, layout, columns)  # type: ignore[arg-type]
