"""A few texts from a checkpoint, to be looked at."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from pipeline.errors import RequestError
from pipeline.inference.filling import fill_masks, fill_spans
from pipeline.inference.generation import Sampling, generate
from pipeline.inference.opening import gaps_of
from pipeline.train.checkpoint import Checkpoint
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit


@dataclass(frozen=True, kw_only=True)
class Sample(Step[Artifact]):
    """Draw one text after each prompt; of a model that fills gaps, the prompt filled.

    Facts: `samples`, [{"prompt", "text"}]; the text is what was drawn.
    """

    checkpoint: Step[Checkpoint]
    prompts: tuple[str, ...] = ("",)
    sampling: Sampling = Sampling()

    def __post_init__(self) -> None:
        if not self.prompts:
            raise RequestError("prompts is empty: give at least one; an empty text begins a new document")

    def run(self, context: Context) -> Facts:
        (receipt,) = context.map(self.draw, (self.prompts,))
        return receipt.facts

    def draw(self, unit: Unit, prompts: Sequence[str]) -> Facts:
        """One unit: all prompts, since opening the model costs more than drawing."""
        texts = _drawn(unit.open(self.checkpoint).model, prompts, self.sampling)
        return {"samples": [{"prompt": prompt, "text": text} for prompt, text in zip(prompts, texts, strict=True)]}


def _drawn(folder: Path, prompts: Sequence[str], sampling: Sampling) -> list[str]:
    """What a model makes of each prompt: it continues it, or fills its gaps."""
    match gaps_of(folder):
        case "masks":
            return fill_masks(folder, prompts)
        case "spans":
            return fill_spans(folder, prompts, sampling)
    return [texts[0] for texts in generate(folder, prompts, sampling)]
