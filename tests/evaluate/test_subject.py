"""A model under test answers how likely it finds texts."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

from pipeline.evaluate.base import Answer, Example
from pipeline.evaluate.subject import Subject, windows
from tests.evaluate.conftest import Trained
from tests.train.tiny import TEXTS


@pytest.fixture(scope="module")
def subject(trained: Trained) -> Subject:
    return Subject(trained.folder)


def answer(subject: Subject, *examples: Example) -> list[Answer]:
    return [answer for _, answer in subject.answers(examples)]


@given(before=st.integers(1, 40), text=st.integers(0, 60), context=st.integers(2, 20))
def test_every_token_of_a_text_is_predicted_once_and_from_half_a_context_or_all_there_is(before: int, text: int, context: int) -> None:
    whole = list(range(before + text))
    predicted = []
    for window in windows(0, whole[:before], whole[before:], context):
        assert len(window.tokens) - 1 <= context
        for token in window.tokens[len(window.tokens) - window.scored :]:
            assert token - window.tokens[0] >= min(token, context // 2)
            predicted.append(token)
    assert predicted == whole[before:]


def test_the_cost_of_a_text_is_that_of_its_tokens_and_its_end(subject: Subject, trained: Trained) -> None:
    model, tokenizer = AutoModelForCausalLM.from_pretrained(trained.folder), AutoTokenizer.from_pretrained(trained.folder)
    end = tokenizer.eos_token_id
    ids = torch.tensor([[end, *tokenizer("The old fox").input_ids, end]])
    costs = functional.cross_entropy(model(ids[:, :-1]).logits[0], ids[0, 1:], reduction="sum")
    (found,) = answer(subject, Example(("The old fox",), ends=True))
    assert found.tokens == (ids.shape[1] - 1,)
    assert found.nats == pytest.approx([costs.item()], abs=1e-4)


def test_a_text_costs_what_its_parts_cost_one_after_the_other(subject: Subject) -> None:
    whole, first, then = answer(subject, Example(("The old fox",)), Example(("The old",)), Example((" fox",), given="The old"))
    assert whole.nats[0] == pytest.approx(first.nats[0] + then.nats[0], abs=1e-4)


def test_questions_asked_together_are_answered_as_if_asked_alone(subject: Subject) -> None:
    examples = [Example((TEXTS[0], "fox", ""), ends=True), Example(("jumped", "sang"), given="The heron "), Example((TEXTS[5] * 3,))]
    together, alone = answer(subject, *examples), [answer(subject, example)[0] for example in examples]
    for one, other in zip(together, alone, strict=True):
        assert one.tokens == other.tokens
        assert one.nats == pytest.approx(other.nats, rel=1e-5)


def test_what_looks_like_a_special_token_is_text(subject: Subject) -> None:
    (found,) = answer(subject, Example(("<|endoftext|>",)))
    assert found.tokens[0] > 1
