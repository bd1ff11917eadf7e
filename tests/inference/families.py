"""A small trained checkpoint of each family, made when it is first asked for."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from pipeline.models.bert import Bert
from pipeline.models.gpt2 import GPT2
from pipeline.models.llama import Llama
from pipeline.models.lstm import Lstm
from pipeline.models.mixtral import Mixtral
from pipeline.models.t5 import T5
from pipeline.objectives.corrupted_spans import CorruptedSpans
from pipeline.objectives.masked_tokens import MaskedTokens
from pipeline.storage import Store, open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.train.tiny import pretrain

FAMILIES: dict[str, dict[str, Any]] = {
    "llama": {"model": Llama(dim=32, depth=2, heads=2)},
    "gpt2": {"model": GPT2(dim=32, depth=2, heads=2)},
    "mixture": {"model": Mixtral(dim=32, depth=2, heads=2, experts=4, active=2)},
    "lstm": {"model": Lstm(dim=32, depth=2)},
    "bert": {"model": Bert(dim=32, depth=2, heads=2), "objective": MaskedTokens()},
    "t5": {"model": T5(dim=32, depth=2, heads=2), "objective": CorruptedSpans(), "attend": "window"},
}


@dataclass(frozen=True)
class Families:
    """A root for the checkpoints."""

    store: Store

    def folder(self, family: str) -> Path:
        """The folder of a family's model."""
        step = pretrain(steps=10, **FAMILIES[family])
        run([step], self.store, InlineExecutor())
        folder: Path = open_artifact(self.store, step).folder("model")
        return folder


@pytest.fixture(scope="session")
def families(tmp_path_factory: pytest.TempPathFactory) -> Families:
    return Families(open_store(str(tmp_path_factory.mktemp("families"))))
