"""How many bands of how many rows a signature is cut into, for a threshold of similarity."""

from dataclasses import dataclass

from pipeline.errors import RequestError

RECALL = 0.98
"""Of pairs exactly at the threshold, the share that must be found; of more similar pairs more are."""


@dataclass(frozen=True, kw_only=True)
class Banding:
    """`bands` bands of `rows` permutations each: a pair is a candidate if one whole band is equal."""

    bands: int
    rows: int

    def recall(self, similarity: float) -> float:
        """The probability that a pair of this Jaccard similarity becomes a candidate."""
        return 1.0 - (1.0 - similarity**self.rows) ** self.bands


def banding(similarity: float, permutations: int) -> Banding:
    """The banding with the most rows, and so the fewest needless candidates, that reaches RECALL at the threshold."""
    for rows in range(permutations, 0, -1):
        cut = Banding(bands=permutations // rows, rows=rows)
        if cut.recall(similarity) >= RECALL:
            return cut
    raise RequestError(
        f"permutations is {permutations}, too few to find {RECALL:.0%} of the pairs of similarity {similarity}: use more permutations"
    )
