"""Tokens drawn from a model for several texts at once, as many steps as the longest takes.

B rows, T tokens, V vocabulary
"""
# ruff: noqa: N803, N806 - shape letters are capitals

import inspect
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, field
from random import Random
from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from pipeline.errors import RunError
from pipeline.inference.generation import Ended, Sampling
from pipeline.inference.growing import GrowingText


@dataclass(eq=False)
class Row:
    """A text that is being written."""

    before: list[int]
    """What the next token is drawn after."""
    text: GrowingText
    chance: Random
    read: list[int] = field(default_factory=list)
    """What an encoder reads."""
    drawn: list[int] = field(default_factory=list)
    ended: Ended | None = None

    def take(self, token: int, ends: Collection[int], most: int) -> None:
        """One more token, and whether it is the last: one that ends a text is no part of it."""
        if token in ends:
            self.ended = "end"
        else:
            self.before.append(token)
            self.drawn.append(token)
            self.text.add(token)
            if len(self.drawn) == most:
                self.ended = "length"
        if self.ended:
            self.text.finish()
        if self.text.stopped:
            self.ended = "stop"


def draw(model: Any, rows: Sequence[Row], sampling: Sampling, ends: Collection[int]) -> Iterator[None]:
    """Draw a token for every row that has not ended, again and again; yields after each step, until all have ended.

    What was read so far is kept. It is read anew, by the rows that go on, where a row is as long as the model's context and goes on
    from its last half, and where half of the rows have ended.
    """
    context = getattr(model.config, "max_position_embeddings", None)
    while waiting := [row for row in rows if row.ended is None]:
        for row in waiting:
            if context and len(row.before) >= context:
                row.before = row.before[-max(1, context // 2) :]
        inputs, goes_on = _inputs(model, waiting), True
        while goes_on:
            with torch.inference_mode():
                output = model(**inputs, use_cache=True)
                chosen_B = choose(output.logits[:, -1].float(), [row.chance.random() for row in waiting], sampling)
            for row, token in zip(waiting, chosen_B.tolist(), strict=True):
                if row.ended is None:
                    row.take(token, ends, sampling.max_new_tokens)
            yield
            going = [row for row in waiting if row.ended is None]
            full = context and any(len(row.before) >= context for row in going)
            kept = getattr(output, "past_key_values", None)
            goes_on = 2 * len(going) > len(waiting) and not full and kept is not None
            inputs = {**_next(inputs, chosen_B), "past_key_values": kept}


def choose(logits_BV: Tensor, chances: Sequence[float], sampling: Sampling) -> Tensor:
    """A token [B] for each row. Raises RunError where the logits are not finite.

    Tokens are ordered by their logits, cut to the likeliest, and the one is taken in which the row's chance (from 0 to 1) falls
    on the sums of their probabilities. So a token depends on its row alone, and hardly on how its logits were rounded.
    """
    if not logits_BV.amax(dim=-1).isfinite().all():
        raise RunError("the model's logits are not finite, so nothing can be drawn: its weights are damaged, or training diverged")
    if sampling.temperature == 0:
        return logits_BV.argmax(dim=-1)
    vocabulary = logits_BV.shape[-1]
    logits_BK, tokens_BK = logits_BV.topk(min(sampling.top_k or vocabulary, vocabulary))
    shares_BK = functional.softmax((logits_BK.double() - logits_BK[:, :1]) / sampling.temperature, dim=-1)
    before_BK = shares_BK.cumsum(dim=-1) - shares_BK
    sums_BK = (shares_BK * (before_BK < sampling.top_p)).cumsum(dim=-1)
    chances_B1 = torch.tensor(chances, dtype=torch.float64, device=logits_BV.device)[:, None]
    places_B1 = (sums_BK[:, :-1] <= chances_B1 * sums_BK[:, -1:]).sum(dim=-1, keepdim=True)
    return tokens_BK.gather(1, places_B1)[:, 0]


def _inputs(model: Any, rows: Sequence[Row]) -> dict[str, Any]:
    """What a model is called with for rows from their beginning: filled up on the left, so that all end together.

    An encoder's are filled up on the right, where its positions are those of the text alone; its decoder's rows are equally long.
    """
    if model.config.is_encoder_decoder:
        read_BT, mask_BT = _filled([row.read for row in rows], model.device, left=False)
        with torch.inference_mode():
            encoded = model.get_encoder()(input_ids=read_BT, attention_mask=mask_BT)
        decoded_BT, _ = _filled([row.before for row in rows], model.device, left=True)
        return {"encoder_outputs": encoded, "attention_mask": mask_BT, "decoder_input_ids": decoded_BT}
    tokens_BT, mask_BT = _filled([row.before for row in rows], model.device, left=True)
    inputs: dict[str, Any] = {"input_ids": tokens_BT, "attention_mask": mask_BT}
    taken = inspect.signature(model.forward).parameters
    if "position_ids" in taken or any(parameter.kind is parameter.VAR_KEYWORD for parameter in taken.values()):
        inputs["position_ids"] = (mask_BT.cumsum(dim=-1) - 1).clamp(min=0)
    return inputs | ({"logits_to_keep": 1} if "logits_to_keep" in taken else {})


def _filled(rows: Sequence[list[int]], device: Any, left: bool) -> tuple[Tensor, Tensor]:
    """Tokens [B, T] of rows that are filled up to the longest, and the mask of what is theirs."""
    longest = max(map(len, rows))
    tokens_BT, mask_BT = torch.zeros(2, len(rows), longest, dtype=torch.long)
    for number, row in enumerate(rows):
        own = slice(longest - len(row), None) if left else slice(len(row))
        tokens_BT[number, own], mask_BT[number, own] = torch.tensor(row, dtype=torch.long), 1
    return tokens_BT.to(device), mask_BT.to(device)


def _next(inputs: dict[str, Any], chosen_B: Tensor) -> dict[str, Any]:
    """What a model is called with for the tokens that were chosen last."""
    if "decoder_input_ids" in inputs:
        return {**inputs, "decoder_input_ids": chosen_B[:, None]}
    mask_BT = functional.pad(inputs["attention_mask"], (0, 1), value=1)
    positions = {"position_ids": inputs["position_ids"][:, -1:] + 1} if "position_ids" in inputs else {}
    return {**inputs, "input_ids": chosen_B[:, None], "attention_mask": mask_BT, **positions}
