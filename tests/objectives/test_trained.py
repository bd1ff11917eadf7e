"""Models that fill gaps, from token shards to a folder that transformers opens, and what is said of them."""

import dataclasses
import json
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
import transformers
from tokenizers import Tokenizer
from transformers import AutoModelForMaskedLM, AutoModelForSeq2SeqLM, AutoTokenizer, pipeline

from jobs.history.exposure import order_of
from pipeline.batches.mixture import Weighted
from pipeline.errors import RequestError
from pipeline.evaluate.evaluate import Evaluate
from pipeline.evaluate.perplexity import Perplexity
from pipeline.evaluate.restoration import Restoration
from pipeline.evaluate.sample import Sample
from pipeline.inference.generation import Sampling, generate
from pipeline.models.bert import Bert
from pipeline.models.llama import Llama
from pipeline.models.t5 import T5
from pipeline.objectives.base import held_out_rows
from pipeline.objectives.corrupted_spans import CorruptedSpans
from pipeline.objectives.masked_tokens import MaskedTokens
from pipeline.objectives.next_token import NextToken
from pipeline.storage import Store, open_store
from pipeline.tokens.tokenize import Tokenize
from pipeline.tokens.tokenizer import ExistingTokenizer
from pipeline.train.checkpoint import Checkpoint
from pipeline.train.plain import PlainEngine
from pipeline.train.pretrain import Pretrain
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.tokens.corpus import literal
from tests.train.tiny import SPLIT, TEXTS, pretrain, weights_of

Build = Callable[[Any], Checkpoint]
KINDS: dict[str, dict[str, Any]] = {
    "encoder": {"model": Bert(dim=32, depth=2, heads=2), "objective": MaskedTokens()},
    "encoder-decoder": {"model": T5(dim=32, depth=1, heads=2), "objective": CorruptedSpans(), "attend": "window"},
}
each = pytest.mark.parametrize("kind", KINDS)
EMBEDDINGS = {"encoder": "bert.embeddings.word_embeddings.weight", "encoder-decoder": "shared.weight"}
STEPS = 150


def step_of(kind: str, steps: int = STEPS, **fields: Any) -> Pretrain:
    return pretrain(**{"steps": steps, "context": 48, "token_budget": steps * 4 * 48, **KINDS[kind], **fields})


class Few:
    """Held-out documents."""

    def texts(self) -> Iterator[str]:
        yield from (TEXTS[0], "The old fox 天地", "")


@dataclasses.dataclass(frozen=True)
class Trained:
    """A root with a checkpoint of each kind."""

    store: Store
    steps: dict[str, Pretrain]

    def checkpoint(self, kind: str) -> Checkpoint:
        return open_artifact(self.store, self.steps[kind])

    def facts(self, step: Any) -> Any:
        return run([step], self.store, InlineExecutor()).manifests[step.address].facts


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Trained:
    store, steps = open_store(str(tmp_path_factory.mktemp("root"))), {kind: step_of(kind) for kind in KINDS}
    run(list(steps.values()), store, InlineExecutor())
    return Trained(store, steps)


@each
def test_the_loss_falls_on_what_was_held_out_too(trained: Trained, kind: str) -> None:
    facts, rows = trained.checkpoint(kind).facts, trained.checkpoint(kind).metrics()
    assert facts["loss"]["last"] < 0.75 * facts["loss"]["first"]
    held_out = [row["validation_loss"] for row in rows if "validation_loss" in row]
    assert held_out[-1] < min(0.75 * facts["loss"]["first"], held_out[0])


def test_the_folder_fills_masks_in_transformers(trained: Trained) -> None:
    folder = trained.checkpoint("encoder").model
    tokenizer = AutoTokenizer.from_pretrained(folder)
    found = pipeline("fill-mask", model=AutoModelForMaskedLM.from_pretrained(folder), tokenizer=tokenizer)(
        f"The old {tokenizer.mask_token} sang"
    )
    assert len(found) == 5
    assert tokenizer.model_max_length == 48
    assert AutoModelForMaskedLM.from_pretrained(folder).config.pad_token_id == tokenizer.pad_token_id != tokenizer.eos_token_id


def test_the_folder_writes_spans_in_transformers(trained: Trained) -> None:
    folder = trained.checkpoint("encoder-decoder").model
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForSeq2SeqLM.from_pretrained(folder)
    inputs = tokenizer("The old <extra_id_0> over the hill", return_tensors="pt")
    written = model.generate(inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=8, do_sample=False)
    assert written[0, 0] == tokenizer.pad_token_id == model.config.decoder_start_token_id
    assert tokenizer.decode(written[0, 1]) == "<extra_id_0>", "a few steps teach that much"


@each
def test_a_text_becomes_what_a_document_was_in_training(trained: Trained, kind: str) -> None:
    tokenizer = AutoTokenizer.from_pretrained(trained.checkpoint(kind).model)
    plain = tokenizer("The old fox", add_special_tokens=False)["input_ids"]
    assert tokenizer("The old fox")["input_ids"] == [*plain, tokenizer.eos_token_id]
    assert tokenizer("The", " fox")["input_ids"].count(tokenizer.sep_token_id) == 2
    assert len(tokenizer) == trained.steps[kind].model.build(len(tokenizer), 48).get_parameter(EMBEDDINGS[kind]).shape[0]
    assert tokenizer.decode(tokenizer("天 <x>")["input_ids"], skip_special_tokens=True) == "天 <x>"


@each
def test_the_card_says_what_it_is_and_how_to_open_it(trained: Trained, kind: str) -> None:
    card = (trained.checkpoint(kind).model / "README.md").read_text()
    family = KINDS[kind]["model"].family
    assert f"pipeline_tag: {family.pipeline}" in card
    assert f"{family.opened_by}.from_pretrained" in card
    assert f"nats a {KINDS[kind]['objective'].predicted}." in card
    assert hasattr(transformers, family.opened_by)
    assert json.loads(card.split("```json\n")[1].split("```")[0])["objective"]["class"] == type(KINDS[kind]["objective"]).__name__


@each
def test_the_same_windows_are_traced_as_of_a_decoder(trained: Trained, kind: str) -> None:
    order = order_of(trained.store, trained.checkpoint(kind).manifest)
    decoder = trained.steps[kind]._order(lambda step: open_artifact(trained.store, step))
    document = order.documents_in(3)[0]
    assert order.documents_in(3) == decoder.documents_in(3)
    assert 3 in order.steps_of(document, STEPS)


@each
def test_its_held_out_loss_is_near_that_of_training_and_always_the_same(trained: Trained, kind: str) -> None:
    step, objective = trained.steps[kind], KINDS[kind]["objective"]
    evaluation = Evaluate(checkpoint=step, tokens=step.mixture[0].tokens, tasks=(Restoration(objective=objective),))
    (scores,) = trained.facts(evaluation)["scores"].values()
    last = trained.checkpoint(kind).metrics()[-1]["validation_loss"]
    assert scores["loss"] == pytest.approx(last, rel=0.25)
    unit = objective.predicted.replace(" ", "_")
    assert scores[f"bits_per_{unit}"] == pytest.approx(scores["loss"] / 0.6931471805599453)
    assert scores[f"{unit}s"] > 100
    assert not {"perplexity", "bits_per_byte"} & scores.keys(), "they would be compared with a decoder's"
    subject = Restoration(objective=objective).subject(trained.checkpoint(kind).model)
    examples = [*Restoration().examples(Few()), *Restoration().examples(Few())]
    answers = [answer for _, answer in subject.answers(examples)]
    assert answers[0].nats == pytest.approx(answers[3].nats)
    assert answers[2].tokens == (0,), "of an empty text nothing is hidden"


def test_the_loss_of_a_whole_piece_is_that_of_transformers(trained: Trained) -> None:
    folder = trained.checkpoint("encoder").model
    subject = Restoration().subject(folder)
    ((_, answer),) = subject.answers([next(iter(Restoration().examples(Few())))])
    losses, count = 0.0, 0
    tokenizer, model = AutoTokenizer.from_pretrained(folder), AutoModelForMaskedLM.from_pretrained(folder)
    ids = tokenizer(TEXTS[0], truncation=False, verbose=False)["input_ids"]
    for start in range(0, len(ids), 48):
        batch = held_out_rows(torch.tensor([ids[start : start + 48]]).numpy())
        shown, places, targets = map(torch.from_numpy, subject.questions.inputs(batch, slice(0, 1), None))
        labels = torch.full_like(shown, -100).scatter(1, places, targets)
        number = int((targets >= 0).sum())
        losses += model(shown, labels=labels).loss.item() * number
        count += number
    assert answer.tokens == (count,)
    assert answer.nats == pytest.approx([losses], rel=1e-5)


@each
def test_a_sample_is_the_prompt_filled(trained: Trained, kind: str) -> None:
    prompts = {"encoder": ("The old <|mask|> sang.", ""), "encoder-decoder": ("The <extra_id_0> fox <extra_id_1> the hill.", "")}[kind]
    samples = trained.facts(Sample(checkpoint=trained.steps[kind], prompts=prompts, sampling=Sampling(max_new_tokens=8)))["samples"]
    assert [sample["prompt"] for sample in samples] == list(prompts)
    assert samples[0]["text"].startswith(" → The ")
    assert samples[0]["text"].endswith({"encoder": " sang.", "encoder-decoder": " the hill."}[kind])
    assert not any(gap in sample["text"] for sample in samples for gap in ("<|mask|>", "<extra_id", "<|pad|>"))


@each
def test_text_that_goes_on_is_not_asked_of_what_fills_gaps(trained: Trained, kind: str) -> None:
    with pytest.raises(RequestError, match=r"fills \w+ and does not continue texts"):
        generate(trained.checkpoint(kind).model, ["The"], Sampling())
    step = trained.steps[kind]
    with pytest.raises(RequestError, match=r"perplexity, which cannot be asked.*Restoration"):
        Evaluate(checkpoint=step, tokens=step.mixture[0].tokens, tasks=(Perplexity(),))
    with pytest.raises(RequestError, match="restoration, which cannot be asked"):
        Evaluate(checkpoint=pretrain(), tokens=step.mixture[0].tokens, tasks=(Restoration(),))


@each
def test_any_micro_batch_gives_the_same_losses(build: Build, kind: str, store: Store) -> None:
    curves = []
    for micro_batch in (4, 2, 1):
        step = step_of(kind, steps=6, micro_batch=micro_batch)
        curves.append([row["loss"] for row in build(step).metrics()])
        store.delete(f"{step.address}/manifest.json")
    assert curves[1] == pytest.approx(curves[0], abs=2e-5)
    assert curves[2] == pytest.approx(curves[0], abs=2e-5)


@each
def test_a_run_that_was_interrupted_ends_in_the_same_weights(tmp_path: Path, kind: str, monkeypatch: pytest.MonkeyPatch) -> None:
    step, plain, taken = step_of(kind, steps=9), PlainEngine.step, list[int]()
    whole = Checkpoint(store := open_store(str(tmp_path / "whole")), run([step], store, InlineExecutor()).manifests[step.address])

    def fail_at_eighth(engine: PlainEngine, learning_rate: float) -> float:
        taken.append(1)
        if len(taken) == 8:
            raise RuntimeError("pulled the plug")
        return plain(engine, learning_rate)

    monkeypatch.setattr(PlainEngine, "step", fail_at_eighth)
    store = open_store(str(tmp_path / "broken"))
    with pytest.raises(RuntimeError, match="plug"):
        run([step], store, InlineExecutor())
    again = Checkpoint(store, run([step], store, InlineExecutor()).manifests[step.address])
    assert len(taken) == 8 + 4, "the four steps after the checkpoint of five"
    assert weights_of(again.model) == weights_of(whole.model)


def test_a_run_on_next_tokens_keeps_the_address_it_had_before_there_were_objectives() -> None:
    assert pretrain(objective=NextToken()).address == pretrain().address
    assert "objective" not in pretrain().recipe
    encoder = step_of("encoder")
    assert encoder.recipe["objective"] == {"class": "MaskedTokens", "share": 0.15}
    assert dataclasses.replace(encoder, objective=MaskedTokens(share=0.2)).address != encoder.address


@pytest.mark.parametrize(
    ("fields", "named"),
    [
        ({"model": Bert()}, "objective is NextToken, and a Bert cannot learn by that: use MaskedTokens"),
        ({"model": T5(), "objective": MaskedTokens()}, "objective is MaskedTokens, and a T5 cannot learn by that: use CorruptedSpans"),
        ({"model": Llama(), "objective": MaskedTokens()}, "objective is MaskedTokens, and a Llama cannot learn by that: use NextToken"),
        ({"model": T5(), "objective": CorruptedSpans()}, "attend is 'document'.*use window"),
    ],
)
def test_a_pair_that_does_not_fit_is_refused_with_the_remedy(fields: dict[str, Any], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        pretrain(**fields)


def test_a_tokenizer_that_finds_the_mask_in_plain_text_is_refused_before_anything_is_trained(
    build: Build, tmp_path: Path, tokenizer_json: Path
) -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_json))
    tokenizer.add_tokens(["<|mask|>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    tokens = Tokenize(documents=literal(TEXTS), tokenizer=ExistingTokenizer.at(str(tmp_path)), split=SPLIT)
    with pytest.raises(RequestError, match=r"'<\|mask\|>' is plain text"):
        build(step_of("encoder", steps=1, mixture=(Weighted(tokens),)))


def test_an_existing_tokenizer_keeps_the_special_tokens_that_it_has(build: Build, tmp_path: Path, tokenizer_json: Path) -> None:
    tokenizer = Tokenizer.from_file(str(tokenizer_json))
    tokenizer.add_special_tokens(["<|pad|>", "<|mask|>"])
    tokenizer.save(str(tmp_path / "tokenizer.json"))
    tokens = Tokenize(documents=literal(TEXTS), tokenizer=ExistingTokenizer.at(str(tmp_path)), split=SPLIT)
    folder = build(step_of("encoder", steps=1, mixture=(Weighted(tokens),))).model
    opened = AutoTokenizer.from_pretrained(folder)
    assert opened.mask_token_id == tokenizer.token_to_id("<|mask|>")
    assert AutoModelForMaskedLM.from_pretrained(folder).config.vocab_size == tokenizer.get_vocab_size() == len(opened)
