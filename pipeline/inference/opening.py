"""Opening a checkpoint: any folder that transformers opens, ours or a foreign one; data only, never code."""

import json
from pathlib import Path
from typing import Any, Literal

from pipeline.errors import RequestError

CAUSAL = "AutoModelForCausalLM"


def open_model(folder: Path, opened_by: str = CAUSAL, **options: Any) -> Any:
    """The model in a folder, opened by a class of transformers and ready to be asked; raises RequestError.

    `options` are those of `from_pretrained`, such as `num_labels`.
    """
    import torch
    import transformers

    import pipeline.models.lstm_checkpoint  # noqa: F401 - transformers has no LSTM, and knows ours by this import

    gaps = gaps_of(folder)
    if opened_by == CAUSAL and gaps is not None:
        raise RequestError(f"{folder} holds a model that fills {gaps} and does not continue texts: name a decoder for that")
    model = _opened(getattr(transformers, opened_by), folder, **{"use_safetensors": True, "dtype": "auto", **options})
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


def gaps_of(folder: Path) -> Literal["masks", "spans"] | None:
    """The gaps that the model in a folder fills, by its config.json; None for one that continues texts, or that cannot be read."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
        if config.get("is_encoder_decoder"):
            return "spans"
        return "masks" if config["architectures"][0].endswith("ForMaskedLM") else None
    except (OSError, ValueError, KeyError, IndexError, TypeError, AttributeError):  # whoever opens it says what is wrong
        return None


def open_tokenizer(folder: Path) -> Any:
    """The tokenizer in a folder; raises RequestError."""
    from transformers import AutoTokenizer

    return _opened(AutoTokenizer, folder)


def _opened(kind: Any, folder: Path, **options: Any) -> Any:
    """Weights are read from safetensors alone, and code that lies beside them is not run."""
    from transformers.utils import logging

    logging.disable_progress_bar()
    try:
        return kind.from_pretrained(folder, local_files_only=True, trust_remote_code=False, **options)
    except (OSError, ValueError, KeyError) as problem:
        reason = " ".join(str(problem).split())[:200]
        raise RequestError(
            f"{folder} is no checkpoint that can be opened ({reason}): name a folder with config.json, model.safetensors and a tokenizer"
        ) from problem


def beginning(model: Any) -> int:
    """The token that texts begin with: the model's own, or the one that ends the text before."""
    named = [model.config.bos_token_id, model.config.eos_token_id]
    for token in named:
        if token is not None:
            return int(token[0] if isinstance(token, list) else token)
    raise RequestError(f"{model.config.name_or_path} names no token that begins or ends a text: set eos_token_id in its config.json")
