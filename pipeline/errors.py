"""What can go wrong, as one tree: a wrong request is told apart from a run that failed.

MillraceError
├── RequestError          the request is wrong (exit code 2); raised before anything expensive starts
│   └── NoFingerprint     a recipe holds something that has no canonical form
├── RunError              the run failed (exit code 1); the same command goes on from there
│   ├── Damaged           bytes in a root are not the bytes that a manifest names
│   ├── Unbalanced        a step lost or invented documents: read ≠ kept + dropped
│   └── BudgetExceeded    more was dropped than the recipe allows
"""


class MillraceError(Exception):
    """Every message says what happened, the value, and the remedy, on one line."""


class RequestError(MillraceError):
    """The request cannot be carried out as it stands."""


class NoFingerprint(RequestError):
    """A recipe's field has no canonical form."""


class RunError(MillraceError):
    """The run failed after it had started."""


class Damaged(RunError):
    """Stored bytes differ from what their manifest says."""


class Unbalanced(RunError):
    """The counts of a step do not add up: read ≠ kept + dropped."""


class BudgetExceeded(RunError):
    """A budget on losses was exceeded; nothing was committed."""
