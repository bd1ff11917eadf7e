"""Units that are found done: what a step did for other inputs is taken over, and nothing of it shows in the outcome."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pipeline.storage import Store, open_store
from pipeline.workflow.artifact import FileEntry, Manifest, manifest_path
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.fingerprint import execution
from pipeline.workflow.run import run
from pipeline.workflow.step import Context, Step
from pipeline.workflow.unit import Unit, open_artifact
from tests.workflow.steps import Numbers


@dataclass(frozen=True, kw_only=True)
class Squares(Step[Any]):
    """A power of each number, a unit each."""

    numbers: tuple[Step[Any], ...]
    power: int = 2
    scratch: bool = execution(False)
    journal: str = execution("")

    def run(self, context: Context) -> Mapping[str, Any]:
        items = [(place, entry) for place, step in enumerate(self.numbers) for entry in context.open(step).files("numbers")]
        receipts = list(context.map(self.square, items, stands_for=lambda item: item[1].checksum))
        return {"total": sum(receipt.facts["square"] for receipt in receipts)}

    def square(self, unit: Unit, item: tuple[int, FileEntry]) -> Mapping[str, Any]:
        place, entry = item
        number = int(unit.open(self.numbers[place]).local(entry).read_text())
        with open(self.journal, "a", encoding="utf-8") as file:
            file.write(f"{number}\n")
        unit.write("squares", f"{number**self.power}\n".encode(), ".txt", rows=1)
        if self.scratch:
            unit.scratch("notes", b"", ".txt")
        return {"square": number**self.power}


def squares(tmp_path: Path, *numbers: Numbers, **options: Any) -> Squares:
    return Squares(numbers=numbers, journal=str(tmp_path / "journal"), **options)


def build(step: Step[Any], store: Store) -> Manifest:
    return run([step], store, InlineExecutor()).manifests[step.address]


def done(tmp_path: Path) -> list[str]:
    """The units that were really done since the last look."""
    journal = tmp_path / "journal"
    lines = journal.read_text().split() if journal.exists() else []
    journal.unlink(missing_ok=True)
    return lines


def test_a_step_with_more_inputs_does_only_what_is_new(store: Store, tmp_path: Path) -> None:
    old, new = Numbers(count=3), Numbers(count=2, offset=10)
    build(squares(tmp_path, old), store)
    assert done(tmp_path) == ["0", "1", "2"]
    manifest = build(squares(tmp_path, new, old), store)
    assert done(tmp_path) == ["10", "11"]
    assert manifest.facts == {"total": 100 + 121 + 0 + 1 + 4}


def test_what_is_taken_over_is_named_where_it_lies_and_opens(store: Store, tmp_path: Path) -> None:
    first, second = squares(tmp_path, Numbers()), squares(tmp_path, Numbers(), Numbers(count=1, offset=7))
    home = build(first, store).fingerprint
    artifact = open_artifact(store, second) if build(second, store) else None
    assert artifact is not None
    entries = artifact.files("squares")
    assert [entry.path.startswith(f"../{home}/squares/") for entry in entries] == [True, True, True, False]
    assert [artifact.local(entry).read_text() for entry in entries] == ["0\n", "1\n", "4\n", "49\n"]
    assert not list(Path(store.url, second.address, "squares").glob("00000-*"))


def test_an_increment_has_the_content_of_a_build_from_scratch(store: Store, tmp_path: Path) -> None:
    step = squares(tmp_path, Numbers(count=1, offset=7), Numbers())
    build(squares(tmp_path, Numbers()), store)
    scratch = open_store(str(tmp_path / "scratch"))
    assert build(step, store).content == build(step, scratch).content


def test_a_third_state_names_the_first_ones_files(store: Store, tmp_path: Path) -> None:
    states = [squares(tmp_path, *(Numbers(count=1, offset=offset) for offset in range(count))) for count in (1, 2, 3)]
    homes = [build(step, store).fingerprint for step in states]
    paths = [entry.path.rsplit("/", 2)[0] for entry in open_artifact(store, states[-1]).files("squares")]
    assert paths[:2] == [f"../{homes[0]}", f"../{homes[1]}"]
    done(tmp_path)


def test_another_recipe_of_its_own_takes_nothing_over(store: Store, tmp_path: Path) -> None:
    build(squares(tmp_path, Numbers()), store)
    done(tmp_path)
    build(squares(tmp_path, Numbers(), power=3), store)
    assert done(tmp_path) == ["0", "1", "2"]


def test_a_unit_whose_file_is_gone_is_done_again(store: Store, tmp_path: Path) -> None:
    first, second = squares(tmp_path, Numbers()), squares(tmp_path, Numbers(), Numbers(count=1, offset=7))
    entry = build(first, store).files[1]
    Path(store.url, first.address, entry.path).unlink()
    done(tmp_path)
    build(second, store)
    assert done(tmp_path) == ["1", "7"]


def test_a_unit_that_leaves_scratch_files_is_done_again(store: Store, tmp_path: Path) -> None:
    build(squares(tmp_path, Numbers(), scratch=True), store)
    done(tmp_path)
    build(squares(tmp_path, Numbers(), Numbers(count=1, offset=7), scratch=True), store)
    assert done(tmp_path) == ["0", "1", "2", "7"]


def test_a_kept_receipt_that_cannot_be_read_costs_work_and_no_more(store: Store, tmp_path: Path) -> None:
    step = squares(tmp_path, Numbers())
    expected = build(step, store)
    for number, entry in enumerate(list(store.list("units"))):
        store.put(entry.path, (b"", b"{}", b"[1]", b'{"address": "x/y", "receipt": {}}')[number % 4])
    store.delete(manifest_path(step.address))
    done(tmp_path)
    assert build(step, store).content == expected.content
    assert done(tmp_path) == ["0", "1", "2"]
