"""The smallest real pretraining: a corpus of a few texts, a tokenizer trained on them, and a model of two layers."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pipeline.batches.mixture import Weighted
from pipeline.models.llama import Llama
from pipeline.tokens.split import Split
from pipeline.tokens.tokenize import Tokenize
from pipeline.tokens.tokenizer import TrainTokenizer
from pipeline.train.pretrain import Pretrain
from pipeline.train.schedule import Schedule
from tests.tokens.corpus import literal

TEXTS = tuple(
    f"The {size} {animal} {verb} over the {place}, and the {place} was {size} too.\n" * 3
    for size in ("small", "old", "quiet", "green")
    for animal in ("fox", "heron", "goat", "carp", "mule")
    for verb in ("jumped", "looked", "sang")
    for place in ("river", "hill", "wall")
)
SPLIT = Split(fraction=0.1)


def tokens() -> Tokenize:
    documents = literal(TEXTS, shards=2)
    return Tokenize(documents=documents, tokenizer=TrainTokenizer(documents=documents, vocab_size=320, split=SPLIT), split=SPLIT)


def pretrain(steps: int = 20, **fields: Any) -> Pretrain:
    """A recipe of `steps` steps; any field can be given instead."""
    recipe: dict[str, Any] = {
        "mixture": (Weighted(tokens()),),
        "model": Llama(dim=32, depth=2, heads=2),
        "context": 32,
        "batch": 4,
        "token_budget": steps * 4 * 32,
        "schedule": Schedule(peak=1e-2),
        "save_every": 5,
        **fields,
    }
    return Pretrain(**recipe)


def weights_of(folder: Path) -> bytes:
    """The bytes of a model's weights."""
    return (folder / "model.safetensors").read_bytes()


@dataclass
class Lone:
    """The only member of a gang, which keeps what it reports."""

    rank: int = 0
    size: int = 1
    leaving: bool = False
    words: list[Any] = field(default_factory=list)

    def report(self, metrics: Any) -> None:
        self.words.append(metrics)

    def saved(self) -> None:
        pass
