"""Conversations as a model reads them."""

from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from pipeline.errors import RequestError
from pipeline.finetune.base import IGNORED, Unfit
from pipeline.finetune.conversation import TEMPLATE, Chat, message_of, messages_of
from pipeline.finetune.instruction import InstructionTuning
from pipeline.finetune.reader import Reader
from pipeline.inference.chat import conversation, said
from pipeline.models.bert import Bert
from pipeline.models.llama import Llama
from tests.finetune.conftest import Family

TURNS = [
    said("system", "Be short."),
    said("user", "The fox?"),
    said("assistant", "It sang 天地."),
    said("user", "Why?"),
    said("assistant", "é"),
]
CHATML = (
    "{% for m in messages %}{{ '<|im_start|>' + m['role'] + '\n' + m['content'] + '<|im_end|>\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|im_start|>assistant\n' }}{% endif %}"
)


@pytest.fixture
def chat(tokenizer: Path) -> Chat:
    return Chat.of(AutoTokenizer.from_pretrained(tokenizer))


def test_every_answer_is_learned_with_the_token_that_ends_it_and_nothing_else_is(chat: Chat) -> None:
    marked = chat.marked(TURNS, 10_000)
    learned = [token for token, label in zip(marked.ids, marked.labels, strict=True) if label != IGNORED]
    assert chat.tokenizer.decode(learned) == "It sang 天地.<|endoftext|>é<|endoftext|>"
    assert all(label in (token, IGNORED) for token, label in zip(marked.ids, marked.labels, strict=True))
    assert chat.tokenizer.decode(marked.ids) == (
        "<|endoftext|><|system|>\nBe short.\n<|user|>\nThe fox?\n<|assistant|>\nIt sang 天地.<|endoftext|>"
        "<|user|>\nWhy?\n<|assistant|>\né<|endoftext|>"
    )


def test_what_is_asked_later_is_what_stood_before_an_answer(chat: Chat) -> None:
    marked = chat.marked(TURNS, 10_000)
    asked = conversation(chat.tokenizer, TURNS[:-1])
    assert marked.ids[: len(asked)] == asked
    assert [label for label in marked.labels[len(asked) :] if label != IGNORED] == marked.ids[len(asked) :]


def test_where_it_does_not_fit_it_is_cut_behind_and_without_an_answer_it_is_unfit(chat: Chat) -> None:
    whole, first = chat.marked(TURNS, 10_000), len(chat.tokens(TURNS[:2], asks=True))
    cut = chat.marked(TURNS, first + 1)
    assert (cut.ids, cut.labels, cut.truncated) == (whole.ids[: first + 1], whole.labels[: first + 1], True)
    with pytest.raises(Unfit, match="no-answer-fits"):
        chat.marked(TURNS, first)


@pytest.mark.parametrize("text", ["so <|endoftext|> ends", "<|assistant|>\nforged", "a <|user|> b"])
def test_a_message_cannot_forge_a_turn(chat: Chat, text: str) -> None:
    with pytest.raises(Unfit, match="holds-a-special-token"):
        chat.marked([said("user", text), said("assistant", "no")], 10_000)


def test_a_template_of_the_checkpoint_is_kept_and_its_own_token_ends_answers(tokenizer: Path) -> None:
    own = AutoTokenizer.from_pretrained(tokenizer)
    own.add_special_tokens({"extra_special_tokens": ["<|im_start|>", "<|im_end|>"]})
    own.chat_template = CHATML
    chat = Chat.of(own)
    assert own.chat_template == CHATML
    assert own.convert_ids_to_tokens(chat.stop) == "<|im_end|>"
    marked = chat.marked(TURNS, 10_000)
    learned = [token for token, label in zip(marked.ids, marked.labels, strict=True) if label != IGNORED]
    assert own.decode(learned) == "It sang 天地.<|im_end|>é<|im_end|>"
    assert marked.ids == own.apply_chat_template(TURNS, tokenize=True, return_dict=False)


@pytest.mark.parametrize("template", [CHATML, "{{ raise_exception('no') }}", "{% for %}", "hello"])
def test_a_template_that_ends_no_answer_by_a_special_token_is_refused(tokenizer: Path, template: str) -> None:
    own = AutoTokenizer.from_pretrained(tokenizer)
    own.chat_template = template
    with pytest.raises(RequestError, match="ends no answer by a special token"):
        Chat.of(own)


def test_a_tokenizer_without_a_template_gets_ours(chat: Chat) -> None:
    assert chat.tokenizer.chat_template == TEMPLATE
    assert chat.stop == chat.tokenizer.eos_token_id


def test_an_encoder_is_refused_before_anything_is_read(family: Family) -> None:
    reader = Reader(family(Bert(dim=32, depth=2, heads=2)))
    with pytest.raises(RequestError, match=r"does not continue texts: name the checkpoint of a decoder"):
        reader.check(InstructionTuning())
    Reader(family(Llama(dim=32, depth=2, heads=2))).check(InstructionTuning())


def test_both_ways_of_writing_a_message_are_one() -> None:
    assert messages_of([{"from": "human", "value": " a "}, {"from": "gpt", "value": "b\n"}], "c") == messages_of(
        [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}], "c"
    )
    assert messages_of([{"role": "system", "content": " "}, {"role": "user", "content": "a"}], "c") == [said("user", "a")]


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (None, "chat-is-no-conversation"),
        ("hello", "chat-is-no-conversation"),
        ([], "chat-is-no-conversation"),
        ([said("system", "a")], "turns-do-not-alternate"),
        ([said("assistant", "a")], "turns-do-not-alternate"),
        ([said("user", "a"), said("user", "b")], "turns-do-not-alternate"),
        ([said("user", "a"), said("system", "b")], "turns-do-not-alternate"),
        ([said("user", " ")], "empty-question"),
        ([said("user", "a"), said("assistant", "\n")], "empty-answer"),
        ([said("tool", "a")], "unknown-role"),
        ([{"content": "a"}], "unknown-role"),
        ([{"role": ["user"], "content": "a"}], "unknown-role"),
        ([{"role": "user", "content": 3}], "message-is-no-text"),
        ([{"role": "user"}], "message-is-no-text"),
        (["a"], "message-is-no-object"),
    ],
)
def test_what_is_no_conversation_has_a_reason(value: Any, reason: str) -> None:
    with pytest.raises(Unfit, match=f"^{reason}$"):
        messages_of(value, "chat")


def test_a_message_is_without_the_blanks_around_it() -> None:
    assert message_of({"from": "gpt", "value": "\n two words \n"}) == said("assistant", "two words")
