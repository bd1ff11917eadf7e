"""A few held-out windows, to watch the loss on text that is not trained on. The evaluation proper is a step of its own."""

from collections.abc import Sequence

from pipeline.batches.packing import Batch, Windows, batch_of, open_stream
from pipeline.tokens.shards import VALIDATION, TokenShards

TOKENS = 1 << 14
"""At most so many tokens are looked at each time."""


def held_out_windows(corpora: Sequence[TokenShards], context: int) -> Batch | None:
    """Windows evenly spread over the held-out documents of all corpora; None where these fill no window."""
    different = {corpus.address: corpus for corpus in corpora}.values()
    windows = [Windows(open_stream(corpus, VALIDATION), context) for corpus in different]
    places = [(part.stream, number * context) for part in windows for number in range(part.count)]
    count = min(len(places), max(1, TOKENS // context))
    return batch_of([places[number * len(places) // count] for number in range(count)], context) if count else None
