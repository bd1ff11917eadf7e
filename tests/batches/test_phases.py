"""A run in phases: up to a boundary nothing is different, and behind it the epoch in progress goes on with what it has left."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from pipeline.batches.mixture import Interleaving, Weighted, check_made_alike, shares
from pipeline.batches.order import Order
from pipeline.batches.permutation import epoch_permutation
from pipeline.batches.phases import Phase, Stage, check_phases
from pipeline.errors import RequestError
from pipeline.storage import open_store
from pipeline.tokens.shards import TRAIN, TokenShards
from pipeline.tokens.split import Split
from pipeline.tokens.tokenize import Tokenize
from pipeline.tokens.tokenizer import TrainTokenizer
from pipeline.workflow.executor import InlineExecutor
from pipeline.workflow.run import run
from pipeline.workflow.step import Reference
from pipeline.workflow.unit import open_artifact
from tests.batches.test_order import SPLIT, documents_of
from tests.tokens.corpus import Literal

ALL = tuple(shard for seed in (3, 4) for shard in documents_of(seed, 30, ["books", "news"]).shards)
CHANGED = ALL[1][1:]
STATES = tuple(
    Literal(shards=shards)
    for shards in (
        ALL[:3],
        ALL[:4],  # grown
        ALL,  # grown again
        (ALL[0], *ALL[2:5]),  # a shard is gone
        (ALL[0], CHANGED, *ALL[2:]),  # a document of a shard is gone
        ALL[3:],  # all that the first has is gone
    )
)
TOKENIZER = TrainTokenizer(documents=STATES, vocab_size=280, split=SPLIT)
TOKENS = tuple(Tokenize(documents=state, tokenizer=TOKENIZER, split=SPLIT) for state in STATES)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> dict[str, TokenShards]:
    store = open_store(str(tmp_path_factory.mktemp("root")))
    run(TOKENS, store, InlineExecutor())
    return {step.address: open_artifact(store, step) for step in TOKENS}


@dataclass(frozen=True)
class Planned:
    """A phase in few words."""

    at: int
    state: int
    kind: str = "whole"


def stages_of(built: dict[str, TokenShards], plan: Sequence[Planned]) -> list[Stage]:
    mixtures = [mixture_of(phase.state, phase.kind) for phase in plan]
    shards = [[built[member.tokens.address] for member in mixture] for mixture in mixtures]
    return [Stage(phase.at, mixture, opened) for phase, mixture, opened in zip(plan, mixtures, shards, strict=True)]


def order_of(stages: Sequence[Stage], context: int, batch: int, seed: int) -> Order:
    first, *then = stages
    return Order(first.mixture, first.shards, context, batch, seed, then)


@dataclass(frozen=True)
class Token:
    """A token of a corpus written out: its value, its document, and where it is, told apart from all others."""

    value: int
    document: str
    key: Any


def plain_corpus(tokens: TokenShards, source: str | None) -> list[Token]:
    """The stream of a corpus, a token at a time."""
    found = []
    for entry in tokens.files(TRAIN):
        for row in pa.ipc.open_file(tokens.local(entry)).read_all().to_pylist():
            if source in (None, row["source"]):
                values = [*row["tokens"], tokens.end_of_text]
                found += [Token(value, row["id"], (entry.checksum, row["id"], place)) for place, value in enumerate(values)]
    return found


@dataclass
class Reading:
    """How far a corpus was read: by the book, with sets and lists."""

    stream: list[Token]
    context: int
    seed: int
    corpus: int
    epoch: int = 0
    visited: set[Any] = field(default_factory=set)
    waiting: list[int] = field(default_factory=list)

    def begin(self) -> None:
        """Line up the windows whose first token was not visited in this epoch."""
        windows = range((len(self.stream) - 1) // self.context)
        left = [window for window in windows if self.stream[window * self.context].key not in self.visited]
        self.visited = {token.key for window in windows if window not in left for token in self.inputs(window)}
        order = epoch_permutation(len(left), self.seed, self.corpus, self.epoch)(np.arange(len(left))).tolist()
        self.waiting = [left[place] for place in order]

    def inputs(self, window: int) -> list[Token]:
        return self.stream[window * self.context : (window + 1) * self.context]

    def take(self) -> list[Token]:
        """The tokens of the next window."""
        if not self.waiting:
            self.turn_over()
            self.begin()
        window = self.waiting.pop(0)
        self.visited |= {token.key for token in self.inputs(window)}
        return self.stream[window * self.context : (window + 1) * self.context + 1]

    def turn_over(self) -> None:
        self.epoch, self.visited = self.epoch + 1, set()

    def into(self, stream: list[Token]) -> "Reading":
        """The same reading of a later state."""
        if not self.waiting:
            self.turn_over()
        return Reading(stream, self.context, self.seed, self.corpus, self.epoch, self.visited)


def by_the_book(stages: Sequence[Stage], context: int, batch: int, seed: int, steps: int) -> list[list[list[Token]]]:
    """The windows of every step, token by token."""
    readings: list[Reading] = []
    sources: list[str | None] = []
    found = []
    for number, now in enumerate(stages):
        before = dict(enumerate(zip(sources, readings, strict=True)))
        sources, readings = [member.source for member in now.mixture], []
        for corpus, (source, tokens) in enumerate(zip(sources, now.shards, strict=True)):
            stream = plain_corpus(tokens, source)
            goes_on = corpus in before and before[corpus][0] == source
            readings.append(before[corpus][1].into(stream) if goes_on else Reading(stream, context, seed, corpus))
        for reading in readings:
            reading.begin()
        end = min(steps, stages[number + 1].at) if number + 1 < len(stages) else steps
        turns, _ = Interleaving(tuple(shares([member.weight for member in now.mixture]))).locate(np.arange(max(0, end - now.at) * batch))
        rows = [readings[corpus].take() for corpus in turns.tolist()]
        found += [rows[first : first + batch] for first in range(0, len(rows), batch)]
    return found


def mixture_of(state: int, kind: str) -> tuple[Weighted, ...]:
    tokens = TOKENS[state]
    books, news = Weighted(tokens, 2, "books"), Weighted(tokens, 1, "news")
    kinds = {
        "whole": (Weighted(tokens),),
        "parts": (books, news),
        "turned": (news, books),
        "one": (books,),
        "twice": (Weighted(tokens),) * 2,
    }
    return kinds[kind]


@st.composite
def phases(draw: st.DrawFn) -> list[Planned]:
    """Some boundaries, and a state of the corpus behind each; mostly mixed as before."""
    ats = sorted(draw(st.sets(st.integers(1, 60), max_size=4)))
    kind = draw(st.sampled_from(["whole", "parts", "twice"]))
    kinds = [kind, *(draw(st.sampled_from([kind, kind, kind, "turned", "one"])) for _ in ats)]
    return [Planned(at, draw(st.integers(0, len(STATES) - 1)), chosen) for at, chosen in zip([0, *ats], kinds, strict=True)]


@settings(max_examples=150)
@given(phases(), st.integers(1, 12), st.integers(1, 6), st.integers(0, 3), st.integers(1, 70))
def test_every_step_is_what_it_is_by_the_book(built, plan, context, batch, seed, steps) -> None:
    stages = stages_of(built, plan)
    order, expected = order_of(stages, context, batch, seed), by_the_book(stages, context, batch, seed, steps)
    assert len(expected) == steps
    seen: dict[str, list[int]] = {}
    for step, windows in enumerate(expected):
        assert order.batch(step).tokens.tolist() == [[token.value for token in window] for window in windows]
        documents = list(dict.fromkeys(token.document for window in windows for token in window))
        assert order.documents_in(step) == documents
        for document in documents:
            seen.setdefault(document, []).append(step)
    known = {token.document for now in stages for tokens in now.shards for token in plain_corpus(tokens, None)}
    assert {document: order.steps_of(document, steps) for document in sorted(known)} == {
        document: seen.get(document, []) for document in sorted(known)
    }


@settings(max_examples=30)
@given(phases(), st.integers(1, 12), st.integers(1, 9), st.integers(0, 80), st.integers(1, 4))
def test_a_row_is_the_same_however_workers_slice_the_batch_of_any_phase(built, plan, context, batch, step, workers) -> None:
    order = order_of(stages_of(built, plan), context, batch, 0)
    whole = order.batch(step).tokens
    for worker in range(workers):
        rows = slice(worker * batch // workers, (worker + 1) * batch // workers)
        np.testing.assert_array_equal(order.batch(step, rows).tokens, whole[rows])


@settings(max_examples=30)
@given(phases(), st.integers(1, 12), st.integers(1, 6), st.integers(0, 3))
def test_up_to_a_boundary_the_order_is_that_of_the_run_without_it(built, plan, context, batch, seed) -> None:
    stages = stages_of(built, plan)
    whole = order_of(stages, context, batch, seed)
    for count in range(1, len(stages)):
        shorter = order_of(stages[:count], context, batch, seed)
        for step in range(stages[count].at):
            np.testing.assert_array_equal(whole.batch(step).tokens, shorter.batch(step).tokens)


@settings(max_examples=40)
@given(st.sets(st.integers(1, 40), min_size=2, max_size=2).map(sorted), st.integers(3, 12), st.integers(1, 3), st.integers(0, 5))
def test_while_a_corpus_grows_an_epoch_still_sees_every_window_exactly_once(built, ats, context, batch, seed) -> None:
    stages = stages_of(built, [Planned(at, state) for state, at in enumerate([0, *ats])])
    counts = [(len(plain_corpus(now.shards[0], None)) - 1) // context for now in stages]
    if not ats[-1] * batch < counts[0]:  # the boundaries are within the first epoch
        return
    order = order_of(stages, context, batch, seed)
    rows = [tuple(row) for step in range(-(-counts[-1] // batch)) for row in order.batch(step).tokens.tolist()][: counts[-1]]
    stream = [token.value for token in plain_corpus(stages[-1].shards[0], None)]
    assert Counter(rows) == Counter(tuple(stream[window * context : (window + 1) * context + 1]) for window in range(counts[-1]))


@pytest.mark.parametrize(
    ("ats", "words"),
    [
        ((0,), r"then\[0\]\.at is 0, in a run of 20 steps .*use a step from 1 to 19"),
        ((20,), r"then\[0\]\.at is 20, .*use a step from 1 to 19"),
        ((5, 5), r"then\[1\]\.at is 5, .*use a step from 6 to 19"),
        ((19, 19), r"then\[1\]\.at is 19, .*leave it out, or raise token_budget"),
    ],
)
def test_boundaries_that_do_not_follow_each_other_within_the_run_are_refused(ats: tuple[int, ...], words: str) -> None:
    with pytest.raises(RequestError, match=words):
        check_phases((Weighted(TOKENS[0]),), [Phase(at=at, mixture=(Weighted(TOKENS[1]),)) for at in ats], 20)


def test_another_tokenizer_or_split_in_a_later_phase_is_refused() -> None:
    other = replace(TOKENS[1], tokenizer=replace(TOKENIZER, vocab_size=270))
    with pytest.raises(RequestError, match=r"then\[0\]\.mixture\[0\] has the tokenizer .*, but mixture\[0\] has"):
        check_phases((Weighted(TOKENS[0]),), [Phase(at=1, mixture=(Weighted(other),))], 20)
    half = Split(fraction=0.5)
    other = replace(TOKENS[1], tokenizer=Reference(of=TOKENIZER.address, opens=TokenShards), split=half)
    with pytest.raises(
        RequestError, match=r"then\[0\]\.mixture\[0\] has the split fraction=0\.5, salt=, but mixture\[0\] has fraction=0\.1"
    ):
        check_phases((Weighted(TOKENS[0]),), [Phase(at=1, mixture=(Weighted(other),))], 20)


def test_corpora_that_are_named_by_their_address_are_compared_by_their_manifests(built: dict[str, TokenShards]) -> None:
    named = Weighted(Reference(of="tokenize/0123", opens=TokenShards))
    check_phases((named,), [Phase(at=1, mixture=(Weighted(TOKENS[1]),))], 20)
    one, other = built[TOKENS[0].address], built[TOKENS[1].address]
    check_made_alike({"mixture[0]": one, "then[0].mixture[0]": other})
    recipe = {**other.manifest.recipe, "tokenizer": {"step": "train-tokenizer/other"}}
    foreign = TokenShards(other.store, replace(other.manifest, recipe=recipe))
    with pytest.raises(RequestError, match=r"then\[0\]\.mixture\[0\] has the tokenizer train-tokenizer/other, but mixture\[0\] has"):
        check_made_alike({"mixture[0]": one, "then[0].mixture[0]": foreign})


def test_an_empty_mixture_in_a_phase_is_refused() -> None:
    with pytest.raises(RequestError, match="mixture is empty"):
        Phase(at=1, mixture=())
