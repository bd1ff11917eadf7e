"""How likely a model finds answers, in nats.

B rows, T tokens, V vocabulary
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from pipeline.finetune.base import IGNORED
from pipeline.finetune.batches import in_batches
from pipeline.finetune.packing import logits_of

if TYPE_CHECKING:
    from collections.abc import Mapping

    from torch import Tensor

    from pipeline.finetune.conversation import Marked

ROWS_AT_ONCE = 4


def log_likelihoods(logits: "Tensor", labels: "Tensor") -> "Tensor":
    """Of logits [B, T, V] and the tokens [B, T] that are to be learned, the log-likelihood [B, T - 1] of each but the first, in fp32.

    It is 0 of what is ignored, whose logits are not looked at.
    """
    from torch.nn.functional import cross_entropy

    counted = labels[:, 1:] != IGNORED
    found = logits.new_zeros(counted.shape).float()
    found[counted] = -cross_entropy(logits[:, :-1][counted].float(), labels[:, 1:][counted], reduction="none")
    return found


def answer_likelihoods(model: Any, conversations: "Sequence[Marked]", padding: int) -> list[float]:
    """The log-likelihood of all that is to be learned of each conversation."""

    def ask(inputs: "Mapping[str, Tensor]") -> list[list[float]]:
        ids, mask = inputs["input_ids"], inputs["attention_mask"]
        found: list[list[float]] = log_likelihoods(logits_of(model, ids, mask), ids.masked_fill(mask == 0, IGNORED)).tolist()
        return found

    said = in_batches([each.ids for each in conversations], ask, padding, model.device, ROWS_AT_ONCE)
    return [
        sum(nats for nats, label in zip(likely, each.labels[1:], strict=False) if label != IGNORED)
        for likely, each in zip(said, conversations, strict=True)
    ]
