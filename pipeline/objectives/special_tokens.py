"""A tokenizer with the special tokens that an objective added, so that transformers makes of a text what the model was trained on."""

import json
from pathlib import Path

from pipeline.objectives.base import Objective
from pipeline.objectives.lexicon import Lexicon, added_tokens
from pipeline.tokens.tokenizer import CONFIG, TOKENIZER

SEPARATORS = ("cls_token", "sep_token")
"""Roles that encoders have for what stands between texts: here the end of a text, as in training."""


def add_special_tokens(folder: Path, objective: Objective, lexicon: Lexicon, context: int) -> None:
    """Rewrite the tokenizer in `folder`: the added tokens are special, and every text ends as documents do in training."""
    from tokenizers import Tokenizer, processors

    tokenizer = Tokenizer.from_file(str(folder / TOKENIZER))
    tokenizer.add_special_tokens(added_tokens(lexicon.added))
    config = json.loads((folder / CONFIG).read_text())
    end = config["eos_token"]
    tokenizer.post_processor = processors.TemplateProcessing(
        single=["$A", end], pair=["$A", end, "$B", end], special_tokens=[(end, lexicon.end_of_text)]
    )
    (folder / TOKENIZER).write_text(tokenizer.to_str(pretty=True))
    config |= {**objective.roles(), **dict.fromkeys(SEPARATORS, end), "model_max_length": context}
    (folder / CONFIG).write_text(json.dumps(config, indent=2, ensure_ascii=False) + "\n")
