"""What a model makes of texts inside: the hidden states of any checkpoint, decoder, encoder, encoder-decoder or LSTM.

B windows, T tokens, D width
"""
# ruff: noqa: N806 - shape letters are capitals

import json
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import RequestError
from pipeline.inference.opening import CAUSAL, open_model, open_tokenizer
from pipeline.models.lstm import MODEL_TYPE

CLASSIFIER = "ForSequenceClassification"
LARGEST_CONTEXT = 4096
"""A foreign model may allow more than memory does."""
TOKENS_AT_ONCE = 1 << 13
"""Tokens of a batch, padding counted."""


@dataclass(frozen=True)
class Window:
    """The tokens of a text, or a part of them: what the folder's tokenizer makes of it, its special tokens included."""

    owner: int
    """The number of the text."""
    tokens: list[int]


class HiddenStates:
    """A model without its head, asked for the states of one layer; raises RequestError for a folder or a layer that is none.

    `layer` counts from 0, the embedding, or from the end: -1 is the last layer, after the model's last norm.
    """

    def __init__(self, folder: Path, layer: int = -1) -> None:
        self.tokenizer = open_tokenizer(folder)
        model = open_model(folder, opened_by(folder))
        self.context = context_of(model, self.tokenizer)
        self.device = model.device
        self.body = model.get_encoder() if model.config.is_encoder_decoder else model.base_model
        self.recurrent = _recurrent(model.config)
        self.layer = _layer(model.config, layer, folder)

    def windows(self, texts: Sequence[str]) -> list[list[Window]]:
        """Each text in windows of the context. What looks like a special token in a text is text too."""
        self.tokenizer.truncation_side = "right"
        encoded = self.tokenizer(
            list(texts),
            split_special_tokens=True,
            truncation=True,
            max_length=self.context,
            return_overflowing_tokens=True,
            return_attention_mask=False,
            return_token_type_ids=False,
            verbose=False,
        )
        found: list[list[Window]] = [[] for _ in texts]
        for owner, tokens in zip(encoded["overflow_to_sample_mapping"], encoded["input_ids"], strict=True):
            if tokens:
                found[owner].append(Window(owner, tokens))
        return found

    def states(self, windows: Sequence[Window]) -> list[NDArray[np.float32]]:
        """The states [T, D] of each window. Windows of like length are taken together.

        Which windows these are changes the states by rounding alone: of a model in fp32, by some millionths of the largest state.
        """
        import torch

        found: list[Any] = [None] * len(windows)
        with torch.inference_mode(), one_thread():
            for places in _batches([len(window.tokens) for window in windows]):
                batch = self._states([windows[place].tokens for place in places])
                for row, place in enumerate(places):
                    found[place] = batch[row, : len(windows[place].tokens)].copy()
        return found

    def _states(self, rows: Sequence[list[int]]) -> NDArray[np.float32]:
        """States [B, T, D] of rows that are filled up behind, where no token sees it."""
        import torch

        length = max(map(len, rows))
        filling = self.tokenizer.pad_token_id or 0
        tokens_BT = torch.tensor([[*row, *[filling] * (length - len(row))] for row in rows], device=self.device)
        if self.recurrent:
            states_BTD = self.body(tokens_BT)[0]
        else:
            mask_BT = torch.tensor([[1] * len(row) + [0] * (length - len(row)) for row in rows], device=self.device)
            layers = self.body(input_ids=tokens_BT, attention_mask=mask_BT, output_hidden_states=True, return_dict=True).hidden_states
            states_BTD = layers[self.layer]
        states: NDArray[np.float32] = states_BTD.float().cpu().numpy()
        return states


def check_states(folder: Path, layer: int) -> None:
    """Raise RequestError for a folder without configuration or tokenizer, or a layer that its model does not have; weights are not read."""
    from transformers import AutoConfig

    import pipeline.models.lstm_checkpoint  # noqa: F401 - transformers knows our LSTM by this import

    try:
        config = AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    except (OSError, ValueError, KeyError) as problem:
        raise RequestError(f"{folder} has no config.json that transformers knows ({' '.join(str(problem).split())[:200]})") from problem
    _layer(config, layer, folder)
    open_tokenizer(folder)


def _recurrent(config: Any) -> bool:
    return bool(config.model_type == MODEL_TYPE)


def _layer(config: Any, layer: int, folder: Path) -> int:
    """The number of a layer that may be counted from the end."""
    depth = config.num_hidden_layers
    if _recurrent(config) and layer not in (-1, depth):
        raise RequestError(f"layer is {layer}, and an LSTM as in {folder} gives its last layer alone: use -1")
    if not -depth - 1 <= layer <= depth:
        raise RequestError(f"layer is {layer}, and the model in {folder} has {depth} layers: use {-depth - 1} to {depth}")
    return int(layer if layer >= 0 else depth + 1 + layer)


def opened_by(folder: Path) -> str:
    """The class of transformers that has all weights of a folder: the one that its config.json names, where transformers has it.

    Of a model of ours that is no decoder, the class that opens all of its kind.
    """
    import transformers

    try:
        named = json.loads((folder / "config.json").read_bytes())["architectures"][0]
    except (OSError, ValueError, KeyError, IndexError, TypeError):  # whoever opens it says what is wrong
        return CAUSAL
    kind = getattr(transformers, named, None) if isinstance(named, str) else None
    if isinstance(kind, type) and issubclass(kind, transformers.PreTrainedModel):
        return str(named)
    return f"AutoModel{CLASSIFIER}" if str(named).endswith(CLASSIFIER) else CAUSAL


def context_of(model: Any, tokenizer: Any) -> int:
    """The greatest number of tokens that a model takes, as far as memory is sure to hold it."""
    greatest = getattr(model.config, "max_position_embeddings", None) or LARGEST_CONTEXT
    return int(min(greatest, tokenizer.model_max_length, LARGEST_CONTEXT))


def _batches(lengths: Sequence[int]) -> Iterator[list[int]]:
    """The places of windows, the shortest first, in batches of at most TOKENS_AT_ONCE tokens."""
    batch: list[int] = []
    for place in sorted(range(len(lengths)), key=lambda place: lengths[place]):
        if batch and (len(batch) + 1) * lengths[place] > TOKENS_AT_ONCE:
            yield batch
            batch = []
        batch.append(place)
    if batch:
        yield batch


@contextmanager
def one_thread() -> Iterator[None]:
    """Sums are cut up by the number of threads, so with several the last bits would depend on the machine's cores."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
