"""Runs that branch off a longer one: up to where a run's rate begins to fall, it is the same as the run that it leaves.

One long run at a constant rate, the trunk, is worth runs of every shorter length, each for the price of its cool-down
(Hu and others, 2024, arXiv:2404.06395, section 4.3).
"""

from pipeline.errors import RequestError
from pipeline.train.schedule import Schedule


def shared_steps(schedule: Schedule, steps: int) -> int:
    """How many of the first steps of a run of `steps` steps are those of any longer one."""
    return schedule.level(steps) + 1


def check_branch(schedule: Schedule, steps: int, trunk: int, trunk_steps: int) -> None:
    """Raise RequestError for a run of `steps` steps that cannot leave one of `trunk_steps` steps, whose token budget is `trunk`."""
    if schedule.decay != "wsd":
        raise RequestError(
            f"trunk is {trunk}, and schedule.decay is {schedule.decay!r}, which depends on a run's length from the start:"
            " use wsd, or no trunk"
        )
    if trunk_steps <= steps:
        raise RequestError(
            f"trunk is {trunk}, a run of {trunk_steps} steps, and this one has {steps}: use the token budget of a longer run"
        )
    if (rising := schedule.rising(trunk_steps)) > schedule.level(steps):
        raise RequestError(
            f"trunk is {trunk}, whose warm-up takes {rising} steps, and this run cools down from step {shared_steps(schedule, steps)} on:"
            " use a smaller trunk or a greater token_budget"
        )


def check_kept(keep_at: tuple[int, ...], steps: int) -> None:
    """Raise RequestError for steps after which a run of `steps` steps leaves no checkpoint."""
    for place, step in enumerate(keep_at):
        if not 1 <= step < steps:
            raise RequestError(f"keep_at[{place}] is {step}, in a run of {steps} steps: use a step from 1 to {steps - 1}, or leave it out")
