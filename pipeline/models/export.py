"""Writing a model as the folder that the `from_pretrained` of transformers opens without our code."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pipeline.models.base import Export

WEIGHTS, CONFIG, GENERATION = "model.safetensors", "config.json", "generation_config.json"


def write_model(folder: Path, export: Export, end_of_text: int, ids: Mapping[str, int] | None = None) -> None:
    """Write weights and configurations into `folder`; the token that ends a text also begins one, as in training.

    `ids` are those of other tokens with a role, by their names in config.json.
    """
    from safetensors.torch import save_file

    tokens = {"bos_token_id": end_of_text, "eos_token_id": end_of_text, "pad_token_id": end_of_text, **(ids or {})}
    _write_json(folder / CONFIG, {**export.config, **tokens})
    if export.generates:
        _write_json(folder / GENERATION, {**tokens, "do_sample": True})
    save_file(dict(sorted(export.tensors.items())), folder / WEIGHTS, metadata={"format": "pt"})


def _write_json(place: Path, content: Mapping[str, Any]) -> None:
    place.write_text(json.dumps(content, indent=2, ensure_ascii=False) + "\n")
