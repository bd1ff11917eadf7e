"""A conversation as the tokens that a model was taught: by the chat template of its tokenizer."""

from collections.abc import Mapping, Sequence
from typing import Any

from pipeline.errors import RequestError

Message = Mapping[str, str]
"""Who says something ("role": user, assistant or system), and what ("content")."""


def said(role: str, content: str) -> Message:
    """A turn of a conversation."""
    return {"role": role, "content": content}


def conversation(tokenizer: Any, messages: Sequence[Message], room: int | None = None) -> list[int]:
    """The tokens of a conversation up to where the model is to answer.

    Of one that takes more than `room` tokens, the earliest turns are left out, a question with its answer, but never the last question.
    Raises RequestError where the tokenizer has no chat template, or one that cannot take the messages.
    """
    from jinja2 import TemplateError

    if not tokenizer.chat_template:
        raise RequestError(
            f"the tokenizer of {tokenizer.name_or_path} has no chat template, so its model was not taught to converse: leave out --chat,"
            " or name a checkpoint that was fine-tuned on conversations"
        )
    try:
        tokens: list[int] = tokenizer.apply_chat_template(list(messages), add_generation_prompt=True, tokenize=True, return_dict=False)
    except (TemplateError, TypeError, ValueError) as problem:
        raise RequestError(f"the chat template of {tokenizer.name_or_path} does not take these messages: {problem}") from problem
    if room is not None and len(tokens) > room and len(messages) > 2:
        return conversation(tokenizer, messages[2:], room)
    return tokens
