"""Documents of random tokens: what training costs does not depend on what the tokens say."""

import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import pyarrow as pa

from pipeline.tokens.encoder import Encoded
from pipeline.tokens.shards import TRAIN, ShardWriter, TokenShards, shard_batch
from pipeline.tokens.split import Split
from pipeline.tokens.tokenizer import TokenizerFiles
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit


@dataclass(frozen=True, kw_only=True)
class RandomTokens(Step[TokenShards]):
    """One shard of at least `tokens` tokens of a vocabulary, in documents whose lengths are geometrically distributed."""

    artifact: ClassVar[type[Artifact]] = TokenShards
    tokenizer: Step[TokenizerFiles]
    """That by whose end of a text documents end; nothing is encoded."""
    vocabulary: int
    tokens: int
    mean_length: int = 600
    split: Split = Split(fraction=0.0)

    def run(self, context: Context) -> Facts:
        (receipt,) = context.map(self.draw, (None,))
        return {**receipt.facts, "vocabulary": self.vocabulary, "end_of_text": context.open(self.tokenizer).end_of_text}

    def draw(self, unit: Unit, _: None) -> Facts:
        """One unit: the shard."""
        source = np.random.default_rng(0)
        lengths = source.geometric(1 / self.mean_length, 1 + 2 * self.tokens // self.mean_length)
        offsets = np.concatenate([[0], np.cumsum(lengths)])
        offsets = offsets[: np.searchsorted(offsets, self.tokens) + 1]
        ids = source.integers(self.vocabulary - 1, size=offsets[-1], dtype=np.uint32)
        ids += ids >= unit.open(self.tokenizer).end_of_text  # which is in no document
        names = pa.array([f"random-{number}" for number in range(len(offsets) - 1)])
        with tempfile.TemporaryDirectory(prefix="millrace-") as folder:
            writer = ShardWriter(Path(folder, TRAIN), self.vocabulary)
            writer.add("random", shard_batch(names, Encoded(ids, offsets), pa.array(["random"] * len(names)), self.vocabulary))
            writer.commit(unit, TRAIN)
        counts = {"documents": len(names), "tokens": int(offsets[-1])}
        return {"documents": {TRAIN: len(names)}, "tokens": {TRAIN: counts["tokens"]}, "sources": {"random": counts}}
