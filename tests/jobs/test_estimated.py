"""A plan says what a training will take, and one that cannot fit is refused before anything starts."""

from pathlib import Path

import pytest

from tests.jobs.running import job

HUGE = ("--model.dim", "4096", "--model.depth", "40", "--model.heads", "32", "--compute.workers", "2")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "text.txt").write_text("words enough " * 500)
    (tmp_path / "prices.toml").write_text('currency = "EUR"\n[worker_hour]\ncpu = 0.04\n')
    (tmp_path / "cards.toml").write_text('currency = "EUR"\n[worker_hour]\n"a card that nobody has" = 2.5\n')
    return tmp_path


def test_a_plan_says_what_a_training_will_take_and_what_nobody_knows(folder: Path) -> None:
    arguments = ("pretrain", "tiny", "--sources", "text.txt", "--plan", "--cluster", "none", "--compute.prices", "prices.toml")
    estimate = job(*arguments, "--json", folder=folder).result["estimate"]
    assert estimate["parameters"] == 43_168
    assert estimate["memory"]["peak"] > estimate["memory"]["optimizer"] == 2 * 4 * estimate["parameters"]
    assert estimate["fits"] is True
    assert [estimate[name] for name in ("tokens_per_second", "seconds", "price")] == [None] * 3
    assert "pace:     unknown before the first run" in job(*arguments, folder=folder).stdout


def test_what_cannot_fit_is_refused_with_the_bytes_and_what_would_fit(folder: Path) -> None:
    arguments = ("pretrain", "--sources", "text.txt", *HUGE, "--device-memory", "80")
    planned, refused = job(*arguments, "--plan", folder=folder), job(*arguments, folder=folder)
    assert "would be refused: use --compute.zero 3\n" in planned.stdout
    assert refused.code == 2
    assert "85,899,345,920" in refused.error
    assert refused.error.endswith("use --compute.zero 3")
    assert not (folder / "runs").exists()


def test_what_would_fit_is_named_with_the_engine_that_it_needs(folder: Path) -> None:
    arguments = ("pretrain", "--sources", "text.txt", *HUGE, "--device-memory", "80", "--compute.engine", "plain", "--plan", "--json")
    assert job(*arguments, folder=folder).result["estimate"]["remedies"] == ["--compute.engine deepspeed --compute.zero 3"]


def test_workers_that_share_windows_are_told_what_would_fit_too(folder: Path) -> None:
    arguments = ("pretrain", "--sources", "text.txt", *HUGE, "--device-memory", "80", "--plan", "--json")
    alone, shared = (job(*arguments, "--compute.sequence-parallel", number, folder=folder).result["estimate"] for number in ("1", "2"))
    assert shared["remedies"] == alone["remedies"] == ["--compute.zero 3"]
    assert shared["memory"]["activations"] < alone["memory"]["activations"]


def test_a_way_that_the_optimizer_does_not_go_is_no_remedy(folder: Path) -> None:
    muon = ("--update.optimizer", "muon", "--compute.engine", "plain")
    refused = job("pretrain", "--sources", "text.txt", *HUGE, *muon, "--device-memory", "80", folder=folder)
    assert refused.code == 2
    assert refused.error.endswith("use a smaller model, or more memory")


def test_what_fits_nowhere_is_refused_in_favour_of_a_smaller_model(folder: Path) -> None:
    refused = job("pretrain", "--sources", "text.txt", *HUGE, "--device-memory", "8", folder=folder)
    assert refused.code == 2
    assert refused.error.endswith("use a smaller model, or more memory")


def test_products_that_the_machine_does_not_make_are_refused_before_anything_is_built(folder: Path) -> None:
    refused = job("pretrain", "tiny", "--sources", "text.txt", "--update.precision", "fp8", "--cluster", "none", folder=folder)
    assert refused.code == 2
    assert "a cpu has no products in fp8: use bf16" in refused.error
    assert not (folder / "runs").exists()


@pytest.mark.parametrize(
    ("option", "value", "words"),
    [
        ("--device-memory", "0", "use GiB above 0"),
        ("--compute.prices", "none.toml", "currency ="),
        ("--compute.prices", "cards.toml", "no worker_hour for a device named"),
    ],
)
def test_what_no_plan_can_be_made_for_is_refused(option: str, value: str, words: str, folder: Path) -> None:
    refused = job("pretrain", "--sources", "text.txt", option, value, "--plan", folder=folder)
    assert refused.code == 2
    assert words in refused.error
