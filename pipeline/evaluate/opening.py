"""Opening a checkpoint: any folder that transformers opens, ours or a foreign one; data only, never code."""

from pathlib import Path
from typing import Any

from pipeline.errors import RequestError


def open_model(folder: Path) -> Any:
    """The causal language model in a folder, ready to be asked; raises RequestError."""
    import torch
    from transformers import AutoModelForCausalLM

    model = _opened(AutoModelForCausalLM, folder, use_safetensors=True, dtype="auto")
    return model.eval().to("cuda" if torch.cuda.is_available() else "cpu")


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
