"""The order of training data as a function, and its inverse."""

import random
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batches.mixture import Weighted
from pipeline.batches.order import Order, check_windows
from pipeline.errors import RequestError
from pipeline.storage import open_store
from pipeline.tokens.shards import TRAIN, TokenShards
from pipeline.tokens.split import Split
from pipeline.tokens.tokenize import Tokenize
from pipeline.tokens.tokenizer import TrainTokenizer
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.unit import open_artifact
from tests.tokens.corpus import Literal

SPLIT = Split(fraction=0.1)
WORDS = ("ash", "birch", "cedar", "elm", "fir")


def documents_of(seed: int, count: int, sources: Sequence[str]) -> Literal:
    """Documents of a few words each, in three shards."""
    draw = random.Random(seed)
    rows = [(draw.choice(sources), " ".join(draw.choices(WORDS, k=draw.randint(1, 12)))) for _ in range(count)]
    return Literal(shards=tuple(tuple(rows[part::3]) for part in range(3)))


SMALL, LARGE = documents_of(1, 12, ["poems"]), documents_of(2, 90, ["books", "news"])
TOKENIZER = TrainTokenizer(documents=(SMALL, LARGE), vocab_size=280, split=SPLIT)
SMALL_TOKENS, LARGE_TOKENS = (Tokenize(documents=documents, tokenizer=TOKENIZER, split=SPLIT) for documents in (SMALL, LARGE))
MIXTURES = (
    (Weighted(LARGE_TOKENS),),
    (Weighted(SMALL_TOKENS, 0.3), Weighted(LARGE_TOKENS, 0.7)),
    (Weighted(LARGE_TOKENS, 2, "books"), Weighted(SMALL_TOKENS, 1), Weighted(LARGE_TOKENS, 1, "news")),
    (Weighted(SMALL_TOKENS, 1), Weighted(SMALL_TOKENS, 1)),
)


@dataclass(frozen=True)
class Shelf:
    """Built corpora by their steps."""

    built: dict[str, TokenShards]

    def order(self, mixture: tuple[Weighted, ...], context: int, batch: int, seed: int) -> Order:
        return Order(mixture, self.of(mixture), context, batch, seed)

    def of(self, mixture: tuple[Weighted, ...]) -> list[TokenShards]:
        return [self.built[member.tokens.address] for member in mixture]


@pytest.fixture(scope="module")
def shelf(tmp_path_factory: pytest.TempPathFactory) -> Shelf:
    store = open_store(str(tmp_path_factory.mktemp("root")))
    run([SMALL_TOKENS, LARGE_TOKENS], store, InlineExecutor())
    return Shelf({step.address: open_artifact(store, step) for step in (SMALL_TOKENS, LARGE_TOKENS)})


def plain_documents(tokens: TokenShards, source: str | None) -> Iterator[dict[str, Any]]:
    for batch in tokens.batches(TRAIN):
        for row in batch.to_pylist():
            if source in (None, row["source"]):
                yield row


mixtures, contexts, batches, seeds = st.sampled_from(MIXTURES), st.integers(1, 40), st.integers(1, 9), st.integers(0, 5)
few = settings(max_examples=40)


@few
@given(mixture=mixtures, context=contexts, size=batches, seed=seeds, step=st.integers(0, 2000), workers=st.integers(1, 5))
def test_a_row_is_the_same_however_workers_slice_the_batch(shelf: Shelf, mixture, context, size, seed, step, workers) -> None:
    whole = shelf.order(mixture, context, size, seed).batch(step)
    assert whole.tokens.shape == (size, context + 1)
    for worker in range(workers):
        for rows in (slice(worker, None, workers), slice(worker * size // workers, (worker + 1) * size // workers)):
            part = shelf.order(mixture, context, size, seed).batch(step, rows)
            np.testing.assert_array_equal(part.tokens, whole.tokens[rows])
            np.testing.assert_array_equal(part.documents, whole.documents[rows])
            np.testing.assert_array_equal(part.positions, whole.positions[rows])


@few
@given(context=contexts, size=batches, seed=seeds, epoch=st.integers(0, 3))
def test_an_epoch_sees_every_window_exactly_once(shelf: Shelf, context, size, seed, epoch) -> None:
    tokens = shelf.built[LARGE_TOKENS.address]
    stream = [token for row in plain_documents(tokens, None) for token in [*row["tokens"], tokens.end_of_text]]
    count = (len(stream) - 1) // context
    expected = Counter(tuple(stream[window * context : (window + 1) * context + 1]) for window in range(count))
    order = shelf.order((Weighted(LARGE_TOKENS),), context, size, seed)
    assert order.steps_per_epoch == -(-count // size)
    samples = range(epoch * count, (epoch + 1) * count)
    rows = {step: order.batch(step).tokens for step in {sample // size for sample in samples}}
    assert Counter(tuple(rows[sample // size][sample % size].tolist()) for sample in samples) == expected


@few
@given(mixture=mixtures, context=contexts, size=batches, seed=seeds, steps=st.integers(1, 60))
def test_a_document_is_in_a_step_exactly_if_the_step_is_among_its_steps(shelf: Shelf, mixture, context, size, seed, steps) -> None:
    order = shelf.order(mixture, context, size, seed)
    seen: dict[str, list[int]] = {}
    for step in range(steps):
        for document in order.documents_in(step):
            seen.setdefault(document, []).append(step)
    known = {row["id"] for member in mixture for row in plain_documents(shelf.built[member.tokens.address], member.source)}
    assert seen.keys() <= known
    for document in known:
        assert order.steps_of(document, steps) == seen.get(document, [])


def test_the_documents_of_a_step_are_those_whose_tokens_are_in_its_batch(shelf: Shelf) -> None:
    tokens = shelf.built[SMALL_TOKENS.address]
    owners = [(row["id"], token) for row in plain_documents(tokens, None) for token in [*row["tokens"], tokens.end_of_text]]
    order = shelf.order((Weighted(SMALL_TOKENS),), 7, 1, 3)
    count = (len(owners) - 1) // 7
    windows = {}
    for window in range(count):
        part = owners[window * 7 : window * 7 + 8]
        windows.setdefault(tuple(token for _, token in part), []).append({owner for owner, _ in part})
    for step in range(count):
        assert set(order.documents_in(step)) in windows[tuple(order.batch(step).tokens[0].tolist())]


def test_the_next_epoch_of_a_small_corpus_beside_a_large_one_has_another_order(shelf: Shelf) -> None:
    order = shelf.order(MIXTURES[1], 5, 10, 0)
    leg = order._legs[0]
    count = leg.windows[0].count
    samples = leg.interleaving.samples(0, np.arange(3 * count))
    rows = [order.batch(int(sample) // 10, slice(int(sample) % 10, int(sample) % 10 + 1)).tokens[0].tolist() for sample in samples]
    first, second, third = rows[:count], rows[count : 2 * count], rows[2 * count :]
    assert sorted(first) == sorted(second) == sorted(third)
    assert first != second != third != first


def test_one_corpus_twice_in_a_mixture_is_visited_in_two_orders(shelf: Shelf) -> None:
    order = shelf.order(MIXTURES[3], 5, 2, 0)
    rows = np.stack([order.batch(step).tokens for step in range(10)])
    assert (rows[:, 0] != rows[:, 1]).any()


def test_a_source_gives_its_own_documents_alone(shelf: Shelf) -> None:
    order = shelf.order((Weighted(LARGE_TOKENS, source="news"),), 8, 4, 0)
    found = {document for step in range(order.steps_per_epoch) for document in order.documents_in(step)}
    news = [row["id"] for row in plain_documents(shelf.built[LARGE_TOKENS.address], "news")]
    assert set(news[:-1]) <= found <= set(news)


def test_weights_are_kept_over_a_run(shelf: Shelf) -> None:
    order = shelf.order(MIXTURES[2], 4, 8, 0)
    corpora, _ = order._legs[0].locate(np.arange(400))
    assert abs((corpora == 1).sum() - 400 / 4) < 1


def test_another_seed_gives_another_order(shelf: Shelf) -> None:
    one, other = (shelf.order(MIXTURES[0], 8, 8, seed).batch(0).tokens for seed in (0, 1))
    assert (one != other).any()


def test_a_corpus_too_small_for_one_window_is_refused_by_size(shelf: Shelf) -> None:
    tokens = shelf.built[SMALL_TOKENS.address]
    length = tokens.facts["documents"]["train"] + tokens.facts["tokens"]["train"]
    mixture = (Weighted(SMALL_TOKENS),)
    check_windows(mixture, [tokens], length - 1)
    with pytest.raises(RequestError, match=f"has {length} tokens to train on.* lower context, or add documents"):
        shelf.order(mixture, length, 1, 0)


def test_an_unknown_source_is_refused_with_those_there_are(shelf: Shelf) -> None:
    with pytest.raises(RequestError, match=r"no source 'poetry' to train on: use one of books, news"):
        shelf.order((Weighted(LARGE_TOKENS, source="poetry"),), 4, 1, 0)


@pytest.mark.parametrize(("context", "batch"), [(0, 1), (1, 0), (-3, 4)])
def test_sizes_below_one_are_refused(shelf: Shelf, context: int, batch: int) -> None:
    with pytest.raises(RequestError, match=r"(context|batch) is -?\d+: use at least 1"):
        shelf.order(MIXTURES[0], context, batch, 0)
