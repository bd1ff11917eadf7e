"""Text from a checkpoint as people ask for it: from files and into files, while it is drawn, up to a stop, in a conversation."""

import io
import json
import os
import pty
import select
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pyarrow.parquet as pq
import pytest

from jobs.command import parse
from jobs.generate import GenerateRecipe, Ways, opened_by, run_generate
from pipeline.errors import RequestError
from pipeline.inference.opening import CAUSAL
from pipeline.storage import open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.inference.test_chat import TEMPLATE
from tests.inference.writers import opened
from tests.jobs.running import PROJECT, Finished, environment, job
from tests.train.tiny import pretrain

SHORT = ("--sampling.max-new-tokens", "12")


@pytest.fixture(scope="module")
def checkpoint(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder whose tokenizer has a chat template."""
    store, step = open_store(str(tmp_path_factory.mktemp("root"))), pretrain(steps=20)
    run([step], store, InlineExecutor())
    folder = tmp_path_factory.mktemp("checkpoint") / "model"
    shutil.copytree(open_artifact(store, step).folder("model"), folder)
    place = folder / "tokenizer_config.json"
    config = json.loads(place.read_text()) | {"chat_template": TEMPLATE}
    place.unlink()
    place.write_text(json.dumps(config))
    return folder


def generate(checkpoint: Path, *arguments: str, folder: Path | None = None) -> Finished:
    return job("generate", "--checkpoint", str(checkpoint), *SHORT, *arguments, folder=folder)


def test_prompts_come_from_lines_and_from_records_alike_and_texts_are_kept_with_them(checkpoint: Path, tmp_path: Path) -> None:
    (tmp_path / "prompts.txt").write_text("\ufeffThe fox\n\n天地\r\n")
    (tmp_path / "prompts.jsonl").write_text('{"prompt": "The fox"}\n{"prompt": "天地"}\n')
    lines = generate(checkpoint, "--prompts", "prompts.txt", "--output", "texts.jsonl", "--json", folder=tmp_path).result["samples"]
    records = generate(checkpoint, "--prompts", "prompts.jsonl", "--output", "texts.parquet", "--json", folder=tmp_path).result["samples"]
    assert [sample["prompt"] for sample in lines] == ["The fox", "天地"]
    assert lines == records == pq.read_table(tmp_path / "texts.parquet").to_pylist()
    assert lines == [json.loads(line) for line in (tmp_path / "texts.jsonl").read_text().splitlines()]
    assert {path.name for path in tmp_path.iterdir()} == {"prompts.txt", "prompts.jsonl", "texts.jsonl", "texts.parquet"}


def test_what_is_streamed_is_what_is_shown_at_the_end_without_it(checkpoint: Path) -> None:
    asked = ("--prompt", "The", "天", "--sequences", "2", "--stop", r"\n", " x")
    streamed, shown = generate(checkpoint, *asked, "--stream"), generate(checkpoint, *asked)
    assert streamed.stdout == shown.stdout
    assert streamed.stdout.count("\n\n") == 3
    assert " tokens/s" in streamed.stderr


def test_with_json_what_is_streamed_goes_to_stderr(checkpoint: Path) -> None:
    done = generate(checkpoint, "--prompt", "The old", "--stream", "--json")
    (sample,) = done.result["samples"]
    assert "The old" + sample["text"] in done.stderr
    assert done.result["tokens"] == sample["tokens"]


def test_a_text_ends_before_a_stop_and_says_so(checkpoint: Path) -> None:
    (whole,) = generate(checkpoint, "--prompt", "The old", "--json").result["samples"]
    stop = whole["text"][3:6]
    (cut,) = generate(checkpoint, "--prompt", "The old", "--stop", stop.replace("\n", r"\n"), "--json").result["samples"]
    assert (cut["text"], cut["ended"]) == (whole["text"].partition(stop)[0], "stop")


def test_a_prompt_is_what_a_user_says_in_a_chat(checkpoint: Path) -> None:
    (answer,) = generate(checkpoint, "--chat", "--prompt", "The fox?", "--json").result["samples"]
    (text,) = generate(checkpoint, "--prompt", "<user>The fox?\n<assistant>", "--json").result["samples"]
    assert answer["prompt"] == "The fox?"
    assert answer["text"] != text["text"], "a document begins otherwise than a conversation"


def conversed(checkpoint: Path, lines: list[str]) -> tuple[int, str]:
    """The exit code and all that a terminal showed while the lines were typed and then ended."""
    command = [sys.executable, str(PROJECT / "jobs/generate.py"), "--checkpoint", str(checkpoint), "--chat", *SHORT]
    ours, theirs = pty.openpty()
    running = subprocess.Popen(command, stdin=theirs, stdout=theirs, stderr=theirs, env=environment())
    os.close(theirs)
    shown, waiting = b"", [line.encode() + b"\n" for line in lines] + [b"\x04"]
    while select.select([ours], [], [], 120)[0]:
        try:
            shown += os.read(ours, 1 << 16)
        except OSError:  # the other side is closed
            break
        if waiting and shown.endswith(b"> "):
            os.write(ours, waiting.pop(0))
    os.close(ours)
    return running.wait(60), shown.decode("utf-8", "replace").replace("\r\n", "\n")


def test_on_a_terminal_one_converses_until_one_ends_it(checkpoint: Path) -> None:
    code, shown = conversed(checkpoint, ["The fox?", "", "天地?"])
    assert code == 0, shown
    (first,) = generate(checkpoint, "--chat", "--prompt", "The fox?", "--json").result["samples"]
    assert f"The fox?\n{first['text']}\n\n> " in shown
    assert "tokens/s" in shown
    assert "Traceback" not in shown


def test_an_encoder_decoder_writes_where_it_was_fine_tuned_to(tmp_path: Path) -> None:
    opened("t5", tmp_path)
    assert opened_by("finetune/0123", tmp_path) == "AutoModelForSeq2SeqLM"
    assert opened_by("pretrain/0123", tmp_path) == opened_by(str(tmp_path), tmp_path) == opened_by(None, tmp_path) == CAUSAL


WRONG: dict[str, tuple[list[str], str]] = {
    "a file without the field": (["--prompts", "other.jsonl"], "no column 'prompt'"),
    "a file that is no text": (["--prompts", "picture.txt"], "picture.txt is no text in UTF-8"),
    "a file without prompts": (["--prompts", "empty.txt"], "empty.txt holds no prompts"),
    "a file that is not there": (["--prompts", "no.txt"], "there is no file no.txt"),
    "an output of no known kind": (["--output", "texts.csv"], ".jsonl or .parquet"),
    "an output in no folder": (["--output", "no/texts.jsonl"], "no/texts.jsonl"),
    "an empty stop": (["--stop", ""], "a stop is empty"),
    "no text at all": (["--sequences", "0"], "sequences is 0"),
    "nobody to converse with": (["--chat"], "--prompt"),
}


@pytest.mark.parametrize("wrong", WRONG, ids=[name.replace(" ", "-") for name in WRONG])
def test_a_wrong_request_is_refused_before_a_model_is_opened(wrong: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "other.jsonl").write_text('{"text": "x"}\n')
    (tmp_path / "picture.txt").write_bytes(b"\xff\xfe\x00\x01")
    (tmp_path / "empty.txt").write_text(" \n\n")
    arguments, words = WRONG[wrong]
    with pytest.raises(RequestError, match=words):
        run_generate(parse("generate", GenerateRecipe, ["--checkpoint", "nothing", *arguments], more=Ways()), io.StringIO())


def test_a_tokenizer_without_a_chat_template_is_refused(checkpoint: Path, tmp_path: Path) -> None:
    folder = tmp_path / "model"
    shutil.copytree(checkpoint, folder)
    place = folder / "tokenizer_config.json"
    config: dict[str, Any] = json.loads(place.read_text())
    del config["chat_template"]
    place.write_text(json.dumps(config))
    refused = generate(folder, "--chat", "--prompt", "The fox?")
    assert refused.code == 2
    assert "no chat template" in refused.error
