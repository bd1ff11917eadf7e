"""The option --report: tables that every terminal can show, one JSON object with the same numbers, and no text of what is forgotten."""

import json
from pathlib import Path
from typing import Any

import pytest
from rich.cells import cell_len

from jobs.command import Invocation, Options
from jobs.corpus import Ways, corpus, show
from jobs.forget import ForgetRecipe, forget
from jobs.looking import show_looking
from jobs.recipe import CorpusRecipe
from jobs.refresh import Timing, refresh
from jobs.refresh import show as show_refresh
from pipeline.storage import Store
from pipeline.workflow.artifact import manifests
from tests.jobs.running import job
from tests.report.test_look import CHINESE, ENGLISH, recipe, write

SECRET = "call 555 0100"


@pytest.fixture(autouse=True)
def no_tracker(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.sources.listing.MOST_UNIT_BYTES", 1)
    monkeypatch.setenv("WANDB_MODE", "disabled")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    write(tmp_path / "data", "a", [*ENGLISH, ENGLISH[0], "too short"])
    write(tmp_path / "data", "b", [*CHINESE, SECRET])
    return tmp_path / "data"


def built(store: Store, *folders: Path, report: bool = True, plan: bool = False, **options: Any) -> dict[str, Any]:
    invocation = Invocation(recipe(*folders, **options), Options(root=store.url, cluster="none", plan=plan), Ways(report=report))
    return dict(corpus(invocation))


def refreshed(store: Store, asked: CorpusRecipe) -> dict[str, Any]:
    return dict(refresh(Invocation(asked, Options(root=store.url, cluster="none"), Timing(report=True))))


def test_the_tables_say_what_json_says(store: Store, folder: Path) -> None:
    result = built(store, folder)
    words = " ".join(show(result).split())
    (source,) = result["looking"]["sources"].values()
    for stage in result["looking"]["through"]:
        for counts in stage["sources"].values():
            for reason, lost in counts["dropped"].items():
                assert f"{stage['stage']}/{reason} − {lost['documents']}" in words
    for part in ("5%", "50%", "95%", "longest"):
        assert f" {source['characters'][part]} " in words
        assert f" {source['token_lengths'][part]} " in words
    assert f"kept {source['documents']} " in words
    assert json.loads(json.dumps(result)) == result


def test_json_holds_no_text(store: Store, folder: Path) -> None:
    told = json.dumps(built(store, folder), ensure_ascii=False)
    for text in (*ENGLISH, *CHINESE, "too short", SECRET):
        assert text[:20] not in told


def test_without_the_option_nothing_is_looked_at(store: Store, folder: Path) -> None:
    result = built(store, folder, report=False)
    assert "looking" not in result
    assert "look" not in result["artifacts"]
    assert show_looking(result) == ""
    assert Path(result["report"]).name.startswith("tokenize-")


def test_a_plan_names_the_look(store: Store, folder: Path) -> None:
    assert built(store, folder, plan=True)["plan"][-1]["step"].startswith("look/")


def test_a_look_that_was_taken_is_not_taken_again(store: Store, folder: Path) -> None:
    first, second = built(store, folder), built(store, folder)
    assert first["artifacts"]["look"] in second["skipped"]
    assert first["looking"] == second["looking"]


def test_a_table_is_80_columns_wide_whatever_the_names(store: Store, tmp_path: Path) -> None:
    names = ["a-long-folder-" * 8, "很长的中文文件夹名字" * 7, "\x1b[31mred\x1b]0;owned\x07", "[bold]markup[/bold]"]
    for number, name in enumerate(names):
        write(tmp_path / "data" / name, "a", [*ENGLISH[8 * number : 8 * number + 8], ENGLISH[8 * number]])
    words = show(built(store, *(tmp_path / "data" / name for name in names)))
    tables = words[words.index("What each source lost") : words.index("corpus: ")]
    assert max(cell_len(line) for line in tables.splitlines()) <= 80
    assert all(line.isprintable() for line in tables.splitlines())
    assert "[bold]markup[/bold]" in tables
    assert "文件夹名字" in tables


def test_of_many_sources_the_table_says_how_many_more(store: Store, tmp_path: Path) -> None:
    folders = [tmp_path / f"source-{number:02d}" for number in range(15)]
    for number, folder in enumerate(folders):
        write(folder, "a", ENGLISH[2 * number : 2 * number + 2])
    assert "and 3 more sources" in show(built(store, *folders))


def pages_below(root: str) -> str:
    """All pages of a root."""
    return "".join(page.read_text() for page in Path(root, "reports").glob("*.html"))


@pytest.mark.parametrize("wanted", [SECRET, CHINESE[4]])
def test_what_is_forgotten_is_on_no_page_and_in_no_look(store: Store, tmp_path: Path, wanted: str) -> None:
    """Whether it was dropped, and so is in no corpus, or kept."""
    write(tmp_path / "data", "a", [*ENGLISH, *CHINESE, SECRET, CHINESE[4].replace("天", "地", 1)])
    asked = recipe(tmp_path / "data", similarity=0.6)
    refreshed(store, asked)
    assert wanted in pages_below(store.url)
    forget(Invocation(ForgetRecipe(match=wanted), Options(root=store.url, cluster="none")))
    assert wanted not in pages_below(store.url)
    assert list(manifests(store, "look")) == []
    assert list(Path(store.url, "look").glob("*/documents/*")) == []
    result = refreshed(store, asked)
    assert wanted not in pages_below(store.url)
    assert "ingest/forgotten" in show_refresh(result)


def test_nothing_but_the_result_is_on_stdout(tmp_path: Path, folder: Path) -> None:
    arguments = ("--sources", str(folder), "--vocab-size", "320", "--cluster", "none", "--root", str(tmp_path / "runs"), "--report")
    words = job("corpus", "tiny", *arguments)
    assert words.code == 0, words.stderr
    assert words.stdout.startswith("read 73 documents\n")
    told = job("corpus", "tiny", *arguments, "--json")
    assert told.result["looking"]["documents"] == told.result["documents"]["kept"]
