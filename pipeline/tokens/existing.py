"""Reading an existing tokenizer, from a file, a folder or Hugging Face, as the two files that we keep of it.

Nothing that came with it is run: tokenizer.json is data, and of its configuration only the names of special tokens
and the chat template are taken over.
"""

import json
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer

from pipeline.errors import RequestError
from pipeline.tokens.tokenizer import CONFIG, TOKENIZER, config_json

SPECIAL = ("eos_token", "bos_token", "pad_token", "unk_token")
USUAL_ENDS = ("<|endoftext|>", "<|end_of_text|>", "<|end▁of▁sentence|>", "</s>", "<eos>")
WANTED = ["*.json", "*.model", "*.txt", "*.tiktoken", "*.jinja"]
"""What is fetched from Hugging Face: tokenizers come in these; weights and code do not."""


def read_tokenizer(location: str, end_of_text: str | None) -> dict[str, bytes]:
    """tokenizer.json and tokenizer_config.json for the tokenizer at `location`; raises RequestError."""
    place = Path(location.removeprefix("file://")).expanduser()
    if place.is_file():
        return _files(location, place.read_bytes(), place.parent, end_of_text)
    folder = place if place.is_dir() else _from_hub(location)
    file = folder / TOKENIZER
    return _files(location, file.read_bytes() if file.is_file() else _converted(location, folder), folder, end_of_text)


def _files(location: str, tokenizer_json: bytes, folder: Path, end_of_text: str | None) -> dict[str, bytes]:
    try:
        tokenizer = Tokenizer.from_str(tokenizer_json.decode())
    except Exception as problem:  # the library raises the bare class
        raise RequestError(f"{location} is no tokenizer.json ({problem}): pass one, a folder with one, or a model's name") from problem
    config = _config(folder)
    named = {name: token for name in SPECIAL if (token := _content(config.get(name))) is not None}
    named["eos_token"] = _end_of_text(location, tokenizer, end_of_text, named.get("eos_token"))
    if "chat_template" in config:
        named["chat_template"] = config["chat_template"]
    return {TOKENIZER: tokenizer_json, CONFIG: config_json(named)}


def _end_of_text(location: str, tokenizer: Tokenizer, asked: str | None, configured: str | None) -> str:
    """The token that ends a text: the one asked for, the configured one, or a usual one."""
    token = asked or configured or next((usual for usual in USUAL_ENDS if tokenizer.token_to_id(usual) is not None), None)
    if token is None:
        raise RequestError(f"the tokenizer at {location} does not say which token ends a text: name it as end_of_text")
    if tokenizer.token_to_id(token) is None:
        raise RequestError(f"the tokenizer at {location} has no token {token!r} to end a text: name another as end_of_text")
    if any(added.content == token and not added.special for added in tokenizer.get_added_tokens_decoder().values()):
        raise RequestError(f"{token!r} is found in plain text by the tokenizer at {location}: mark it as special in its tokenizer.json")
    return token


def _config(folder: Path) -> dict[str, Any]:
    """What the folder's configuration files say; the later one counts."""
    found: dict[str, Any] = {}
    for name in ("special_tokens_map.json", CONFIG):
        place = folder / name
        if place.is_file():
            try:
                found |= json.loads(place.read_bytes())
            except (ValueError, TypeError) as problem:
                raise RequestError(f"{place} is not a JSON object ({problem}): mend or remove it") from problem
    return found


def _content(token: Any) -> str | None:
    """A special token is configured as a string, or as an object with its content."""
    content = token.get("content") if isinstance(token, Mapping) else token
    return content if isinstance(content, str) else None


def _from_hub(location: str) -> Path:
    """A local folder with the tokenizer files of a model on Hugging Face."""
    from huggingface_hub import snapshot_download

    name, _, revision = location.partition("@")
    try:
        return Path(snapshot_download(name, revision=revision or None, allow_patterns=WANTED))
    except Exception as problem:
        raise RequestError(
            f"there is no tokenizer at {location!r}, as a file, a folder or a model on Hugging Face"
            f" ({type(problem).__name__}): check the path or the name, the network and HF_TOKEN"
        ) from problem


def _converted(location: str, folder: Path) -> bytes:
    """tokenizer.json from older formats, by `transformers`, which runs no code from the folder."""
    from transformers import AutoTokenizer

    try:
        tokenizer = AutoTokenizer.from_pretrained(str(folder), trust_remote_code=False, local_files_only=True)
        with tempfile.TemporaryDirectory(prefix="millrace-") as saved:
            tokenizer.save_pretrained(saved)
            return Path(saved, TOKENIZER).read_bytes()
    except Exception as problem:
        reason = str(problem).strip().partition("\n")[0]
        raise RequestError(f"{location} holds no tokenizer.json, and none can be made of what it holds: {reason}") from problem
