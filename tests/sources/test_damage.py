"""Damaged and hostile files end in a counted quarantine: never in a crash, an endless file, or silence."""

import gzip
import random
import signal
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as parquet
import pytest

from pipeline.documents import Document
from pipeline.errors import RunError
from pipeline.sources.formats import inspector, streams
from pipeline.sources.formats.base import SourceFile
from pipeline.sources.formats.inspector import Inspector
from pipeline.sources.formats.known import format_of
from tests.sources.containers import COMPRESSED, encoded, kept, quarantined, read, write

RNG = random.Random(7)
WORDS = [f"{RNG.getrandbits(64):x}" for _ in range(4000)]
RECORDS = [{"text": " ".join(RNG.choices(WORDS, k=40)), "id": str(number)} for number in range(600)]


@pytest.mark.parametrize("compression", [".gz", ".zst"])
@pytest.mark.parametrize("name", ["a.jsonl", "a.csv"])
def test_what_a_truncated_stream_still_holds_is_kept_and_the_rest_has_a_place(name: str, compression: str, tmp_path: Path) -> None:
    place = write(tmp_path / f"{name}{compression}", RECORDS)
    place.write_bytes(place.read_bytes()[: place.stat().st_size * 3 // 4])
    records = read(place)
    texts = [record.text for record in records if isinstance(record, Document)]
    assert 300 < len(texts) < 600
    assert texts == [record["text"] for record in RECORDS[: len(texts)]]
    header = 1 if name == "a.csv" else 0
    assert quarantined(place) == [(str(len(texts) + 1 + header), "truncated")]


@pytest.mark.parametrize("compression", [".gz", ".zst"])
def test_a_stream_with_wrong_bytes_in_it_is_kept_up_to_them(compression: str, tmp_path: Path) -> None:
    place = write(tmp_path / f"a.jsonl{compression}", RECORDS)
    data = bytearray(place.read_bytes())
    data[len(data) // 2 : len(data) // 2 + 40] = bytes(40)
    place.write_bytes(data)
    reasons = {reason for _, reason in quarantined(place)}
    assert reasons <= {"damaged-file", "truncated", "malformed-json", "undecodable", "not-an-object"}
    assert reasons & {"damaged-file", "truncated"}


@pytest.mark.parametrize("compression", [".gz", ".zst"])
def test_members_and_frames_one_after_the_other_are_one_file(compression: str, tmp_path: Path) -> None:
    place = tmp_path / f"a.jsonl{compression}"
    halves = [COMPRESSED[compression](encoded("jsonl", half)) for half in (RECORDS[:300], RECORDS[300:])]
    place.write_bytes(b"".join(halves))
    assert [document.text for document in kept(place)] == [record["text"] for record in RECORDS]


@pytest.mark.parametrize("compression", [".gz", ".zst"])
@pytest.mark.parametrize("name", ["a.txt", "a.jsonl", "a.csv", "a.json", "a.parquet", "a.arrow"])
def test_a_file_that_would_explode_is_quarantined(name: str, compression: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FREE_BYTES", 1 << 20)
    long = b"a" * 9999
    content = {"a.jsonl": b'{"text": "' + long + b'"}\n', "a.csv": long + b"\n", "a.json": b" " * 9999}.get(name, long)
    (tmp_path / f"{name}{compression}").write_bytes(COMPRESSED[compression](content * 400))
    assert [reason for _, reason in quarantined(tmp_path / f"{name}{compression}")][-1:] == ["decompression-limit"]


def test_text_that_repeats_a_lot_may_expand(tmp_path: Path) -> None:
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"again and again\n" * 1_000_000))
    assert len(kept(tmp_path / "a.txt.gz")[0].text) == 16_000_000


def test_a_table_that_would_explode_is_quarantined(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(streams, "FREE_BYTES", 1 << 20)
    parquet.write_table(pa.table({"text": ["x" * 10_000] * 5000}), tmp_path / "a.parquet", compression="zstd")
    assert quarantined(tmp_path / "a.parquet") == [("0", "decompression-limit")]


@pytest.mark.parametrize("name", ["a.parquet", "a.arrow", "a.arrows"])
def test_a_damaged_table_is_quarantined_and_the_next_file_is_read(name: str, tmp_path: Path) -> None:
    place = write(tmp_path / name, RECORDS)
    whole = place.read_bytes()
    good = write(tmp_path / f"z{name}", RECORDS[:5])
    for damaged in (whole[: len(whole) // 2], b"", b"nonsense" * 100, whole[:8] + bytes(200) + whole[208:]):
        place.write_bytes(damaged)
        records = read(tmp_path)
        assert [record.text for record in records if isinstance(record, Document)] == [record["text"] for record in RECORDS[:5]]
        assert [(r.origin, r.reason) for r in records if not isinstance(r, Document)] == [(f"{place}#0", "damaged-file")]
    assert good.exists()


def test_no_wrong_byte_in_a_table_ends_the_process_that_reads_it(tmp_path: Path) -> None:
    """Bytes are changed at random; whatever the inspector lets through is then read here."""
    looking = Inspector()
    outcomes = set()
    for name in ("a.arrow", "a.parquet", "a.arrows"):
        whole = encoded(name.removeprefix("a."), RECORDS[:50])
        reader = format_of(name)
        assert reader is not None
        for _ in range(100):
            data = bytearray(whole)
            for _ in range(RNG.choice([1, 3, 20])):
                data[RNG.randrange(len(data))] = RNG.choice([0, 127, 255, RNG.randrange(256)])
            (tmp_path / name).write_bytes(data)
            outcomes |= {type(record).__name__ for record in reader.records(SourceFile(tmp_path / name, name, looking), "text")}
    assert looking.close() == 0
    assert outcomes == {"Record", "Bad"}


def test_a_file_that_kills_its_reader_is_damaged_and_the_next_is_looked_at(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    child = tmp_path / "child.py"
    child.write_text(
        "import os, signal, sys\nfor line in sys.stdin:\n if 'killer' in line: os.kill(os.getpid(), signal.SIGSEGV)\n"
        " print('null', flush=True)"
    )
    monkeypatch.setattr(inspector.columnar, "__file__", str(child))
    for name in ("good", "killer"):
        (tmp_path / name).write_bytes(b"")
    looking = Inspector()
    assert [looking.fault(tmp_path / name, "arrow") for name in ("good", "killer", "good")] == [None, "damaged-file", None]
    assert looking.close() == 0


def test_a_reader_that_ends_for_another_reason_fails_the_run(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "child.py").write_text("import sys; sys.exit(3)")
    monkeypatch.setattr(inspector.columnar, "__file__", str(tmp_path / "child.py"))
    (tmp_path / "a").write_bytes(b"")
    with pytest.raises(RunError, match="code 3; run the same command again"):
        Inspector().fault(tmp_path / "a", "arrow")
    assert signal.SIGKILL not in inspector.CRASHES
