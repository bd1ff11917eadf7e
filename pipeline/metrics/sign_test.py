"""Whether one thing is better than another more often than chance would have it (the sign test; Arbuthnot, 1710)."""

import math


def sign_test(better: int, worse: int) -> float:
    """The probability, if neither were better, that they differ at least so unequally: two-sided, exact. Ties are left out."""
    count, fewer = better + worse, min(better, worse)
    if count == 0:
        return 1.0
    logs = [math.lgamma(count + 1) - math.lgamma(number + 1) - math.lgamma(count - number + 1) for number in range(fewer + 1)]
    return min(1.0, 2 * math.fsum(math.exp(log - count * math.log(2)) for log in logs))
