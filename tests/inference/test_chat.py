"""A conversation becomes the tokens that its chat template says, and no more of it than there is room for."""

from typing import Any

import pytest
from transformers import AutoTokenizer

from pipeline.errors import RequestError
from pipeline.inference.chat import conversation, said
from tests.evaluate.conftest import Trained

TEMPLATE = "{% for m in messages %}<{{ m.role }}>{{ m.content }}\n{% endfor %}{% if add_generation_prompt %}<assistant>{% endif %}"
TURNS = [said("user", "The fox?"), said("assistant", "It sang."), said("user", "天地?")]


@pytest.fixture
def tokenizer(trained: Trained) -> Any:
    tokenizer = AutoTokenizer.from_pretrained(trained.folder)
    tokenizer.chat_template = TEMPLATE
    return tokenizer


def test_it_is_what_the_template_makes_of_it_up_to_the_answer(tokenizer: Any) -> None:
    assert tokenizer.decode(conversation(tokenizer, TURNS)) == "<user>The fox?\n<assistant>It sang.\n<user>天地?\n<assistant>"


def test_where_there_is_no_room_the_earliest_turns_are_left_out_but_never_the_question(tokenizer: Any) -> None:
    whole, last = conversation(tokenizer, TURNS), conversation(tokenizer, TURNS[2:])
    assert conversation(tokenizer, TURNS, len(whole)) == whole
    assert conversation(tokenizer, TURNS, len(whole) - 1) == last == conversation(tokenizer, TURNS, 1)


def test_a_tokenizer_without_a_template_is_refused_with_the_remedy(trained: Trained) -> None:
    with pytest.raises(RequestError, match=r"no chat template.*leave out --chat"):
        conversation(AutoTokenizer.from_pretrained(trained.folder), TURNS)


@pytest.mark.parametrize("template", ["{{ raise_exception('only one turn') }}", "{% for %}", "{{ messages.append(1) }}", "{{ 1 + 'a' }}"])
def test_a_template_that_cannot_take_the_messages_or_does_what_it_may_not_is_refused(tokenizer: Any, template: str) -> None:
    tokenizer.chat_template = template
    with pytest.raises(RequestError, match="does not take these messages"):
        conversation(tokenizer, TURNS)
