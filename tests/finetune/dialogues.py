"""Conversations and preferences that a small model can learn, and what stands in a folder of a fine-tuned one."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from transformers import AutoTokenizer

import pipeline.models.lstm_checkpoint  # noqa: F401 - transformers knows the LSTM by this import
from pipeline.finetune.finetune import ANSWERS, Finetune
from pipeline.models.base import Architecture
from pipeline.models.export import write_model
from pipeline.storage import open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact

LONG = 160
"""Tokens that a checkpoint for conversations reads."""
ANIMALS = ("fox", "heron", "goat", "carp", "mule")
ALPACA = [
    {"instruction": f"Where is the {animal}?", "input": f"It is {size}.", "output": f"over the {place}"}
    for animal, place in zip(ANIMALS, ("hill", "river", "wall", "river", "hill"), strict=True)
    for size in ("small", "old", "quiet", "green", "big", "red")
]
CHATS = [
    {
        "conversations": [
            {"from": "system", "value": "Be short."},
            {"from": "human", "value": f"The {animal}?"},
            {"from": "gpt", "value": "It sang."},
            {"from": "human", "value": f"And the {other}?"},
            {"from": "gpt", "value": "It looked."},
        ]
    }
    for animal in ANIMALS
    for other in ANIMALS
]
PAIRS = [
    {
        "conversations": [{"from": "human", "value": f"Is the {size} {animal} here?"}],
        "chosen": {"from": "gpt", "value": "over the hill"},
        "rejected": {"from": "gpt", "value": "green river"},
    }
    for animal in ANIMALS
    for size in ("small", "old", "quiet", "green", "big", "red")
]


def written(path: Path, records: Sequence[Mapping[str, Any]]) -> Path:
    """A file of records, as JSON Lines."""
    path.write_text("".join(json.dumps(record, ensure_ascii=False) + "\n" for record in records))
    return path


def built(step: Any, root: Path) -> Any:
    """What a step makes, with all that it needs."""
    store = open_store(str(root))
    run([step], store, InlineExecutor())
    return open_artifact(store, step)


def kept_answers(checkpoint: Any) -> list[tuple[dict[str, Any], dict[str, Any]]]:
    """The rows of the file of answers, and what the model said of each."""
    from pyarrow.parquet import read_table

    (entry,) = checkpoint.files(ANSWERS)
    rows = read_table(checkpoint.local(entry)).to_pylist()
    return [(json.loads(row["row"]), json.loads(row["answer"])) for row in rows]


def windows_of(step: Finetune, root: Path) -> Any:
    """What a fine-tuning is shown."""
    return built(step.windows, root)


def drawn(architecture: Architecture, tokenizer: Path, folder: Path) -> Path:
    """A checkpoint with weights as they are drawn, which reads LONG tokens."""
    opened = AutoTokenizer.from_pretrained(tokenizer)
    torch.manual_seed(0)
    weights = architecture.build(len(opened), LONG).state_dict()
    write_model(folder, architecture.export(weights, len(opened), LONG), opened.eos_token_id)
    opened.save_pretrained(folder)
    return folder
