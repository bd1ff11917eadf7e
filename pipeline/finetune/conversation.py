"""Conversations as people keep them, and as a model reads them: by the chat template of its tokenizer, with its answers marked.

A checkpoint whose tokenizer has a chat template keeps it. One that has none gets `TEMPLATE`, which is saved with its tokenizer. Its
markers are plain text and no special tokens: the vocabulary of a trained model has no room for more, and every byte-level tokenizer
can write them. What ends an answer is the token that ends texts, so whatever draws from the model stops there.

What is learned from is what `apply_chat_template` makes of a conversation, token for token. So no message may hold the text of a
special token or of a marker, by which it would end its turn, and every answer begins where the tokens of its question end.
"""

from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any

from pipeline.errors import RequestError, RunError
from pipeline.finetune.base import IGNORED, Unfit
from pipeline.inference.chat import Message, said

if TYPE_CHECKING:
    from pipeline.finetune.reader import Reader

ROLES = {"system": "system", "user": "user", "human": "user", "assistant": "assistant", "gpt": "assistant"}
"""The roles of messages, by the names that OpenAI's form and ShareGPT's have for them."""
MARKERS = ("<|system|>", "<|user|>", "<|assistant|>")
TEMPLATE = (
    "{{ bos_token or eos_token }}"
    "{% for message in messages %}"
    "{% if message['role'] not in ('system', 'user', 'assistant') %}"
    "{{ raise_exception('the roles are system, user and assistant') }}"
    "{% endif %}"
    "{{ '<|' + message['role'] + '|>\n' + message['content'] | trim }}"
    "{{ eos_token if message['role'] == 'assistant' else '\n' }}"
    "{% endfor %}"
    "{% if add_generation_prompt %}{{ '<|assistant|>\n' }}{% endif %}"
)
"""A turn is its marker on a line, and what is said; a line's end or, of an answer, the token that ends texts stands behind it."""


@dataclass(frozen=True)
class Marked:
    """The tokens of a conversation, and for each the same again where it is to be learned, else IGNORED."""

    ids: list[int]
    labels: list[int]
    truncated: bool = False


@dataclass(frozen=True)
class Chat:
    """How a tokenizer that has a chat template writes conversations."""

    tokenizer: Any
    stop: int
    """The token that ends an answer."""

    @classmethod
    def of(cls, tokenizer: Any) -> "Chat":
        """The one of a tokenizer, which gets a chat template where it has none; raises RequestError for one that ends no answer."""
        if not tokenizer.chat_template:
            tokenizer.chat_template = TEMPLATE
        asked, whole = list[int](), list[int]()
        with suppress(Unfit):
            asked = tokens_of(tokenizer, [said("user", "?")], asks=True)
            whole = tokens_of(tokenizer, [said("user", "?"), said("assistant", "!")])
        ends = [token for token in whole[len(asked) :] if token in special_tokens(tokenizer)]
        if whole[: len(asked)] != asked or not ends:
            raise RequestError(
                f"the chat template of {tokenizer.name_or_path} ends no answer by a special token: mend it, or take it out and"
                " let the tokenizer name an eos_token"
            )
        return cls(tokenizer, ends[0])

    def tokens(self, messages: Sequence[Message], asks: bool = False) -> list[int]:
        """The tokens of a conversation; of one that `asks`, up to where an answer begins. Raises Unfit where the template refuses it."""
        return tokens_of(self.tokenizer, messages, asks)

    def marked(self, messages: Sequence[Message], room: int, since: int = 0) -> Marked:
        """A conversation as it is learned from, every answer with the token that ends it; cut at its end where it does not fit.

        Of the messages before number `since`, nothing is learned. Raises Unfit for a conversation that cannot be told from its markers,
        and where no token of an answer fits.
        """
        if any(marker in message["content"] for message in messages for marker in self._reserved):
            raise Unfit("holds-a-special-token")
        ids = self.tokens(messages)
        labels = [IGNORED] * len(ids)
        for number, message in enumerate(messages):
            if message["role"] == "assistant" and number >= since:
                begin, end = self._answer(ids, messages[:number])
                labels[begin:end] = ids[begin:end]
        if all(label == IGNORED for label in labels[:room]):
            raise Unfit("no-answer-fits")
        return Marked(ids[:room], labels[:room], len(ids) > room)

    @cached_property
    def _reserved(self) -> tuple[str, ...]:
        return (*special_tokens(self.tokenizer).values(), *(MARKERS if self.tokenizer.chat_template == TEMPLATE else ()))

    def _answer(self, ids: list[int], before: Sequence[Message]) -> tuple[int, int]:
        """Where the answer to what was said `before` begins, and where it ends, behind the token that ends it."""
        asked = self.tokens(before, asks=True)
        if ids[: len(asked)] != asked or self.stop not in ids[len(asked) :]:
            raise Unfit("answer-does-not-begin-with-a-token")
        return len(asked), ids.index(self.stop, len(asked)) + 1


def tokens_of(tokenizer: Any, messages: Sequence[Message], asks: bool = False) -> list[int]:
    """What the chat template of a tokenizer makes of a conversation; raises Unfit where it refuses it."""
    from jinja2 import TemplateError

    try:
        tokens: list[int] = tokenizer.apply_chat_template(
            [dict(message) for message in messages], add_generation_prompt=asks, tokenize=True, return_dict=False
        )
    except (TemplateError, TypeError, ValueError) as problem:
        raise Unfit("refused-by-the-chat-template") from problem
    return tokens


def special_tokens(tokenizer: Any) -> dict[int, str]:
    """The special tokens of a tokenizer, and their texts."""
    return {number: token.content for number, token in tokenizer.added_tokens_decoder.items() if token.special}


def messages_of(value: Any, column: str) -> list[Message]:
    """The messages in a column: a list of {"role", "content"} or of {"from", "value"}, as OpenAI and ShareGPT write them.

    A system message may come first; then user and assistant take turns, and the user begins. Raises Unfit.
    """
    if not isinstance(value, list) or not value:
        raise Unfit(f"{column}-is-no-conversation")
    messages = [message_of(item) for item in value]
    if messages[0]["role"] == "system" and not messages[0]["content"]:
        del messages[0]
    turns = messages[1:] if messages and messages[0]["role"] == "system" else messages
    if not turns or any(turn["role"] != ("user", "assistant")[number % 2] for number, turn in enumerate(turns)):
        raise Unfit("turns-do-not-alternate")
    for turn in turns:
        if not turn["content"]:
            raise Unfit("empty-answer" if turn["role"] == "assistant" else "empty-question")
    return messages


def message_of(value: Any) -> Message:
    """One message, without the blanks around it; raises Unfit."""
    if not isinstance(value, Mapping):
        raise Unfit("message-is-no-object")
    role = ROLES.get(str(value.get("role", value.get("from"))))
    content = value.get("content", value.get("value"))
    if role is None:
        raise Unfit("unknown-role")
    if not isinstance(content, str):
        raise Unfit("message-is-no-text")
    return said(role, content.strip())


def check_converses(reader: "Reader") -> None:
    """Raise RequestError for a checkpoint that cannot learn to answer: it writes no text, or its chat template ends no answer."""
    if reader.kind != "decoder":
        raise RequestError(f"{reader.folder} holds an {reader.kind}, which does not continue texts: name the checkpoint of a decoder")
    Chat.of(reader.tokenizer)


def end_answers(model: Any, reader: "Reader") -> None:
    """Let whatever draws from a model stop where an answer ends."""
    named = model.generation_config.eos_token_id
    before = named if isinstance(named, list) else [named]
    ends = list(dict.fromkeys([reader.chat.stop, *(token for token in before if token is not None)]))
    model.generation_config.eos_token_id = ends if len(ends) > 1 else ends[0]


def check_some_fit(said: Sequence[Any]) -> None:
    """Raise RunError where no validation example could be asked about, so that nothing would say which weights are best."""
    if all("unfit" in each for each in said):
        raise RunError(f"none of {len(said)} validation examples fits the model ({said[0]['unfit']}): raise context, or give shorter ones")
