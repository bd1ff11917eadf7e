"""Perplexity over held-out documents, from a tokens artifact to the scores in a manifest."""

import math
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
import zstandard
from safetensors.torch import load_file, save_file

from pipeline.batches.mixture import Weighted
from pipeline.errors import RequestError
from pipeline.evaluate.base import Example
from pipeline.evaluate.evaluate import Evaluate, HeldOutDocuments
from pipeline.evaluate.perplexity import Perplexity, compressed
from pipeline.evaluate.subject import Subject
from pipeline.storage import Store
from pipeline.tokens.split import Split
from pipeline.tokens.tokenize import Tokenize
from pipeline.tokens.tokenizer import TrainTokenizer
from pipeline.train.checkpoint import Checkpoint
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Reference
from pipeline.workflow.unit import Unit
from tests.evaluate.conftest import ODD_TEXTS, Trained
from tests.tokens.corpus import literal
from tests.train.tiny import TEXTS, pretrain


def held_out(trained: Trained) -> HeldOutDocuments:
    return HeldOutDocuments(Unit(trained.store, "evaluate/x", "examine", 0), trained.tokens)


def scores(trained: Trained, **fields: object) -> dict[str, float]:
    step = Evaluate(checkpoint=trained.step, tasks=(Perplexity(),), tokens=trained.step.mixture[0].tokens, **fields)  # type: ignore[arg-type]
    return dict(run([step], trained.store, InlineExecutor()).manifests[step.address].facts["scores"]["perplexity"])


def test_the_held_out_documents_are_the_texts_that_were_tokenized(trained: Trained) -> None:
    texts = list(held_out(trained).texts())
    facts = trained.tokens.facts
    assert len(texts) == facts["documents"]["validation"]
    assert sum(len(text.encode()) for text in texts) == facts["bytes"]["validation"]
    assert set(texts) <= {*TEXTS, *ODD_TEXTS}
    assert set(texts) & set(ODD_TEXTS)


def test_the_metrics_follow_from_the_cost_of_every_held_out_token_and_end(trained: Trained) -> None:
    found, facts = scores(trained), trained.tokens.facts
    answers = Subject(trained.folder).answers(Example((text,), ends=True) for text in held_out(trained).texts())
    nats = sum(answer.nats[0] for _, answer in answers)
    assert found["n"] == facts["documents"]["validation"]
    assert found["tokens"] == facts["tokens"]["validation"] + facts["documents"]["validation"]
    assert found["bytes"] == facts["bytes"]["validation"]
    assert found["loss"] == pytest.approx(nats / found["tokens"])
    assert found["perplexity"] == pytest.approx(math.exp(found["loss"]))
    assert found["bits_per_byte"] == pytest.approx(nats / math.log(2) / found["bytes"])


def test_a_model_that_knows_nothing_needs_the_whole_vocabulary_for_each_token(trained: Trained, tmp_path: Path) -> None:
    folder = tmp_path / "blank"
    shutil.copytree(trained.folder, folder)
    weights = load_file(trained.folder / "model.safetensors")
    (folder / "model.safetensors").unlink()
    save_file({name: 0 * weight for name, weight in weights.items()}, folder / "model.safetensors", metadata={"format": "pt"})
    answers = Subject(folder).answers(Example((text,), ends=True) for text in held_out(trained).texts())
    for _, answer in answers:
        assert answer.nats[0] == pytest.approx(answer.tokens[0] * math.log(trained.tokens.vocab_size), rel=1e-5)


def test_zstd_compresses_the_same_bytes_as_one_stream_and_each_alone(trained: Trained) -> None:
    found, texts = scores(trained), [text.encode() for text in held_out(trained).texts()]
    whole = len(zstandard.ZstdCompressor(level=19).compress(b"".join(texts)))
    assert found["zstd_bits_per_byte"] * found["bytes"] / 8 == pytest.approx(whole, abs=16), "but for the frame's header"
    assert found["zstd_document_bits_per_byte"] > found["zstd_bits_per_byte"]


def test_a_stream_may_copy_from_earlier_texts() -> None:
    assert compressed(["A sentence that is said twice. "] * 2) < 2 * compressed(["A sentence that is said twice. "])


def test_a_checkpoint_that_is_named_by_its_address_scores_the_same(trained: Trained) -> None:
    named = Evaluate(
        checkpoint=Reference(of=trained.step.address, opens=Checkpoint),
        tasks=(Perplexity(),),
        tokens=Reference(of=trained.step.mixture[0].tokens.address, opens=type(trained.tokens)),
    )
    facts = run([named], trained.store, InlineExecutor()).manifests[named.address].facts
    assert dict(facts["scores"]["perplexity"]) == scores(trained)


@pytest.mark.parametrize(("tasks", "named"), [((), "tasks is empty"), ((Perplexity(), Perplexity()), "tasks has two of the same name")])
def test_a_wrong_choice_of_tasks_is_refused(trained: Trained, tasks: tuple[Perplexity, ...], named: str) -> None:
    with pytest.raises(RequestError, match=named):
        Evaluate(checkpoint=trained.step, tasks=tasks, tokens=trained.step.mixture[0].tokens)


def test_a_corpus_that_holds_nothing_out_is_refused_before_anything_starts(trained: Trained) -> None:
    documents, whole = literal(TEXTS), Split(fraction=0)
    tokens = Tokenize(documents=documents, tokenizer=TrainTokenizer(documents=documents, vocab_size=320, split=whole), split=whole)
    with pytest.raises(RequestError, match=r"split\.fraction is 0, and perplexity asks about held-out documents"):
        Evaluate(checkpoint=trained.step, tasks=(Perplexity(),), tokens=tokens)


def test_where_nothing_comes_to_be_held_out_that_is_told_before_anything_is_trained(store: Store) -> None:
    documents, hardly = literal(TEXTS), Split(fraction=1e-9)
    tokens = Tokenize(documents=documents, tokenizer=TrainTokenizer(documents=documents, vocab_size=320, split=hardly), split=hardly)
    training = pretrain(mixture=(Weighted(tokens),))
    scored = Evaluate(checkpoint=training, tasks=(Perplexity(),), tokens=tokens)
    words = rf"perplexity asks .* of the {len(TEXTS)} documents of {tokens.address} none is held out: .*--validation"
    for _ in ("as soon as it is tokenized", "and when it was before"):
        with pytest.raises(RequestError, match=words):
            run([scored], store, InlineExecutor())
    assert list(store.list(tokens.address))
    assert not list(store.list(training.address))


def test_documents_are_asked_about_one_after_the_other_and_not_gathered_first() -> None:
    class Endless:
        def texts(self) -> Iterator[str]:
            while True:
                yield "again"

    assert next(iter(Perplexity().examples(Endless()))).texts == ("again",)
