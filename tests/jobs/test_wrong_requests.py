"""A wrong request is told on one line, with its value and the remedy, before anything starts."""

import sys
from pathlib import Path

import pytest

from tests.jobs.running import job

WRONG = {
    "an unknown recipe": (["pretrain", "nonsense"], ["'nonsense'", "tiny"]),
    "an unknown field": (["pretrain", "--modle.depth", "3"], ["--modle.depth"]),
    "a value of the wrong type": (["pretrain", "--batch", "many"], ["--batch", "many"]),
    "a value that cannot be": (["corpus", "--validation", "1.5"], ["1.5"]),
    "a similarity above one": (["corpus", "--similarity", "80"], ["80"]),
    "heads that do not divide the width": (["pretrain", "--model.heads", "7"], ["7"]),
    "a path that is not there": (["corpus", "--sources", "no/such/file.jsonl"], ["no/such/file.jsonl"]),
    "a format without a reader": (["corpus", "--sources", "picture.exe"], ["picture.exe", ".jsonl"]),
    "an empty folder": (["corpus", "--sources", "empty"], ["empty"]),
    "a glob that matches nothing": (["corpus", "--sources", "*.parquet"], ["*.parquet"]),
    "a root that cannot be": (["corpus", "--root", "ftp://host/x"], ["ftp://host/x", "s3://"]),
    "a root that is a file": (["corpus", "--sources", "text.txt", "--root", "text.txt"], ["text.txt", "--root"]),
    "a cluster that cannot be": (["corpus", "--sources", "text.txt", "--cluster", "nowhere:1"], ["nowhere:1"]),
    "more workers than there are processes": (
        ["pretrain", "tiny", "--sources", "text.txt", "--cluster", "none", "--compute.workers", "2"],
        ["2"],
    ),
    "a tokenizer that is not there": (["corpus", "--sources", "text.txt", "--tokenizer", "no/tokenizer.json"], ["no/tokenizer.json"]),
    "weights for other sources": (["pretrain", "--sources", "text.txt", "--weights", "1", "2"], ["2 values", "1 source"]),
    "a checkpoint that is not there": (["generate", "--checkpoint", "pretrain/0000"], ["pretrain/0000", "config.json"]),
    "no checkpoint at all": (["evaluate"], ["python jobs/pretrain.py"]),
    "a schedule that is none": (["refresh", "--sources", "text.txt", "--schedule", "daily"], ["'daily'", "0 3 * * *"]),
    "nothing to forget": (["forget"], ["--ids"]),
    "an evaluation set that is not there": (["corpus", "--sources", "text.txt", "--against", "no/set.jsonl"], ["no/set.jsonl"]),
    "good examples without bad ones": (["corpus", "--sources", "text.txt", "--good", "text.txt"], ["--bad"]),
    "evaluation sets for filters": (["explain", "--sources", "text.txt", "--against", "text.txt"], ["--against", "leave these out"]),
    "a filter that is none": (["pretrain", "--filters", "gopher"], ["'gopher'", "gopher-quality", "word-count"]),
    "a setting that a filter has not": (["corpus", "--filters", "word-count:leest=3"], ["'leest'", "least, most"]),
    "a threshold that cannot be": (["refresh", "--filters", "word-count:least=-3"], ["WordCount.least is -3"]),
    "a drop budget above one": (["corpus", "--sources", "text.txt", "--drop-budget", "50"], ["50", "a share from 0 to 1"]),
    "nothing to trace": (["trace"], ["--document", "--step", "--artifact"]),
}


@pytest.mark.parametrize("wrong", WRONG, ids=[name.replace(" ", "-") for name in WRONG])
def test_a_wrong_request_is_one_line_with_the_value_and_the_remedy(wrong: str, tmp_path: Path) -> None:
    arguments, words = WRONG[wrong]
    (tmp_path / "empty").mkdir()
    (tmp_path / "picture.exe").write_bytes(b"MZ")
    (tmp_path / "text.txt").write_text("words enough " * 500)
    done = job(*arguments, folder=tmp_path, timeout=60)
    assert done.code == 2, done.stderr
    assert done.stdout == ""
    for word in words:
        assert word in done.error
    assert "Traceback" not in done.stderr
    assert not list((tmp_path / "runs").rglob("*"))


JOBS = (
    *("corpus", "pretrain", "refresh", "forget", "finetune", "evaluate"),
    *("generate", "embed", "attribute", "export", "trace", "status", "ladder", "tune"),
)


@pytest.mark.parametrize("name", JOBS)
def test_help_names_every_option_of_the_contract(name: str) -> None:
    done = job(name, "--help")
    assert done.code == 0
    for option in ("--root", "--cluster", "--plan", "--json"):
        assert option in done.stdout


def test_no_heavy_package_is_loaded_to_plan(tmp_path: Path) -> None:
    import subprocess

    from tests.jobs.running import PROJECT, environment

    (tmp_path / "text.txt").write_text("words enough " * 500)
    script = (
        "import runpy, sys; sys.argv = ['pretrain.py', 'tiny', '--sources', 'text.txt', '--plan']\n"
        "try: runpy.run_path(sys.argv.pop(0) and PATH, run_name='__main__')\n"
        "except SystemExit as exit_: assert not exit_.code\n"
        "heavy = {'torch', 'ray', 'deepspeed', 'transformers', 'datasets', 'wandb', 'numba', 'pandas'} & set(sys.modules)\n"
        "sys.exit(f'loaded: {heavy}' if heavy else 0)\n"
    ).replace("sys.argv.pop(0) and PATH", repr(str(PROJECT / "jobs" / "pretrain.py")))
    done = subprocess.run([sys.executable, "-c", script], cwd=tmp_path, env=environment(), capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
