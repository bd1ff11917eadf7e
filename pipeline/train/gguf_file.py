"""A decoder of the Llama family as one GGUF file, which llama.cpp runs: its weights, its shape and its tokenizer.

llama.cpp turns pairs of neighbours by rotary positions where transformers turns a head's halves, so the rows of queries and keys
are put in its order. It cuts texts by patterns that it knows by name, so only tokenizers with such a pattern can be taken along.
"""

import json
import math
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.errors import RequestError
from pipeline.tokens.tokenizer import CONFIG, PATTERN, TOKENIZER
from pipeline.train.saved_weights import Precision, Weight

GGUF = "model.gguf"
CUT_BY = {PATTERN: "qwen2"}
"""Patterns that cut texts, and llama.cpp's names for them. That of Qwen 2 is ours."""
NORMAL, CONTROL, USER_DEFINED, UNUSED = 1, 3, 4, 5
"""What llama.cpp calls a token."""
USUAL_ROPE = "default"
STORED = {"F32": np.float32, "F16": np.float16, "BF16": np.uint16}
"""What NumPy holds them as."""
Numbers = NDArray[Any]


def check_gguf(folder: Path, weights: Sequence[Weight]) -> None:
    """Raise RequestError for a model that cannot be written in such a file, or could not be run from it as it is here."""
    config = _json(folder / "config.json")
    if config.get("model_type") != "llama":
        raise RequestError(
            f"a GGUF file is written of decoders of the Llama family, and this is {config.get('model_type')}: leave out --form.gguf"
        )
    rope = config.get("rope_parameters") or config.get("rope_scaling") or {}
    if rope.get("rope_type", USUAL_ROPE) != USUAL_ROPE or config.get("attention_bias") or config.get("mlp_bias"):
        raise RequestError(
            "the model has biases or scaled rotary positions, which a GGUF file is not written of here: leave out --form.gguf"
        )
    if any(weight.kind not in ("F32", "F16", "BF16") for weight in weights):
        raise RequestError("the model's weights are quantized, and a GGUF file is not written of such here: leave out --form.gguf")
    _pattern(_json(folder / TOKENIZER))


def write_gguf(folder: Path, weights: Sequence[Weight], precision: Precision | None, name: str, target: Path) -> None:
    """Write the model in a folder as a GGUF file, one tensor in memory at a time."""
    from gguf import MODEL_ARCH, GGUFWriter, get_tensor_name_map

    config = _json(folder / "config.json")
    writer = GGUFWriter(target, "llama")
    writer.add_name(name)
    _add_shape(writer, config)
    _add_tokenizer(writer, folder, config)
    names = get_tensor_name_map(MODEL_ARCH.LLAMA, config["num_hidden_layers"])
    placed = {weight.name: names.get_name(weight.name, try_suffixes=(".weight",)) for weight in weights}
    unknown = [name for name, place in placed.items() if place is None]
    if unknown:
        raise RequestError(f"llama.cpp knows no tensor {unknown[0]} of a Llama: leave out --form.gguf")
    for weight in weights:
        kind = _kind(weight, precision)
        stored = np.dtype(STORED[kind])
        writer.add_tensor_info(placed[weight.name], weight.shape, stored, math.prod(weight.shape) * stored.itemsize, _raw(kind))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_ti_data_to_file()
    for weight in weights:
        writer.write_tensor_data(in_order(weight.name, _array(weight, _kind(weight, precision)), config))
    writer.close()


def in_order(name: str, rows: "Numbers", config: Mapping[str, Any]) -> "Numbers":
    """The rows of queries and keys with each head's two halves in turn; all other tensors as they are."""
    if not name.endswith(("q_proj.weight", "k_proj.weight")):
        return rows
    heads = config["num_attention_heads"]
    count = heads if name.endswith("q_proj.weight") else config.get("num_key_value_heads") or heads
    return np.ascontiguousarray(rows.reshape(count, 2, rows.shape[0] // count // 2, -1).swapaxes(1, 2).reshape(rows.shape))


def _kind(weight: Weight, precision: Precision | None) -> str:
    """The kind of numbers that a tensor is written as: vectors, which are small, always in fp32."""
    if len(weight.shape) == 1:
        return "F32"
    return weight.kind if precision is None else {"fp32": "F32", "bf16": "BF16"}[precision]


def _raw(kind: str) -> Any:
    from gguf import GGMLQuantizationType

    return GGMLQuantizationType[kind]


def _array(weight: Weight, kind: str) -> "Numbers":
    """A tensor as an array; that of bf16, which NumPy does not know, as its bits."""
    import torch

    tensor = weight.read(None).to({"F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16}[kind]).contiguous()
    return tensor.view(torch.int16).numpy().view(np.uint16) if kind == "BF16" else tensor.numpy()


def _add_shape(writer: Any, config: Mapping[str, Any]) -> None:
    heads = config["num_attention_heads"]
    rope = config.get("rope_parameters") or {}
    writer.add_context_length(config["max_position_embeddings"])
    writer.add_embedding_length(config["hidden_size"])
    writer.add_block_count(config["num_hidden_layers"])
    writer.add_feed_forward_length(config["intermediate_size"])
    writer.add_head_count(heads)
    writer.add_head_count_kv(config.get("num_key_value_heads") or heads)
    writer.add_layer_norm_rms_eps(config["rms_norm_eps"])
    writer.add_rope_freq_base(float(rope.get("rope_theta") or config.get("rope_theta") or 10_000.0))
    width = config.get("head_dim") or config["hidden_size"] // heads
    writer.add_rope_dimension_count(width)
    writer.add_key_length(width)
    writer.add_value_length(width)
    writer.add_vocab_size(config["vocab_size"])


def _add_tokenizer(writer: Any, folder: Path, config: Mapping[str, Any]) -> None:
    """The vocabulary, the merges, and which tokens begin and end a text."""
    tokenizer = _json(folder / TOKENIZER)
    words, kinds = _vocabulary(tokenizer, config["vocab_size"])
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre(_pattern(tokenizer))
    writer.add_token_list(words)
    writer.add_token_types(kinds)
    writer.add_token_merges([merge if isinstance(merge, str) else " ".join(merge) for merge in tokenizer["model"]["merges"]])
    for role, add in (("bos", writer.add_bos_token_id), ("eos", writer.add_eos_token_id), ("pad", writer.add_pad_token_id)):
        token = config.get(f"{role}_token_id")
        if token is not None:
            add(token[0] if isinstance(token, list) else token)
    writer.add_add_bos_token(config.get("bos_token_id") is not None)
    writer.add_add_eos_token(False)
    template = _json(folder / CONFIG).get("chat_template") if (folder / CONFIG).is_file() else None
    if isinstance(template, str):
        writer.add_chat_template(template)


def _vocabulary(tokenizer: Mapping[str, Any], size: int) -> tuple[list[str], list[int]]:
    """Every token and what it is, by id; rows of the matrix that no token has are unused."""
    words, kinds = [f"[UNUSED{number}]" for number in range(size)], [UNUSED] * size
    for word, number in tokenizer["model"]["vocab"].items():
        words[number], kinds[number] = word, NORMAL
    for added in tokenizer.get("added_tokens", ()):
        words[added["id"]], kinds[added["id"]] = added["content"], CONTROL if added["special"] else USER_DEFINED
    return words, kinds


def _pattern(tokenizer: Mapping[str, Any]) -> str:
    """llama.cpp's name for how a tokenizer cuts texts; raises RequestError for one that is none of those it has the same of."""
    parts = list(_parts(tokenizer.get("pre_tokenizer") or {}))
    cuts = [part.get("pattern", {}).get("Regex") for part in parts if part.get("type") == "Split"]
    plain = tokenizer.get("normalizer") is None and tokenizer["model"].get("type") == "BPE"
    if not plain or len(cuts) != 1 or cuts[0] not in CUT_BY or [part["type"] for part in parts] != ["Split", "ByteLevel"]:
        raise RequestError("the tokenizer cuts texts in a way that llama.cpp is not known to have the same of: leave out --form.gguf")
    return CUT_BY[cuts[0]]


def _parts(pre_tokenizer: Mapping[str, Any]) -> Iterator[Mapping[str, Any]]:
    if pre_tokenizer.get("type") == "Sequence":
        yield from pre_tokenizer["pretokenizers"]
    elif pre_tokenizer:
        yield pre_tokenizer


def _json(place: Path) -> Mapping[str, Any]:
    try:
        found: Mapping[str, Any] = json.loads(place.read_bytes())
    except (OSError, ValueError) as problem:
        raise RequestError(f"{place} cannot be read ({problem}): a GGUF file needs it") from problem
    return found
