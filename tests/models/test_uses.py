"""What a trained model of each family is good for: it is scored, it writes, and its card says how to open it."""

import json
import math
from pathlib import Path

import pytest

from pipeline.evaluate.base import Example
from pipeline.evaluate.subject import Subject
from pipeline.inference.generation import Sampling, generate
from pipeline.models.base import Architecture
from pipeline.models.gpt2 import GPT2
from pipeline.models.llama import Llama
from pipeline.models.lstm import Lstm
from pipeline.models.mixtral import Mixtral
from pipeline.storage import open_store
from pipeline.train.engine import Update
from pipeline.train.pretrain import Pretrain
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.jobs.running import job
from tests.train.tiny import TEXTS, pretrain

FAMILIES: dict[str, Architecture] = {
    "gpt2": GPT2(dim=32, depth=2, heads=2),
    "mixture": Mixtral(dim=32, depth=2, heads=2, experts=4, active=2),
    "lstm": Lstm(dim=32, depth=2, dropout=0.1),
    "normed": Llama(dim=32, depth=2, heads=2, qk_norm=True),
}
COMMANDS = {name: (name,) for name in FAMILIES} | {"normed": ("tiny", "--model.qk-norm", "--model.key-value-heads", "1")}


def made(step: Pretrain, root: Path) -> Path:
    """The folder of the model that a step makes in a root."""
    store = open_store(str(root))
    run([step], store, InlineExecutor())
    folder: Path = open_artifact(store, step).folder("model")
    return folder


@pytest.fixture(scope="module", params=FAMILIES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    return made(pretrain(steps=30, model=FAMILIES[request.param]), tmp_path_factory.mktemp(request.param))


def test_a_text_costs_less_than_chance_and_longer_ones_than_the_context_are_scored_whole(folder: Path) -> None:
    subject = Subject(folder)
    (_, answer), (_, longer) = subject.answers([Example((TEXTS[0][:60],)), Example((TEXTS[0] * 3,))])
    assert answer.nats[0] / answer.tokens[0] < math.log(subject.model.config.vocab_size)
    assert longer.tokens[0] > 2 * subject.context


def test_equal_seeds_write_equal_texts_that_may_grow_beyond_the_context(folder: Path) -> None:
    short, longer = (generate(folder, ["The old"], Sampling(max_new_tokens=count, temperature=0))[0][0] for count in (10, 80))
    assert longer.startswith(short)
    assert len(longer) > len(short)
    assert generate(folder, ["The old"], Sampling(max_new_tokens=10)) == generate(folder, ["The old"], Sampling(max_new_tokens=10))


def test_the_card_says_how_the_model_is_opened(folder: Path) -> None:
    card, kind = (folder / "README.md").read_text(), json.loads((folder / "config.json").read_text())["model_type"]
    assert "AutoModelForCausalLM" in card
    assert ("import pipeline.models.lstm_checkpoint" in card) == (kind == "millrace_lstm")


@pytest.mark.parametrize("family", FAMILIES)
def test_training_again_gives_the_same_bytes(family: str, tmp_path: Path) -> None:
    step = pretrain(steps=6, model=FAMILIES[family])
    first, again = (made(step, tmp_path / root) / "model.safetensors" for root in ("first", "again"))
    assert first.read_bytes() == again.read_bytes()


@pytest.mark.parametrize("family", FAMILIES)
def test_products_in_bf16_train_too(family: str, tmp_path: Path) -> None:
    step = pretrain(steps=20, model=FAMILIES[family], update=Update(precision="bf16"))
    made(step, tmp_path)
    facts = open_artifact(open_store(str(tmp_path)), step).facts
    assert facts["loss"]["last"] < facts["loss"]["first"] - 0.3


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_the_named_recipe_runs_from_raw_text_to_scores_and_samples(family: str, tmp_path: Path) -> None:
    for place in range(40):
        (tmp_path / f"{place}.txt").write_text(f"Text {place}. " + " ".join(f"word{place * k % 97}" for k in range(1, 200)))
    shape = ("--model.dim", "32", "--model.depth", "1", "--context", "32", "--batch", "4", "--token-budget", "2560")
    rest = ("--sources", *map(str, tmp_path.glob("*.txt")), "--vocab-size", "300", "--validation", "0.2", "--cluster", "none", "--json")
    trained = job("pretrain", *COMMANDS[family], *shape, *rest, "--compute.engine", "plain", folder=tmp_path).result
    assert trained["loss"]["last"] < trained["loss"]["first"]
    scores = job("evaluate", "--cluster", "none", "--json", folder=tmp_path).result["scores"]["perplexity"]
    assert scores == trained["validation"]
    (sample,) = job("generate", "--prompt", "Text", "--json", folder=tmp_path).result["samples"]
    assert sample["text"]
