"""A few texts from a checkpoint, to be looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

from pipeline.errors import RequestError
from pipeline.evaluate.generation import Sampling, generate
from pipeline.train.checkpoint import Checkpoint
from pipeline.workflow.artifact import Artifact
from pipeline.workflow.step import Context, Facts, Step
from pipeline.workflow.unit import Unit


@dataclass(frozen=True, kw_only=True)
class Sample(Step[Artifact]):
    """Draw one text after each prompt. Facts: `samples`, [{"prompt", "text"}]; the text is what was drawn."""

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
        texts = generate(unit.open(self.checkpoint).model, prompts, self.sampling)
        return {"samples": [{"prompt": prompt, "text": drawn[0]} for prompt, drawn in zip(prompts, texts, strict=True)]}
