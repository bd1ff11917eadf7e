"""How well a model restores what is hidden from it of held-out documents: for models that do not predict from left to right."""

import math
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from pipeline.errors import RunError
from pipeline.evaluate.base import Answer, Answering, Example, HeldOut, LikelihoodTask, Ratio
from pipeline.objectives.base import Objective
from pipeline.objectives.masked_tokens import MaskedTokens


@dataclass(frozen=True, kw_only=True)
class Restoration(LikelihoodTask):
    """Loss and bits for each token that an objective asks for, in documents cut into pieces of the model's context.

    What is hidden in a piece of text depends on that text alone, so figures of one objective, tokenizer and context can be compared, over
    training and between models. They are no cost of a whole text: a decoder's bits per byte and perplexity, and figures of another
    objective or tokenizer, are something else.
    """

    needs_held_out: ClassVar[bool] = True
    objective: Objective = MaskedTokens()

    def fits(self, objective: Objective) -> bool:
        return type(objective) is type(self.objective)

    def subject(self, folder: Path) -> Answering[Example, Answer]:
        from pipeline.evaluate.restorer import Restorer

        return Restorer(folder, self.objective)

    def examples(self, held_out: HeldOut) -> Iterator[Example]:
        return (Example((text,), ends=True) for text in held_out.texts())

    def score(self, example: Example, answer: Answer) -> Mapping[str, float]:  # noqa: ARG002 - the answer says it all
        return {"nats": answer.nats[0], "predictions": answer.tokens[0]}

    def ratios(self, scores: Collection[str]) -> Mapping[str, Ratio]:  # noqa: ARG002 - they are the same always
        return {"loss": Ratio("nats", "predictions")}

    def metrics(self, totals: Mapping[str, float], count: int, held_out: HeldOut) -> Mapping[str, float]:  # noqa: ARG002
        if not totals["predictions"]:
            raise RunError(f"nothing can be hidden in the {count} held-out documents: hold out more of them")
        loss = totals["nats"] / totals["predictions"]
        unit = self.objective.predicted.replace(" ", "_")
        return {"loss": loss, f"bits_per_{unit}": loss / math.log(2), f"{unit}s": int(totals["predictions"])}
