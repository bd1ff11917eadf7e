"""Text from a checkpoint."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pipeline.errors import RequestError

if TYPE_CHECKING:
    from torch import Tensor


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """How text is drawn."""

    max_new_tokens: int = 128
    """Greatest number of tokens that are drawn."""
    temperature: float = 0.8
    """Below 1 favours likely tokens; 0 always takes the likeliest."""
    top_k: int = 50
    """Draw from so many of the likeliest tokens; 0: from all."""
    top_p: float = 0.95
    """Draw from the likeliest tokens that together have this probability (nucleus sampling; Holtzman and others, 2020)."""
    seed: int = 0

    def __post_init__(self) -> None:
        if self.max_new_tokens < 1:
            raise RequestError(f"max_new_tokens is {self.max_new_tokens}: draw at least 1")
        if not 0 <= self.temperature < float("inf"):
            raise RequestError(f"temperature is {self.temperature}: use 0 (the likeliest token) or more")
        if self.top_k < 0:
            raise RequestError(f"top_k is {self.top_k}: use 0 (all tokens) or more")
        if not 0 < self.top_p <= 1:
            raise RequestError(f"top_p is {self.top_p}: use more than 0, and at most 1")

    @property
    def options(self) -> dict[str, Any]:
        """The same in the words of transformers' `generate`."""
        if self.temperature == 0:
            return {"do_sample": False}
        return {"do_sample": True, "temperature": self.temperature, "top_k": self.top_k, "top_p": self.top_p}


def generate(folder: Path, prompts: Sequence[str], sampling: Sampling, sequences: int = 1) -> list[list[str]]:
    """`sequences` continuations of each prompt, without the prompt, by the checkpoint in `folder`.

    The texts of a prompt depend on it and on the seed alone, not on the other prompts. A text may grow longer than the
    model's context: it then goes on from its last half. Raises RequestError for a folder that is no checkpoint.
    """
    import torch

    from pipeline.inference.opening import open_model, open_tokenizer

    if sequences < 1:
        raise RequestError(f"sequences is {sequences}: draw at least 1")
    model, tokenizer = open_model(folder), open_tokenizer(folder)
    texts = []
    with torch.random.fork_rng():
        for prompt in prompts:
            torch.manual_seed(sampling.seed)
            drawn = _draw(model, _begun(model, tokenizer, prompt).repeat(sequences, 1), sampling)
            texts.append([tokenizer.decode(row, skip_special_tokens=True) for row in drawn])
    return texts


def _begun(model: Any, tokenizer: Any, prompt: str) -> "Tensor":
    """The prompt's tokens [1, T], after the token that texts begin with."""
    import torch

    from pipeline.inference.opening import beginning

    ids, begin = tokenizer(prompt)["input_ids"], beginning(model)
    return torch.tensor([ids if ids[:1] == [begin] else [begin, *ids]], device=model.device)


def _draw(model: Any, tokens: "Tensor", sampling: Sampling) -> "list[list[int]]":
    """New tokens of each row, up to the end of its text."""
    import torch

    context = getattr(model.config, "max_position_embeddings", None) or tokens.shape[1] + sampling.max_new_tokens
    ends = model.generation_config.eos_token_id
    ends = ends if isinstance(ends, list) else [ends]
    drawn = tokens[:, :0]
    while drawn.shape[1] < sampling.max_new_tokens and not _ended(drawn, ends):
        if tokens.shape[1] >= context:
            tokens = tokens[:, -max(1, context // 2) :]
        count = min(context - tokens.shape[1], sampling.max_new_tokens - drawn.shape[1])
        length = tokens.shape[1]
        tokens = model.generate(tokens, attention_mask=torch.ones_like(tokens), max_new_tokens=count, **sampling.options)
        drawn = torch.cat((drawn, tokens[:, length:]), dim=1)
    return [_up_to(row, ends) for row in drawn.tolist()]


def _ended(drawn: "Tensor", ends: list[int | None]) -> bool:
    return drawn.shape[1] > 0 and all(any(token in ends for token in row) for row in drawn.tolist())


def _up_to(row: list[int], ends: list[int | None]) -> list[int]:
    return row[: next((place for place, token in enumerate(row) if token in ends), len(row))]
