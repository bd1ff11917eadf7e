"""How well a classifier tells good documents from bad ones that it was not trained on."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

THRESHOLDS = tuple(tenths / 10 for tenths in range(1, 10))
DIGITS = 6
Flags = NDArray[np.bool_]
Reals = NDArray[np.float64]


def trial(found: Reals, good: Flags) -> dict[str, Any]:
    """Counts and rates of the documents that were given the probabilities `found` to be good.

    precision: the share of good ones among those kept at one half; recall: the share of the good ones that is kept; auc:
    the probability that a good one is given more than a bad one. thresholds: what share of each kind others would keep.
    """
    kept = found >= 0.5
    confusion = {
        "good_kept": int((kept & good).sum()),
        "good_dropped": int((~kept & good).sum()),
        "bad_kept": int((kept & ~good).sum()),
        "bad_dropped": int((~kept & ~good).sum()),
    }
    return {
        "accuracy": _rounded(np.mean(kept == good)),
        "auc": _rounded(auc(found, good)),
        "precision": _rounded(confusion["good_kept"] / max(int(kept.sum()), 1)),
        "recall": _rounded(np.mean(kept[good])),
        "confusion": confusion,
        "thresholds": [
            {"least": least, "good_kept": _rounded(np.mean(found[good] >= least)), "bad_kept": _rounded(np.mean(found[~good] >= least))}
            for least in THRESHOLDS
        ],
    }


def auc(found: Reals, good: Flags) -> float:
    """The probability that a good one is given more than a bad one, a tie counting half (Mann and Whitney, 1947)."""
    _, places, counts = np.unique(found, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[places]
    positive, negative = int(good.sum()), int((~good).sum())
    return float((ranks[good].sum() - positive * (positive + 1) / 2) / (positive * negative))


def _rounded(value: Any) -> float:
    return round(float(value), DIGITS)
