"""Why a model said this: each of its answers with the probability of it and of others, and what it owes to each token that was read.

A decoder's and an encoder-decoder's answers are the tokens that it writes, an encoder's those in place of masks, a classifier's its label.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from inspect import signature
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import RequestError
from pipeline.inference.attention import Attention, attention
from pipeline.inference.explanation import MOST_ANSWERS, MOST_READ, Answer, Asking, Choice, Explanation
from pipeline.inference.hidden_states import CLASSIFIER, context_of, one_thread, opened_by
from pipeline.inference.importance import importance
from pipeline.inference.opening import beginning, open_model, open_tokenizer
from pipeline.inference.pieces import Piece, pieces

if TYPE_CHECKING:
    from torch import Tensor

ALTERNATIVES = 8
EXPLAINED = (CLASSIFIER, "ForCausalLM", "LMHeadModel", "ForMaskedLM", "ForConditionalGeneration")
"""How the classes of such models end."""


@dataclass(frozen=True)
class _Question:
    """A place of which the answer is asked, after what was read and written."""

    read: list[int]
    written: list[int]
    place: int
    answer: int


def explain_answers(folder: Path, asking: Asking) -> Explanation:
    """The answers of the checkpoint in a folder to a prompt; raises RequestError for a prompt or target that it cannot be asked."""
    kind = opened_by(folder)
    if not kind.endswith(EXPLAINED):
        raise RequestError(f"{folder} holds a {kind}, whose answers are not explained: name a decoder, an encoder or a text classifier")
    model, tokenizer = open_model(folder, kind).float(), open_tokenizer(folder)
    if _attends(model):
        model.set_attn_implementation("eager")
    with one_thread():
        return _family(kind, model)(model, tokenizer, asking, folder).explanation()


def _attends(model: Any) -> bool:
    return hasattr(model.config, "num_attention_heads")


def _family(kind: str, model: Any) -> "type[_Asked]":
    if kind.endswith(CLASSIFIER):
        return _Classifier
    if model.config.is_encoder_decoder:
        return _EncoderDecoder
    return _Encoder if kind.endswith("ForMaskedLM") else _Decoder


class _Asked:
    """A model that is asked; the families differ in what is asked of them."""

    kind = ""

    def __init__(self, model: Any, tokenizer: Any, asking: Asking, folder: Path) -> None:
        self.model, self.tokenizer, self.asking, self.folder = model, tokenizer, asking, folder
        self.context = min(context_of(model, tokenizer), MOST_READ)
        self.read = self._prompt()
        self._fits(len(self.read))

    def explanation(self) -> Explanation:
        """All answers; the likeliest that depend on one another are found one after the other."""
        questions = list(self._questions())
        read = max((question.read for question in questions), key=len)
        return Explanation(
            tuple(pieces(self.tokenizer, [*read, *self._last(questions)])),
            len(self.read),
            tuple(self._answers(questions)),
            self.kind,
            self._attention(read),
        )

    def _prompt(self) -> list[int]:
        ids: list[int] = self.tokenizer(self.asking.prompt, verbose=False)["input_ids"]
        return ids

    def _target(self) -> list[int] | None:
        if self.asking.target is None:
            return None
        ids: list[int] = self.tokenizer(self.asking.target, add_special_tokens=False, split_special_tokens=True)["input_ids"]
        if not 1 <= len(ids) <= MOST_ANSWERS:
            raise RequestError(f"--target has {len(ids)} tokens: give one of 1 to {MOST_ANSWERS}")
        return ids

    def _fits(self, count: int) -> None:
        if count > self.context:
            raise RequestError(
                f"what is to be read has {count:,} tokens, and of the model in {self.folder} at most {self.context:,} are explained:"
                " shorten --prompt or --target"
            )

    def _questions(self) -> Iterator[_Question]:
        raise NotImplementedError

    def _last(self, questions: Sequence[_Question]) -> list[int]:  # noqa: ARG002 - most read all that they are asked about
        """What was written last, and so is read by no question."""
        return []

    def _row(self, question: _Question) -> int | None:
        return question.place

    def _logits(self, tokens: "Tensor", written: list[int], place: int) -> "Tensor":  # noqa: ARG002 - but for encoder-decoders
        """The logits [S, V] of the answer at a place, for rows of tokens [S, T]."""
        import torch

        logits: Tensor = self.model(tokens, attention_mask=torch.ones_like(tokens)).logits[:, place]
        return logits

    def _chances(self, read: list[int], written: list[int], place: int) -> "Tensor":
        """The log-probability [V] of every answer at a place."""
        import torch

        with torch.no_grad():
            return self._logits(torch.tensor([read], device=self.model.device), written, place)[0].log_softmax(dim=-1)

    def _pieces(self, ids: Sequence[int]) -> list[Piece]:
        return [piece for token in ids for piece in pieces(self.tokenizer, [token])]

    def _answers(self, questions: Sequence[_Question]) -> Iterator[Answer]:
        said = self._said([question.answer for question in questions])
        embedding = (self.model.get_encoder() if self.model.config.is_encoder_decoder else self.model).get_input_embeddings()
        special = set(self.tokenizer.all_special_ids)
        for question, piece in zip(questions, said, strict=True):
            chances = self._chances(question.read, question.written, question.place)
            likeliest = chances.topk(min(ALTERNATIVES, len(chances)))
            others = zip(self._pieces(likeliest.indices.tolist()), likeliest.values.exp().tolist(), strict=True)
            fixed = [token in special for token in question.read]
            owed = importance(embedding, question.read, fixed, self._answer(question), self.asking.points)
            chosen = Choice(piece, float(chances[question.answer].exp()))
            yield Answer(chosen, tuple(Choice(*other) for other in others), owed, self._row(question))

    def _said(self, answers: Sequence[int]) -> list[Piece]:
        """The answers as pieces; those that are one text together."""
        return pieces(self.tokenizer, answers)

    def _answer(self, question: _Question) -> "Callable[[Tensor], Tensor]":
        return lambda tokens: self._logits(tokens, question.written, question.place).log_softmax(dim=-1)[:, question.answer]

    def _attention(self, read: list[int]) -> Attention | None:
        import torch

        if not _attends(self.model):
            return None
        with torch.no_grad():
            found = self._reader()(torch.tensor([read], device=self.model.device), output_attentions=True)
        return attention(found.get("attentions") or found.get("encoder_attentions") or ())

    def _reader(self) -> Any:
        return self.model

    def _written(self, read: "Callable[[list[int]], tuple[list[int], list[int], int]]", ends: set[int]) -> Iterator[_Question]:
        """One question a token that is written: the target's, or the likeliest until the text ends."""
        target, written = self._target(), list[int]()
        for number in range(self.asking.new_tokens if target is None else len(target)):
            before = read(written)
            answer = int(self._chances(*before).argmax()) if target is None else target[number]
            yield _Question(*before, answer)
            if target is None and answer in ends:
                return
            written.append(answer)


class _Decoder(_Asked):
    """It goes on from the prompt, up to the end of its context."""

    kind = "decoder"

    def _prompt(self) -> list[int]:
        ids, begin = super()._prompt(), beginning(self.model)
        return ids if ids[:1] == [begin] else [begin, *ids]

    def _questions(self) -> Iterator[_Question]:
        self._fits(len(self.read) + len(self._target() or [0]) - 1)
        written = self._written(lambda before: ([*self.read, *before], [], len(self.read) + len(before) - 1), self._ends())
        return islice(written, self.context - len(self.read) + 1)

    def _logits(self, tokens: "Tensor", written: list[int], place: int) -> "Tensor":  # noqa: ARG002 - what is read ends at the place
        """Of the last token alone, where the model can leave out the others: vocabularies are large."""
        import torch

        last = {"logits_to_keep": 1} if "logits_to_keep" in signature(self.model.forward).parameters else {}
        logits: Tensor = self.model(tokens, attention_mask=torch.ones_like(tokens), **last).logits[:, -1]
        return logits

    def _last(self, questions: Sequence[_Question]) -> list[int]:
        return [questions[-1].answer]

    def _ends(self) -> set[int]:
        ends = self.model.generation_config.eos_token_id
        return set(ends if isinstance(ends, list) else [ends])


class _EncoderDecoder(_Asked):
    """It reads the prompt, and writes what belongs into its gaps."""

    kind = "encoder-decoder"

    def _questions(self) -> Iterator[_Question]:
        begin = self.model.config.decoder_start_token_id
        ends = {self.model.config.eos_token_id}
        return self._written(lambda written: (self.read, [begin, *written], len(written)), ends)

    def _row(self, question: _Question) -> int | None:  # noqa: ARG002 - what is written is in no row of what is read
        return None

    def _logits(self, tokens: "Tensor", written: list[int], place: int) -> "Tensor":
        import torch

        given = torch.tensor([written], device=tokens.device).expand(len(tokens), -1)
        logits: Tensor = self.model(input_ids=tokens, attention_mask=torch.ones_like(tokens), decoder_input_ids=given).logits[:, place]
        return logits

    def _reader(self) -> Any:
        return self.model.get_encoder()


class _Encoder(_Asked):
    """It says what stands in place of each mask."""

    kind = "encoder"

    def _prompt(self) -> list[int]:
        mask = self.tokenizer.mask_token
        if mask is None or mask not in self.asking.prompt:
            raise RequestError(f"--prompt is {self.asking.prompt!r}, and the model in {self.folder} says what is hidden: put {mask} where")
        return super()._prompt()

    def _questions(self) -> Iterator[_Question]:
        places = [place for place, token in enumerate(self.read) if token == self.tokenizer.mask_token_id]
        target = self._target()
        if target is not None and len(target) != len(places):
            raise RequestError(f"--target has {len(target)} tokens, and --prompt {len(places)} masks: give a token for each mask")
        for number, place in enumerate(places):
            answer = int(self._chances(self.read, [], place).argmax()) if target is None else target[number]
            yield _Question(self.read, [], place, answer)

    def _said(self, answers: Sequence[int]) -> list[Piece]:
        return self._pieces(answers)


class _Classifier(_Asked):
    """It gives the text a label."""

    kind = "classifier"

    def _questions(self) -> Iterator[_Question]:
        labels = self._labels()
        if self.asking.target is not None and self.asking.target not in labels:
            raise RequestError(f"--target is {self.asking.target!r}, and the labels of {self.folder} are {', '.join(labels)}: name one")
        chances = self._chances(self.read, [], 0)
        yield _Question(self.read, [], 0, int(chances.argmax()) if self.asking.target is None else labels.index(self.asking.target))

    def _labels(self) -> list[str]:
        named = self.model.config.id2label
        return [str(named[number]) for number in sorted(named)]

    def _logits(self, tokens: "Tensor", written: list[int], place: int) -> "Tensor":  # noqa: ARG002 - one answer a text
        import torch

        logits: Tensor = self.model(tokens, attention_mask=torch.ones_like(tokens)).logits
        return logits

    def _row(self, question: _Question) -> int | None:  # noqa: ARG002 - see the pooling of its class
        return None

    def _said(self, answers: Sequence[int]) -> list[Piece]:
        return self._pieces(answers)

    def _pieces(self, ids: Sequence[int]) -> list[Piece]:
        labels = self._labels()
        return [Piece(labels[number]) for number in ids]
