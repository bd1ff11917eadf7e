"""A model under test says how likely it would continue texts, each as if it were asked alone."""

from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.nn import functional
from transformers import AutoModelForCausalLM, AutoTokenizer

import pipeline.evaluate.continuer
from pipeline.errors import RequestError
from pipeline.evaluate.continuations import Likelihoods, Pair, Question
from pipeline.evaluate.continuer import Continuer
from tests.evaluate.conftest import Trained

WORDS = ("The", "The old fox", "heron", " sang.\n", "狐狸", "<|endoftext|>", " ", "", "a", "fox jumped over the")


@pytest.fixture(scope="module")
def continuer(trained: Trained) -> Continuer:
    return Continuer(trained.folder)


@pytest.fixture(scope="module")
def opened(trained: Trained) -> tuple[Any, Any]:
    return AutoModelForCausalLM.from_pretrained(trained.folder), AutoTokenizer.from_pretrained(trained.folder)


def answers(continuer: Continuer, *questions: Question) -> list[Likelihoods]:
    return [answer for _, answer in continuer.answers(questions)]


def alone(opened: tuple[Any, Any], given: list[int], text: list[int]) -> tuple[float, bool]:
    """The log-likelihood of a text in one call of the model, and whether each of its tokens is the likeliest."""
    model, _ = opened
    with torch.no_grad():
        logits = model(torch.tensor([[*given, *text[:-1]]])).logits[0, len(given) - 1 :]
    targets = torch.tensor(text)
    return -functional.cross_entropy(logits, targets, reduction="sum").item(), bool((logits.argmax(dim=-1) == targets).all())


def test_a_pair_is_encoded_as_one_text_and_spaces_behind_a_prompt_belong_to_what_follows(
    continuer: Continuer, opened: tuple[Any, Any]
) -> None:
    tokenizer = opened[1]
    before, whole = tokenizer("The old").input_ids, tokenizer("The old fox").input_ids
    found = answers(continuer, Question((Pair("The old", " fox"), Pair("The old ", "fox"))))[0]
    expected = alone(opened, before, whole[len(before) :])
    assert found.logs == pytest.approx([expected[0]] * 2, abs=1e-4)
    assert found.greedy == (expected[1],) * 2
    assert found.tokens == (len(whole) - len(before),) * 2


def test_after_nothing_a_text_begins_a_document(continuer: Continuer, opened: tuple[Any, Any]) -> None:
    text = opened[1]("The fox").input_ids
    (found,) = answers(continuer, Question((Pair("", "The fox"),)))
    assert found.logs[0] == pytest.approx(alone(opened, [opened[1].eos_token_id], text)[0], abs=1e-4)


@settings(max_examples=30)
@given(st.lists(st.lists(st.tuples(*[st.lists(st.sampled_from(WORDS), max_size=4).map("".join)] * 2), min_size=1, max_size=4), max_size=6))
def test_pairs_asked_together_are_answered_as_if_asked_alone(continuer: Continuer, asked: list[list[tuple[str, str]]]) -> None:
    questions = [Question(tuple(Pair(*pair) for pair in pairs)) for pairs in asked]
    for question, together in zip(questions, answers(continuer, *questions), strict=True):
        singly = [answers(continuer, Question((pair,)))[0] for pair in question.pairs]
        assert together.logs == pytest.approx([each.logs[0] for each in singly], abs=2e-3)
        assert together.tokens == tuple(each.tokens[0] for each in singly)
        assert together.truncated == sum(each.truncated for each in singly)


def test_reading_a_shared_prompt_once_changes_no_answer(continuer: Continuer, monkeypatch: pytest.MonkeyPatch) -> None:
    prompts = ["The old fox", "The", "The heron sang. The old"]
    texts = [" jumped over", " sang", " jumped over the heron and sang."]
    questions = [Question(tuple(Pair(prompt, text) for text in texts)) for prompt in prompts]
    shared = answers(continuer, *questions)
    monkeypatch.setattr(continuer, "remembers", False)
    for one, other in zip(shared, answers(continuer, *questions), strict=True):
        assert one.logs == pytest.approx(other.logs, abs=1e-3)
        assert one.greedy == other.greedy


def test_answers_do_not_depend_on_how_much_is_read_at_once(continuer: Continuer, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = [Question((Pair("The old " + "fox " * count, "sang"), Pair("The", " heron" * count))) for count in range(1, 7)]
    much = answers(continuer, *questions)
    monkeypatch.setattr(pipeline.evaluate.continuer, "TOKENS", 20)
    monkeypatch.setattr(pipeline.evaluate.continuer, "QUESTIONS_AT_ONCE", 2)
    for one, other in zip(much, answers(continuer, *questions), strict=True):
        assert one.logs == pytest.approx(other.logs, abs=1e-3)


def test_a_prompt_that_is_too_long_loses_its_beginning_and_that_is_counted(continuer: Continuer, opened: tuple[Any, Any]) -> None:
    prompt = "The old fox sang. " * 12 + "The old"
    before, whole = opened[1](prompt).input_ids, opened[1](prompt + " fox").input_ids
    text = whole[len(before) :]
    assert len(whole) > continuer.context + 1
    (found,) = answers(continuer, Question((Pair(prompt, " fox"), Pair("The old", " fox"))))
    assert found.logs[0] == pytest.approx(alone(opened, before[-(continuer.context + 1 - len(text)) :], text)[0], abs=1e-4)
    assert found.truncated == 1


def test_each_token_of_a_text_that_is_longer_than_the_context_is_predicted_once(continuer: Continuer, opened: tuple[Any, Any]) -> None:
    text = "The old fox sang over the heron. " * 9
    count = len(opened[1](text).input_ids)
    assert count > continuer.context
    (found,) = answers(continuer, Question((Pair("", text),)))
    assert found.tokens == (count,)
    assert found.truncated == 1
    assert found.logs[0] < -count / 10


def test_a_model_that_labels_texts_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"architectures": ["LlamaForSequenceClassification"]}')
    with pytest.raises(RequestError, match="labels texts"):
        Continuer(tmp_path)
