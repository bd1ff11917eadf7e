"""One thread a test process, and one small checkpoint for all tests of the folder."""

from dataclasses import dataclass
from pathlib import Path

import pytest
import torch

from pipeline.batches.mixture import Weighted
from pipeline.storage import Store, open_store
from pipeline.tokens.shards import TokenShards
from pipeline.tokens.tokenize import Tokenize
from pipeline.tokens.tokenizer import TrainTokenizer
from pipeline.train.checkpoint import Checkpoint
from pipeline.train.pretrain import Pretrain
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.tokens.corpus import literal
from tests.train.tiny import SPLIT, TEXTS, pretrain

ODD_TEXTS = ("Τὸ <|endoftext|> is not the end. 这是一个句子。\n" * 5, "🦊\u0301 \u00a0x\tend" * 9, "")


@pytest.fixture(autouse=True, scope="session")
def one_thread() -> None:
    torch.set_num_threads(1)


@dataclass(frozen=True)
class Trained:
    """A checkpoint of context 32, its recipe and its root; every document longer than a few words exceeds the context."""

    step: Pretrain
    store: Store

    @property
    def folder(self) -> Path:
        return open_artifact(self.store, self.step).folder("model")

    @property
    def checkpoint(self) -> Checkpoint:
        return open_artifact(self.store, self.step)

    @property
    def tokens(self) -> TokenShards:
        return open_artifact(self.store, self.step.mixture[0].tokens)


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    documents = literal((*TEXTS, *ODD_TEXTS * 8))
    tokens = Tokenize(documents=documents, tokenizer=TrainTokenizer(documents=documents, vocab_size=320, split=SPLIT), split=SPLIT)
    step, store = pretrain(steps=40, mixture=(Weighted(tokens),)), open_store(str(tmp_path_factory.mktemp("root")))
    run([step], store, InlineExecutor())
    return Trained(step, store)
