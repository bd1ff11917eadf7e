"""A fine-tuned model as the folder that transformers opens. `save_pretrained` would load what a model is sharded by."""

from pathlib import Path
from typing import Any

from pipeline.models.export import WEIGHTS


def save_model(folder: Path, model: Any) -> None:
    """Write the weights, each once, and the configurations of a model of transformers into `folder`."""
    from safetensors.torch import save_file

    tied = getattr(model, "all_tied_weights_keys", {})
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in sorted(model.state_dict().items()) if name not in tied}
    save_file(tensors, folder / WEIGHTS, metadata={"format": "pt"})
    model.config.architectures = [type(model).__name__]
    model.config.save_pretrained(folder)
    if model.can_generate():
        model.generation_config.save_pretrained(folder)
