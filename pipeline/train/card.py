"""The model card: what is known of a model's making, in words that people and the Hugging Face Hub read."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from pipeline.models.base import Family
from pipeline.workflow.step import Step


@dataclass(frozen=True, kw_only=True)
class Origin:
    """What a corpus gave: its address, and what each source holds for training."""

    address: str
    sources: Mapping[str, Mapping[str, int]]
    """Source → {"documents", "tokens"}."""
    at: int = 0
    """The step, from 0, from which on the corpus was trained on."""


def model_card(step: Step[Any], family: Family, predicted: str, origins: Sequence[Origin], facts: Mapping[str, Any]) -> str:
    """The README.md of a model: its size, training, sources and recipe. The same bytes for the same making.

    The losses among the facts are means over each `predicted`, such as "token".
    """
    lines = [
        "---",
        "library_name: transformers",
        f"pipeline_tag: {family.pipeline}",
        "---",
        f"# {step.address}",
        "",
        f"{_a(family.words)} of {facts['parameters']:,} parameters, trained from random weights on"
        f" {facts['tokens']:,} tokens in {facts['steps']:,} steps.",
        f"The loss went from {facts['loss']['first']:.4f} to {facts['loss']['last']:.4f} nats a {predicted}.",
        "",
        *passed_over_lines(facts),
        "```python",
        *([f"import {family.module}"] if family.module else ()),
        f"from transformers import {family.opened_by}, AutoTokenizer",
        "",
        f'model, tokenizer = {family.opened_by}.from_pretrained("."), AutoTokenizer.from_pretrained(".")',
        "```",
        "",
        "## Data",
        "",
        "| corpus | source | documents | tokens |",
        "|---|---|---:|---:|",
        *(
            f"| {origin.address} | {cell(name)} | {counts['documents']:,} | {counts['tokens']:,} |"
            for origin in origins
            for name, counts in origin.sources.items()
        ),
        "",
        *_boundaries(origins),
        "The manifest of each corpus names what it was made from, back to every source.",
        "",
        "## Inputs",
        "",
        *(f"- `{path}`: {needed.address}" for path, needed in step.inputs.items()),
        "",
        "## Recipe",
        "",
        "```json",
        json.dumps(step.recipe, indent=2, ensure_ascii=False),
        "```",
        "",
    ]
    return "\n".join(lines)


def passed_over_lines(facts: Mapping[str, Any]) -> list[str]:
    """Which steps made no update, where some did not."""
    numbers = ", ".join(map(str, facts.get("passed_over", ())))
    return [f"No update was made of the batches {numbers}, counted from 0: a loss or gradient was wrong.", ""] if numbers else []


def _boundaries(origins: Sequence[Origin]) -> list[str]:
    """What was trained on from when on, where it was not the same from beginning to end."""
    begins = sorted({origin.at for origin in origins} - {0})
    named = [", ".join(dict.fromkeys(origin.address for origin in origins if origin.at == at)) for at in begins]
    lines = [
        f"From step {at:,} on, counted from 0, {names} took the place of what came before." for at, names in zip(begins, named, strict=True)
    ]
    return [line for sentence in lines for line in (sentence, "")]


def _a(words: str) -> str:
    """Words behind the article that they need, at the beginning of a sentence."""
    return f"{'An' if words[0] in 'aeiou' else 'A'} {words}"


def cell(text: str) -> str:
    """Text that stays inside its cell of a table."""
    return " ".join(text.split()).replace("|", "\\|")
