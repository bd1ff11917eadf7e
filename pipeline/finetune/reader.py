"""How a checkpoint reads texts: its tokenizer, the tokens that stand around a text, and how much fits."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from pipeline.errors import RequestError
from pipeline.inference.opening import open_tokenizer

if TYPE_CHECKING:
    from pipeline.finetune.base import FinetuneTask
    from pipeline.finetune.conversation import Chat

Kind = Literal["encoder", "decoder", "encoder-decoder"]
UNBOUNDED = 1 << 20
"""A model without a greatest length has this one."""


class Pieces(NamedTuple):
    """The tokens of a text, and the characters that each stands for, as [begin, end)."""

    ids: list[int]
    spans: list[tuple[int, int]]


class Fitted(NamedTuple):
    """Tokens as a model is shown them, and whether some were left out."""

    ids: list[int]
    truncated: bool


@dataclass(frozen=True)
class Reader:
    """The tokenizer of a checkpoint in `folder`, and the labels that its task has."""

    folder: Path
    labels: tuple[str, ...] = ()
    context: int | None = None
    """Greatest number of tokens; None: what the model allows."""

    @cached_property
    def tokenizer(self) -> Any:
        """The tokenizer, which puts around a text what this reader does."""
        tokenizer = self._found
        if (padding := self._padding(tokenizer)) is not None:
            tokenizer.pad_token = padding
        tokenizer.backend_tokenizer.no_truncation()
        tokenizer.backend_tokenizer.no_padding()
        tokenizer.backend_tokenizer.post_processor = self._template(tokenizer)
        return tokenizer

    @cached_property
    def kind(self) -> Kind:
        """Whether it sees a text from both sides, from the left, or reads one and writes another."""
        from transformers.models.auto.modeling_auto import MODEL_FOR_MASKED_LM_MAPPING_NAMES

        if self._config.get("is_encoder_decoder"):
            return "encoder-decoder"
        return "encoder" if self._config.get("model_type") in MODEL_FOR_MASKED_LM_MAPPING_NAMES else "decoder"

    @cached_property
    def family(self) -> str:
        """The name that transformers has for its kind of model."""
        return str(self._config.get("model_type"))

    @cached_property
    def chat(self) -> "Chat":
        """How it reads conversations; the tokenizer gets a chat template where it has none."""
        from pipeline.finetune.conversation import Chat

        return Chat.of(self.tokenizer)

    @cached_property
    def room(self) -> int:
        """Tokens that fit, with those around a text."""
        return min(self._allowed or UNBOUNDED, self.context or UNBOUNDED)

    @property
    def _allowed(self) -> int | None:
        """The most that the model reads, where it has learned its positions one by one or says so."""
        return self._config.get("max_position_embeddings") or self._config.get("n_positions")

    @cached_property
    def begin(self) -> list[int]:
        """What stands before a text."""
        return [] if self.kind == "encoder-decoder" else [self._id("cls_token", "bos_token", "eos_token")]

    @cached_property
    def between(self) -> list[int]:
        """What stands between two texts."""
        return self.end or self.begin

    @cached_property
    def end(self) -> list[int]:
        """What stands after a text that is read; one that is written ends with `stop`."""
        return [] if self.kind == "decoder" else [self._id("sep_token", "eos_token", "bos_token")]

    @cached_property
    def stop(self) -> int:
        """The token that ends a text that is written."""
        return self._id("eos_token", "sep_token", "bos_token")

    @cached_property
    def padding(self) -> int:
        """What fills up rows that are shorter than others."""
        return int(self.tokenizer.pad_token_id)

    def check(self, task: "FinetuneTask") -> None:
        """Raise RequestError where the checkpoint is none that the task can be learned by, or reads fewer tokens than it is to."""
        import transformers

        import pipeline.models.lstm_checkpoint  # noqa: F401 - transformers has no LSTM, and knows ours by this import

        if self._allowed is not None and self.context is not None and self.context > self._allowed:
            raise RequestError(f"context is {self.context} tokens, and the model in {self.folder} reads {self._allowed}: use no more")
        opener = task.opener(self.kind)
        known = {kind.model_type for kind in getattr(transformers, opener)._model_mapping}
        if self._config.get("model_type") not in known:
            raise RequestError(
                f"{self.folder} holds a model of type {self._config.get('model_type')!r}, which cannot learn {task.name}"
                f" (transformers has no {opener.removeprefix('AutoModel')} of it): name a checkpoint of another kind"
            )
        task.check(self)
        tokens = len(self.tokenizer)
        if tokens > self._config.get("vocab_size", tokens):
            raise RequestError(
                f"the tokenizer in {self.folder} has {tokens} tokens, and the model {self._config['vocab_size']}: name the folder of a"
                " checkpoint with the tokenizer that it was trained with"
            )

    def pieces(self, text: str) -> Pieces:
        """The tokens of plain text: what looks like a special token in it is text too."""
        encoding = self._plain.encode(text, add_special_tokens=False)
        return Pieces(encoding.ids, encoding.offsets)

    def single(self, text: str) -> Fitted:
        """A text as it is shown, cut at its end where it does not fit."""
        ids = self.pieces(text).ids
        room = self.room - len(self.begin) - len(self.end)
        return Fitted([*self.begin, *ids[:room], *self.end], len(ids) > room)

    def pair(self, first: str, second: str) -> Fitted:
        """Two texts as they are shown; where they do not fit, the longer one is cut."""
        left, right = self.pieces(first).ids, self.pieces(second).ids
        room = self.room - len(self.begin) - len(self.between) - len(self.end)
        kept = len(left), len(right)
        over = max(0, sum(kept) - room)
        while over:
            cut = min(over, max(1, abs(kept[0] - kept[1])))
            kept = (kept[0] - cut, kept[1]) if kept[0] >= kept[1] else (kept[0], kept[1] - cut)
            over -= cut
        ids = [*self.begin, *left[: kept[0]], *self.between, *right[: kept[1]], *self.end]
        return Fitted(ids, kept != (len(left), len(right)))

    @cached_property
    def _found(self) -> Any:
        """The tokenizer as it lies in the folder."""
        return open_tokenizer(self.folder)

    def _padding(self, tokenizer: Any) -> str | None:
        """The token to fill up with, where it is not the one that the tokenizer names: an encoder-decoder finds the end by its token."""
        if self.kind != "encoder-decoder" or tokenizer.pad_token_id not in (None, self.stop):
            return None if tokenizer.pad_token_id is not None else str(tokenizer.eos_token)
        others = [token for number, token in tokenizer.added_tokens_decoder.items() if token.special and number != self.stop]
        if not others:
            raise RequestError(f"the tokenizer in {self.folder} has no token to fill up with but the one that ends a text: set pad_token")
        return str(others[-1].content)

    @cached_property
    def _config(self) -> dict[str, Any]:
        config: dict[str, Any] = json.loads((self.folder / "config.json").read_bytes())
        return config

    @cached_property
    def _plain(self) -> Any:
        from tokenizers import Tokenizer

        plain = Tokenizer.from_str(self.tokenizer.backend_tokenizer.to_str())
        plain.encode_special_tokens = True
        return plain

    def _id(self, *roles: str) -> int:
        """The id of the first token with one of these roles."""
        for role in roles:
            if (token := getattr(self._found, f"{role}_id")) is not None:
                return int(token)
        raise RequestError(f"the tokenizer in {self.folder} has no {', '.join(roles)}: name one in its tokenizer_config.json")

    def _template(self, tokenizer: Any) -> Any:
        """The same around a text, for whoever opens the tokenizer."""
        from tokenizers.processors import TemplateProcessing

        def named(ids: Sequence[int]) -> list[str]:
            return tokenizer.convert_ids_to_tokens(list(ids))  # type: ignore[no-any-return]

        before, within, after = named(self.begin), named(self.between), named(self.end)
        tokens = [(token, tokenizer.convert_tokens_to_ids(token)) for token in {*before, *within, *after}]
        return TemplateProcessing(
            single=[*before, "$A", *after], pair=[*before, "$A", *within, "$B", *after], special_tokens=sorted(tokens)
        )


def labels_for(folder: Path, wanted: Sequence[str]) -> tuple[str, ...]:
    """The labels of a task in the order of a head that the checkpoint has for them already, or else of their names.

    Raises RequestError where the checkpoint has labels of its own, and not these.
    """
    config = json.loads((folder / "config.json").read_bytes())
    named = config.get("id2label") or {}
    known = tuple(label for _, label in sorted(named.items(), key=lambda item: int(item[0])))
    if not known or not wanted or all(label == f"LABEL_{number}" for number, label in enumerate(known)):
        return tuple(sorted(wanted))
    unknown = sorted(set(wanted) - set(known))
    if unknown:
        raise RequestError(
            f"the label {unknown[0]!r} is unknown to the checkpoint in {folder}, which knows {', '.join(known)}:"
            " use its labels, or begin from a checkpoint without a head, such as a pretrained one"
        )
    return known
