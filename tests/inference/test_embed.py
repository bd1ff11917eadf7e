"""Vectors of documents: what transformers gives by itself, in the documents' order, and the same bytes however they were made."""

from collections.abc import Iterator, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.errors import RequestError
from pipeline.inference.embed import Embed, open_states
from pipeline.inference.hidden_states import HiddenStates, check_states
from pipeline.inference.vectors import Pooling, Vectors, nearest
from pipeline.storage import Store, open_store
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.receipt import Receipt
from pipeline.workflow.run import run
from pipeline.workflow.unit import UnitTask, open_artifact
from tests.evaluate.conftest import Trained
from tests.inference.families import FAMILIES, Families
from tests.tokens.corpus import Literal, literal

TEXTS = ("The old fox", "今天天气很好，我们去公园。", "The <|endoftext|> is text. " * 9, "", "x", "The small heron looked over the river.")


def embed(trained: Trained, documents: Literal, **fields: Any) -> Vectors:
    step = Embed(checkpoint=trained.step, documents=(documents,), **fields)
    run([step], trained.store, InlineExecutor())
    vectors: Vectors = open_artifact(trained.store, step)
    return vectors


def rows(vectors: Vectors) -> pa.Table:
    return pa.concat_tables(pq.read_table(vectors.local(entry)) for entry in vectors.files("vectors"))


def matrix(table: pa.Table) -> np.ndarray[Any, Any]:
    return np.array(table["vector"].to_pylist(), np.float32)


@cache
def opened(folder: Path) -> HiddenStates:
    return HiddenStates(folder)


def by_transformers(folder: Path, family: str, text: str) -> torch.Tensor:
    """The last hidden states [T, D] of a text that the context holds, without any code of ours but the LSTM's own."""
    import transformers

    import pipeline.models.lstm_checkpoint  # noqa: F401

    tokens = transformers.AutoTokenizer.from_pretrained(folder)(text, return_tensors="pt")["input_ids"]
    with torch.no_grad():
        match family:
            case "lstm":
                states = transformers.AutoModelForCausalLM.from_pretrained(folder).eval().model(tokens)[0]
            case "bert":
                states = transformers.BertModel.from_pretrained(folder, add_pooling_layer=False).eval()(tokens).last_hidden_state
            case "t5":
                states = transformers.T5EncoderModel.from_pretrained(folder).eval()(tokens).last_hidden_state
            case _:
                states = transformers.AutoModel.from_pretrained(folder).eval()(tokens).last_hidden_state
    return states[0]


@pytest.mark.parametrize("family", FAMILIES)
def test_the_last_layer_is_what_transformers_gives(families: Families, family: str) -> None:
    folder = families.folder(family)
    model = HiddenStates(folder)
    (windows,) = model.windows([TEXTS[0]])
    expected = by_transformers(folder, family, TEXTS[0]).numpy()
    (states,) = model.states(windows)
    np.testing.assert_allclose(states, expected, atol=1e-5)
    np.testing.assert_allclose(Pooling().vector([states]), expected.mean(axis=0), atol=1e-5)


@pytest.mark.parametrize("family", FAMILIES)
def test_texts_beside_one_another_change_a_vector_by_rounding_alone(families: Families, family: str) -> None:
    model = opened(families.folder(family))
    windows = [window for own in model.windows(TEXTS) for window in own]
    together = model.states(windows)
    alone = [model.states([window])[0] for window in windows]
    largest = max(float(np.abs(states).max()) for states in together)
    for one, other in zip(together, alone, strict=True):
        np.testing.assert_allclose(one, other, atol=1e-5 * largest)


@settings(max_examples=20)
@given(st.lists(st.text(max_size=120), min_size=1, max_size=6))
def test_windows_hold_every_token_once_and_no_more_than_the_context(trained: Trained, texts: list[str]) -> None:
    model = opened(trained.folder)
    for text, windows in zip(texts, model.windows(texts), strict=True):
        tokens = [token for window in windows for token in window.tokens]
        assert tokens == model.tokenizer(text, split_special_tokens=True)["input_ids"]
        assert all(len(window.tokens) == model.context for window in windows[:-1])


def test_rows_stand_in_the_order_of_the_documents_and_every_document_is_accounted_for(trained: Trained) -> None:
    documents = literal(TEXTS * 3, shards=2)
    vectors = embed(trained, documents)
    there = open_artifact(trained.store, documents)
    read = [document for shard in there.shards for document in there.read(shard)]
    assert rows(vectors)["id"].to_pylist() == [document.id for document in read if document.text]
    assert rows(vectors)["origin"].to_pylist() == [document.origin for document in read if document.text]
    facts = vectors.facts
    assert (facts["read"], facts["kept"], facts["dropped"]) == (18, 15, {"no-tokens": 3})
    assert facts["tokens"] == sum(rows(vectors)["tokens"].to_pylist())


def test_a_text_beyond_the_context_is_the_mean_of_its_windows_weighted_by_their_tokens(trained: Trained) -> None:
    text = "The old heron looked over the quiet river, and sang. " * 6
    vectors = embed(trained, literal([text]))
    model = opened(trained.folder)
    (windows,) = model.windows([text])
    means = [model.states([window])[0].mean(axis=0) for window in windows]
    weights = [len(window.tokens) for window in windows]
    assert rows(vectors)["windows"].to_pylist() == [len(windows)] == [vectors.facts["windows"]]
    assert len(set(weights)) == 2
    assert vectors.facts["longer"] == 1
    np.testing.assert_allclose(matrix(rows(vectors))[0], np.average(means, axis=0, weights=weights), atol=1e-5)


@pytest.mark.parametrize(("pool", "place"), [("first", 0), ("last", -1)])
def test_one_token_can_stand_for_the_text(trained: Trained, pool: Any, place: int) -> None:
    table = rows(embed(trained, literal([TEXTS[0], TEXTS[4]]), pooling=Pooling(pool=pool), hidden=True))
    expected = [states[place] for states in table["hidden"].to_pylist()]
    np.testing.assert_allclose(matrix(table), expected, atol=1e-6)


def test_the_states_of_all_tokens_are_kept_where_they_are_asked_for(trained: Trained) -> None:
    table = rows(embed(trained, literal(TEXTS), hidden=True, pooling=Pooling(layer=1)))
    tokenizer = opened(trained.folder).tokenizer
    assert [tokenizer.decode(ids) for ids in table["token_ids"].to_pylist()] == [text for text in TEXTS if text]
    means = [np.mean(states, axis=0) for states in table["hidden"].to_pylist()]
    np.testing.assert_allclose(matrix(table), means, atol=1e-5)
    assert table.schema.field("vector").type == pa.list_(pa.float32(), 32)


def test_vectors_can_have_unit_length(trained: Trained) -> None:
    table = rows(embed(trained, literal(TEXTS), pooling=Pooling(unit_length=True)))
    np.testing.assert_allclose(np.linalg.norm(matrix(table), axis=1), 1, atol=1e-6)


def test_a_document_is_nearest_to_its_own_text(trained: Trained) -> None:
    vectors = embed(trained, literal(TEXTS))
    model = open_states(trained.folder, -1)
    (windows,) = model.windows([TEXTS[5]])
    found = nearest(vectors, Pooling().vector(model.states(windows)), 3)
    assert [found[0].origin, len(found)] == ["shard-0#5", 3]
    assert found[0].cosine == pytest.approx(1)
    assert found[0].cosine > found[1].cosine >= found[2].cosine


class Dying(InlineExecutor):
    """Ends in the middle, as a process that is killed between two units."""

    def units(self, tasks: Sequence[UnitTask]) -> Iterator[tuple[int, Receipt]]:
        for task in list(tasks)[:2]:
            yield task.index, task.run()
            if task.work.__name__ == "embed":
                raise KeyboardInterrupt


def test_an_interrupted_run_goes_on_and_ends_in_the_same_bytes_with_any_number_of_threads(trained: Trained, tmp_path: Path) -> None:
    documents = literal(TEXTS * 2, shards=2)
    vectors = embed(trained, documents)
    store: Store = open_store(str(tmp_path))
    run([trained.step, documents], store, InlineExecutor())
    step = Embed(checkpoint=trained.step, documents=(documents,))
    with pytest.raises(KeyboardInterrupt):
        run([step], store, Dying())
    kept = {entry.path for entry in store.list(f"{step.address}/vectors")}
    torch.set_num_threads(3)
    try:
        run([step], store, InlineExecutor())
    finally:
        torch.set_num_threads(1)
    again = open_artifact(store, step)
    assert len(kept) == 1
    assert again.manifest.content == vectors.manifest.content
    assert kept <= {entry.path for entry in store.list(f"{step.address}/vectors")}


@pytest.mark.parametrize("layer", [3, -4])
def test_a_layer_that_the_model_does_not_have_is_refused_by_its_number(trained: Trained, layer: int) -> None:
    with pytest.raises(RequestError, match=f"layer is {layer}, .* has 2 layers: use -3 to 2"):
        check_states(trained.folder, layer)


def test_an_lstm_gives_its_last_layer_alone(families: Families) -> None:
    with pytest.raises(RequestError, match=r"layer is 0, .* use -1"):
        check_states(families.folder("lstm"), 0)


def test_a_pooling_that_is_none_is_refused() -> None:
    with pytest.raises(RequestError, match="pool is 'median': use mean, first or last"):
        Pooling(pool="median")  # type: ignore[arg-type]


def test_nothing_to_embed_is_refused(trained: Trained) -> None:
    with pytest.raises(RequestError, match="documents is empty"):
        Embed(checkpoint=trained.step, documents=())
