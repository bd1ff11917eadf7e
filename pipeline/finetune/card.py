"""The model card of a fine-tuned model, with what it scores and how sure that is."""

from collections.abc import Iterator, Mapping
from typing import Any

from pipeline.finetune.base import FinetuneTask
from pipeline.finetune.reader import Kind
from pipeline.train.card import passed_over_lines
from pipeline.workflow.step import Step

TAGS = {
    "AutoModelForSequenceClassification": "text-classification",
    "AutoModelForTokenClassification": "token-classification",
    "AutoModelForQuestionAnswering": "question-answering",
    "AutoModelForCausalLM": "text-generation",
    "AutoModelForSeq2SeqLM": "text2text-generation",
}


def card(step: Step[Any], facts: Mapping[str, Any], kind: Kind) -> str:
    """The README.md of a fine-tuned model of a kind; the same bytes for the same making."""
    task: FinetuneTask = step.task  # type: ignore[attr-defined]  # a Finetune, which imports this
    opened_by, asked = task.opener(kind), task.asked(kind)
    lines = [
        "---",
        "library_name: transformers",
        f"pipeline_tag: {TAGS[opened_by]}",
        "---",
        f"# {step.address}",
        "",
        f"{step.checkpoint.address}, fine-tuned on {task.name} in {facts['steps']:,} steps"  # type: ignore[attr-defined]  # a Finetune
        f" ({facts['trained_parameters']:,} of {facts['parameters']:,} parameters); the weights are those of step {facts['best_step']:,}.",
        "",
        *passed_over_lines(facts),
        "```python",
        f"from transformers import {opened_by}, AutoTokenizer",
        "",
        f'model, tokenizer = {opened_by}.from_pretrained("."), AutoTokenizer.from_pretrained(".")',
        "```",
        *(["", "It is asked in these words, with a row's own for …:", "", "```", asked, "```"] if asked else []),
        "",
        "## Scores",
        "",
        "| examples | metric | value | 95 % interval |",
        "|---|---|---:|---|",
        *(row for name in ("validation", "test") if name in facts for row in _scores(name, facts[name])),
        *(f"\n{metric}: `{signature}`" for metric, signature in facts.get("signatures", {}).items()),
        "",
        "## Inputs",
        "",
        *(f"- `{path}`: {needed.address}" for path, needed in step.inputs.items()),
        "",
    ]
    return "\n".join(lines)


def _scores(name: str, scores: Mapping[str, float]) -> Iterator[str]:
    for metric, value in scores.items():
        if f"{metric}_low" in scores:
            interval = f"{scores[f'{metric}_low']:.4f} to {scores[f'{metric}_high']:.4f}"
            yield f"| {name}, {scores['n']:,.0f} | {metric} | {value:.4f} | {interval} |"
