"""A few held-out windows, to watch the loss on text that is not trained on. The evaluation proper is a step of its own."""

from collections.abc import Sequence

from pipeline.batches.packing import Batch, Windows, batch_of, open_stream
from pipeline.tokens.shards import VALIDATION, TokenShards

LOOKS = 10
"""Times that a run looks at them, unless told otherwise."""
TOKENS = 1 << 14
"""At most so many tokens are looked at each time,"""
SHARE = 100
"""and at most one for so many that are trained on: ten looks then cost three hundredths of the training."""


def held_out_windows(corpora: Sequence[TokenShards], context: int, trained: int) -> Batch | None:
    """Windows for a run of `trained` tokens, evenly spread over the held-out documents of all corpora; at least one, or None where
    these fill no window."""
    different = {corpus.address: corpus for corpus in corpora}.values()
    windows = [Windows(open_stream(corpus, VALIDATION), context) for corpus in different]
    places = [(part.stream, number * context) for part in windows for number in range(part.count)]
    count = min(len(places), max(1, min(TOKENS, trained // SHARE) // context))
    return batch_of([places[number * len(places) // count] for number in range(count)], context) if count else None
