"""How likely answers are, and whether better ones are likelier, from numbers that add up over rows.

A row that could not be asked about has no numbers, and counts for nothing but `fit`, the share of rows that could.
"""

import math
from collections.abc import Mapping


def answer_scores(log_likelihood: float, tokens: int) -> dict[str, float]:
    """What the answers of one row count for, of `tokens` tokens that have this log-likelihood together, in nats."""
    return {"rows": 1.0, "mean": log_likelihood / tokens, "nats": -log_likelihood, "tokens": float(tokens)}


def answer_metrics(totals: Mapping[str, float]) -> dict[str, float]:
    """`log_likelihood`, of a token, as the mean over rows of the mean of each: minus the loss; and `perplexity`, of all tokens alike."""
    perplexity = math.exp(min(_mean(totals, "nats", "tokens"), 700.0))
    return {"log_likelihood": _mean(totals, "mean"), "perplexity": perplexity, "fit": totals.get("rows", 0.0) / totals["n"]}


def preference_scores(margin: float) -> dict[str, float]:
    """What a pair counts for whose better answer has a reward that is greater by `margin`."""
    loss = math.log1p(math.exp(-abs(margin))) + max(-margin, 0.0)
    return {"rows": 1.0, "right": float(margin > 0), "margin": margin, "log_likelihood": -loss}


def preference_metrics(totals: Mapping[str, float]) -> dict[str, float]:
    """`accuracy`, the share of pairs whose better answer has the greater reward; mean `margin`; and `log_likelihood`, minus the loss."""
    means = {
        name: _mean(totals, total) for name, total in (("accuracy", "right"), ("margin", "margin"), ("log_likelihood", "log_likelihood"))
    }
    return {**means, "fit": totals.get("rows", 0.0) / totals["n"]}


def _mean(totals: Mapping[str, float], name: str, over: str = "rows") -> float:
    """The mean of what was asked about; 0 where nothing was."""
    return totals.get(name, 0.0) / (totals.get(over, 0.0) or 1.0)
