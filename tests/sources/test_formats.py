"""Formats: the same records are the same documents in every container; a bad record is quarantined with its place."""

import datetime
import decimal
import json
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pipeline.documents import Document
from pipeline.errors import RequestError
from pipeline.sources.files import Files
from pipeline.sources.formats import csv as csv_format
from pipeline.sources.formats import json_values, lines
from tests.sources.containers import COMPRESSED, NAMES, kept, quarantined, read, write

RECORDS = [{"id": f"r{number}", "text": f'first line\n«{number}» 第二行\r\nthird, with "quotes"\t!', "lang": "zh"} for number in range(20)]
DECLARED = """# -*- coding: koi8-r -*-
name = "Привет"
"""


@pytest.mark.parametrize("compression", COMPRESSED)
@pytest.mark.parametrize("name", NAMES)
def test_every_container_holds_the_same_documents(name: str, compression: str, tmp_path: Path) -> None:
    found = kept(write(tmp_path / f"{name}{compression}", RECORDS))
    assert [document.text for document in found] == [record["text"] for record in RECORDS]
    assert [json.loads(document.meta) for document in found] == [{"id": record["id"], "lang": "zh"} for record in RECORDS]


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.fixed_dictionaries({"text": st.text(min_size=1), "a, b": st.text()}), min_size=1, max_size=30))
def test_any_text_comes_out_of_every_streamed_container_as_it_went_in(tmp_path: Path, records: list[dict[str, str]]) -> None:
    for name in ("r.jsonl", "r.json", "r.csv.gz", "r.tsv.zst"):
        found = kept(write(tmp_path / name, records))
        assert [(document.text, json.loads(document.meta)["a, b"]) for document in found] == [(r["text"], r["a, b"]) for r in records]


def test_the_trial_files_are_the_same_documents_in_every_container(shared_data: Path) -> None:
    names = ["docs.jsonl", "docs.jsonl.gz", "docs.jsonl.zst", "docs.csv.gz", "docs_bom.csv"]
    names += ["docs.snappy.parquet", "docs.zstd.parquet", "docs.arrow"]
    contents = [[(document.text, document.meta) for document in kept(shared_data / "formats" / name)] for name in names]
    assert len(contents[0]) == 600
    assert all(content == contents[0] for content in contents)


def test_the_trial_files_of_two_encodings_are_the_same_text(shared_data: Path) -> None:
    texts = [kept(shared_data / "formats" / name)[0].text for name in ("zh_gb18030.txt", "zh_utf16.txt")]
    assert texts[0] == texts[1]
    assert texts[0].startswith("真人操\n")


def test_the_trial_file_with_bad_lines_loses_exactly_these(shared_data: Path) -> None:
    place = shared_data / "formats" / "docs_malformed.jsonl"
    assert quarantined(place) == [("6", "malformed-json"), ("13", "no-text"), ("16", "undecodable")]
    assert len(read(place)) == 19


def test_a_bad_line_is_quarantined_with_its_place_and_reason(tmp_path: Path) -> None:
    place = tmp_path / "a.jsonl"
    bad = {
        b'{"text": "cut': "malformed-json",
        b"[1]": "not-an-object",
        b'{"body": "x"}': "no-text",
        b'{"text": 5}': "text-not-a-string",
        b'{"text": "caf\xe9"}': "undecodable",
        b'{"text": ""}': "empty-text",
        b'{"text": "\\ud800"}': "lone-surrogate",
        b"[" * 9999: "malformed-json",
    }
    place.write_bytes(b'{"text": "good"}\n' + b"\n".join(bad) + b'\n\n \r\n{"text": "last"}')
    assert quarantined(place) == [(str(line), reason) for line, reason in enumerate(bad.values(), 2)]
    assert [(d.text, d.origin) for d in read(place) if isinstance(d, Document)] == [("good", f"{place}#1"), ("last", f"{place}#12")]


@pytest.mark.parametrize("encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-32"])
@pytest.mark.parametrize("name", ["r.jsonl", "r.csv", "r.json"])
def test_records_are_read_in_wide_encodings_and_with_marks(name: str, encoding: str, tmp_path: Path) -> None:
    place = write(tmp_path / name, RECORDS)
    place.write_bytes(place.read_bytes().decode().encode(encoding))
    assert [document.text for document in kept(place)] == [record["text"] for record in RECORDS]


def test_a_csv_file_in_gb18030_is_read(tmp_path: Path) -> None:
    place = tmp_path / "a.csv"
    place.write_bytes("标题,text\n一,我们的生活是这样的，他们也知道这个道理\n".encode("gb18030"))
    (document,) = kept(place)
    assert (document.text, document.meta) == ("我们的生活是这样的，他们也知道这个道理", '{"标题": "一"}')


def test_bad_rows_are_quarantined_with_the_line_they_begin_on(tmp_path: Path) -> None:
    place = tmp_path / "a.csv"
    place.write_bytes(b'id,text\n1,"two\nlines"\n2\n3,x,y\n\n4,"a"b\n5,caf\xe9\n6,' + "都很好".encode() + b'\n7,"never ended')
    expected = [("4", "short-row"), ("5", "long-row"), ("7", "malformed-csv"), ("8", "undecodable"), ("10", "malformed-csv")]
    assert quarantined(place) == expected
    assert [d.text for d in read(place) if isinstance(d, Document)] == ["two\nlines", "都很好"]


def test_a_huge_field_is_read(tmp_path: Path) -> None:
    text = "word " * 2_000_000
    assert kept(write(tmp_path / "a.csv", [{"text": text}]))[0].text == text


def test_a_record_larger_than_memory_allows_is_quarantined_and_the_next_is_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    place = tmp_path / "a.jsonl"
    place.write_bytes(b'{"text": "' + b"x" * 5000 + b'"}\n{"text": "next"}\n')
    with place.open("rb") as stream:
        assert [line and len(line) for line in lines.byte_lines(stream, most=1000)] == [None, 17]
    monkeypatch.setattr(json_values, "RECORD_BYTES", 1000)
    monkeypatch.setattr(json_values, "READ_CHARACTERS", 100)
    (tmp_path / "b.json").write_text(json.dumps([{"text": "good"}, {"text": "x" * 5000}]))
    assert quarantined(tmp_path / "b.json") == [("1", "too-large")]
    monkeypatch.setattr(csv_format, "RECORD_BYTES", 1000)
    (tmp_path / "c.csv").write_text('text\n"good"\n"' + "x" * 5000 + '"\n"next"\n')
    assert quarantined(tmp_path / "c.csv") == [("3", "too-large")]


def test_json_is_an_array_or_one_object_or_lines(tmp_path: Path) -> None:
    place = tmp_path / "a.json"
    for content, texts in (
        (' [ {"text": "a"} , {"text": "b"}\n] ', ["a", "b"]),
        ('{\n "text": "a"\n}', ["a"]),
        ('{"text": "a"}\n{"text": "b"}\n', ["a", "b"]),
        ("[]", []),
    ):
        place.write_text(content)
        assert [document.text for document in kept(place)] == texts


@pytest.mark.parametrize(
    ("content", "bad"),
    [
        ('[{"text": "a"}, {"text": ]', [("1", "malformed-json")]),
        ('[{"text": "a"}, 5, {"text": "b"}]', [("1", "not-an-object")]),
        ('[{"text": "a"}', [("1", "malformed-json")]),
        ('[{"text": "a"}] more', [("1", "malformed-json")]),
        ("nothing of the kind", [("0", "malformed-json")]),
    ],
)
def test_what_follows_a_fault_in_json_is_one_bad_record(content: str, bad: list[tuple[str, str]], tmp_path: Path) -> None:
    (tmp_path / "a.json").write_text(content)
    assert quarantined(tmp_path / "a.json") == bad


def test_an_array_of_json_larger_than_the_window_is_read_piece_by_piece(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(json_values, "READ_CHARACTERS", 5)
    records = [{"text": f"{number} " * number} for number in range(1, 40)]
    assert [document.text for document in kept(write(tmp_path / "a.json", records))] == [record["text"] for record in records]


def test_numbers_that_json_does_not_know_become_text_in_meta(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text('{"text": "a", "n": NaN, "l": [1e999], "s": "\\ud800", "x": {"z": 1, "a": null}}\n')
    (document,) = kept(tmp_path / "a.jsonl")
    assert json.loads(document.meta) == {"n": "nan", "l": ["inf"], "s": "\ud800", "x": {"z": 1, "a": None}}
    document.meta.encode()


def test_columns_of_any_kind_become_meta(tmp_path: Path) -> None:
    day, late = datetime.datetime(2024, 2, 29, 12), 4_000_000_000_000
    columns = {
        "text": pa.array(["a", "b", None, "d"], pa.large_string()),
        "day": pa.array([day, None, day, day], pa.timestamp("us")),
        "far": pa.array([0, late, 0, 0], pa.timestamp("s")),
        "data": pa.array([b"\xff\0", None, b"", b""]),
        "price": pa.array([decimal.Decimal("1.50")] * 4),
        "kind": pa.array(["x", "y", "x", "y"]).dictionary_encode(),
        "list": pa.array([[1, 2], None, [], [3]]),
    }
    parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    first = read(tmp_path / "a.parquet")[0]
    assert isinstance(first, Document)
    expected = {"day": "2024-02-29 12:00:00", "far": "1970-01-01 00:00:00", "data": "2 bytes", "price": "1.50", "kind": "x", "list": [1, 2]}
    assert json.loads(first.meta) == expected
    assert quarantined(tmp_path / "a.parquet") == [("1", "unconvertible-value"), ("2", "no-text")]


def test_a_wrong_character_in_a_column_costs_one_row(tmp_path: Path) -> None:
    binary = pa.array([b"fine", b"caf\xe9", b"fine too"])
    parquet.write_table(pa.table({"text": binary.view(pa.string())}), tmp_path / "a.parquet")
    assert quarantined(tmp_path / "a.parquet") == [("1", "undecodable")]
    assert [d.text for d in read(tmp_path / "a.parquet") if isinstance(d, Document)] == ["fine", "fine too"]


def test_a_text_file_is_one_document_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_bytes("\ufeff# Title\r\n\r\ntext  \n".encode())
    (document,) = kept(tmp_path / "a.md")
    assert (document.text, document.origin) == ("# Title\r\n\r\ntext  \n", f"{tmp_path}/a.md#0")


def test_python_source_is_read_in_the_encoding_that_it_declares(tmp_path: Path) -> None:
    (tmp_path / "a.py").write_bytes(DECLARED.encode("koi8-r"))
    assert kept(tmp_path / "a.py")[0].text == DECLARED


@pytest.mark.parametrize(
    ("content", "reason"),
    [(b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0", "binary"), ("文章很好。".encode() * 20 + b"\xe6", "undecodable"), (b"", "empty-text")],
)
def test_a_file_that_is_no_text_is_quarantined(content: bytes, reason: str, tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(content)
    (tmp_path / "b.txt").write_text("good")
    assert quarantined(tmp_path) == [("0", reason)]


def test_a_missing_text_field_is_told_before_anything_runs(tmp_path: Path) -> None:
    for name in ("a.jsonl", "a.csv", "a.parquet", "a.arrow.gz"):
        place = write(tmp_path / name, RECORDS)
        with pytest.raises(RequestError, match=r"has no field 'body', only id, (text, )?lang.*: name the one with the text as text_field"):
            Files.at(str(place), text_field="body").check()
        Files.at(str(place), text_field="lang").check()
