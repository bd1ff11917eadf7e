"""One thread a test process, small checkpoints of every family, and examples whose labels a small model can learn."""

import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoTokenizer

from pipeline.models.base import Architecture
from pipeline.models.export import write_model
from pipeline.storage import open_store
from pipeline.tokens.tokenizer import TokenizerFiles, TrainTokenizer
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.tokens.corpus import literal
from tests.train.tiny import SPLIT, TEXTS

CONTEXT = 48
ANIMALS = ("fox", "heron", "goat", "carp", "mule")
WARM = ("fox", "goat", "mule")
Family = Callable[[Architecture], Path]


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@pytest.fixture(scope="session")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a tokenizer of 320 tokens."""
    store = open_store(str(tmp_path_factory.mktemp("tokenizer")))
    step = TrainTokenizer(documents=literal(TEXTS), vocab_size=320, split=SPLIT)
    run([step], store, InlineExecutor())
    files = open_artifact(store, step)
    assert isinstance(files, TokenizerFiles)
    return files.path


@pytest.fixture(scope="session")
def family(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> Family:
    """A checkpoint of an architecture with weights as they are drawn: a folder that transformers opens."""
    made: dict[Architecture, Path] = {}

    def drawn(architecture: Architecture) -> Path:
        if architecture not in made:
            folder = made[architecture] = tmp_path_factory.mktemp("checkpoint")
            torch.manual_seed(0)
            model = architecture.build(321, CONTEXT)
            end = _end(tokenizer)
            write_model(folder, architecture.export(model.state_dict(), 321, CONTEXT), end, {"decoder_start_token_id": end})
            with_gap = AutoTokenizer.from_pretrained(tokenizer)
            with_gap.add_special_tokens({"extra_special_tokens": ["<extra_id_0>"]})
            with_gap.save_pretrained(folder)
        return made[architecture]

    return drawn


def _end(tokenizer: Path) -> int:
    from tokenizers import Tokenizer

    token = json.loads((tokenizer / "tokenizer_config.json").read_text())["eos_token"]
    number = Tokenizer.from_file(str(tokenizer / "tokenizer.json")).token_to_id(token)
    assert number is not None
    return number


@pytest.fixture(scope="session")
def labelled(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Sentences with an animal, and whether it is warm-blooded enough to be stroked: JSON Lines of text and label."""
    path = tmp_path_factory.mktemp("labelled") / "animals.jsonl"
    rows = [
        {"text": f"The {size} {animal} {verb} over the {place}.", "label": "warm" if animal in WARM else "cold", "number": number}
        for number, (size, animal, verb, place) in enumerate(
            (size, animal, verb, place)
            for size in ("small", "old", "quiet", "green")
            for animal in ANIMALS
            for verb in ("jumped", "looked", "sang")
            for place in ("river", "hill", "wall")
        )
    ]
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path
