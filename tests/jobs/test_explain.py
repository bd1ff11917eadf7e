"""`python jobs/explain.py` shows what filters would do to a sample, and builds nothing."""

import json
from pathlib import Path
from typing import Any

import pytest

from jobs.explain import show
from tests.filters.texts import CHINESE, ENGLISH
from tests.jobs.running import job


@pytest.fixture
def corpus(tmp_path: Path) -> Path:
    place = tmp_path / "corpus.jsonl"
    texts = [f"{ENGLISH} {place}" for place in range(30)] + [CHINESE, "two words", "word " * 60]
    place.write_text("".join(json.dumps({"text": text}) + "\n" for text in [*texts, ""]))
    return place


def test_it_says_what_would_be_dropped_and_leaves_no_trace(corpus: Path, tmp_path: Path) -> None:
    done = job("explain", "--sources", corpus.name, "--json", folder=tmp_path)
    result = done.result
    assert result["built"] == result["skipped"] == []
    documents = result["documents"]
    assert documents["read"] == 34
    assert documents["quarantined"] == {"empty-text": 1}
    assert documents["sampled"] == documents["kept"] + sum(documents["dropped"].values()) == 33
    words = next(part for part in result["filters"] if part["filter"] == "word-count")
    assert words["reasons"]["too-few"] == {"count": 1, "examples": [{"origin": "corpus.jsonl#32", "text": "two words"}]}
    assert (words["drops"], words["first"], words["share"]) == (1, 1, round(1 / 33, 6))
    assert sorted(path.name for path in tmp_path.iterdir()) == ["corpus.jsonl"]


def test_a_sample_is_smaller_than_the_source_and_a_recipe_may_be_named(corpus: Path, tmp_path: Path) -> None:
    result = job("explain", "tiny", "--sources", corpus.name, "--sample", "10", "--examples", "0", "--json", folder=tmp_path).result
    assert result["documents"]["read"] == 34
    assert result["documents"]["sampled"] == 10
    assert [part["filter"] for part in result["filters"]] == ["word-count"]


def test_people_get_a_page_that_fits_their_terminal(corpus: Path, tmp_path: Path) -> None:
    done = job("explain", "--sources", corpus.name, folder=tmp_path, COLUMNS="80")
    assert done.code == 0
    assert "kept 31 (93.9 %), dropped 2" in done.stdout
    assert "two words" in done.stdout
    assert max(map(len, done.stdout.splitlines())) <= 80


def test_a_plan_reads_nothing(corpus: Path, tmp_path: Path) -> None:
    done = job("explain", "--sources", corpus.name, "--plan", folder=tmp_path)
    assert done.code == 0
    assert "nothing would be built" in done.stdout
    assert "reading" not in done.stderr


WRONG = {
    "an unknown recipe": (["nonsense"], ["'nonsense'", "tiny"]),
    "a sample of nothing": (["--sample", "0"], ["--sample is 0"]),
    "a number of examples that cannot be": (["--examples", "-1"], ["--examples is -1"]),
    "a path that is not there": (["--sources", "no/such.jsonl"], ["no/such.jsonl"]),
    "a field that is not there": (["--sources", "corpus.jsonl", "--text-field", "body"], ["'body'", "text"]),
    "an unknown option": (["--sampel", "3"], ["--sampel"]),
}


@pytest.mark.parametrize("wrong", WRONG, ids=[name.replace(" ", "-") for name in WRONG])
def test_a_wrong_request_is_one_line_with_the_value_and_the_remedy(wrong: str, corpus: Path, tmp_path: Path) -> None:
    arguments, words = WRONG[wrong]
    done = job("explain", *arguments, folder=tmp_path)
    assert done.code == 2, done.stderr
    assert done.stdout == ""
    assert all(word in done.error for word in words)


def test_help_names_the_options_of_every_job_and_its_own() -> None:
    done = job("explain", "--help")
    assert done.code == 0
    for option in ("--root", "--cluster", "--plan", "--json", "--sources", "--sample", "--examples"):
        assert option in done.stdout


def page(text: str, edited: str | None = None) -> list[str]:
    """The page on a chain that drops one document, or changes it."""
    example: dict[str, Any] = {"origin": "somewhere/" * 20 + "file.txt#7", "text": text}
    part: dict[str, Any] = {"filter": "rule", "drops": 0 if edited else 1, "share": 0.5, "first": 1, "reasons": {}}
    if edited:
        part["edits"] = {"documents": 1, "characters": 3, "changes": {"email": 1}, "examples": [{**example, "edited": edited}]}
    else:
        part["reasons"] = {"reason": {"count": 1, "examples": [example]}}
    documents = {"read": 2, "quarantined": {}, "sampled": 2, "kept": 1, "dropped": {"rule/reason": 1}}
    return show({"documents": documents, "filters": [part]}).splitlines()


def test_examples_are_cut_to_the_width_of_the_terminal_in_which_chinese_is_wide(monkeypatch: pytest.MonkeyPatch) -> None:
    from rich.cells import cell_len

    monkeypatch.setenv("COLUMNS", "60")
    for lines in (page("汉字" * 100), page("word " * 100), page("汉字" * 100, "改动" * 100)):
        quoted = [line for line in lines if line.startswith("      ")]
        assert len(quoted) >= 2
        assert all(50 < cell_len(line) <= 60 for line in quoted)
        assert any(line.endswith("file.txt#7") for line in quoted)


def test_nothing_in_an_example_commands_the_terminal() -> None:
    lines = page("\x1b[31mred\x07\r\n\u202edrow\ttab\0", "\x9b1m\x1b]0;title\x07 word")
    assert all(line.isprintable() for line in lines)
    assert any("[31mred drow tab" in line for line in page("\x1b[31mred\x07\r\n\u202edrow\ttab\0"))


def test_a_corpus_job_can_explain_too_and_builds_nothing(corpus: Path, tmp_path: Path) -> None:
    arguments = ["python_library", "--sources", corpus.name, "--json"]
    asked, explained = job("corpus", *arguments, "--explain", folder=tmp_path).result, job("explain", *arguments, folder=tmp_path).result
    assert {**asked, "seconds": 0} == {**explained, "seconds": 0}
    assert not (tmp_path / "runs").exists()
