"""Work on a schedule: one run at a time, and at most one to catch up with what was missed."""

import logging
import time
from collections.abc import Callable, Iterator, Mapping
from datetime import datetime
from typing import Any, NoReturn

from cronsim import CronSim, CronSimError

from pipeline.errors import MillraceError, RequestError

log = logging.getLogger(__name__)
LONGEST_NAP = 60.0
"""Seconds after which the clock is looked at again, since it may have been set."""


class Timetable:
    """The times that a cron expression names; raises RequestError for one that names none."""

    def __init__(self, schedule: str) -> None:
        try:
            CronSim(schedule, datetime.now())
        except CronSimError as problem:
            raise RequestError(f'--schedule is {schedule!r} ({problem}): use five fields, such as "0 3 * * *"') from problem
        self.schedule = schedule

    def after(self, moment: datetime) -> datetime:
        """The next time after a moment."""
        return next(iter(self._times(moment)))

    def missed(self, last: datetime | None, now: datetime) -> bool:
        """Whether a time has passed since the last run: then one run is due at once, however many were missed."""
        return last is None or self.after(last) <= now

    def keep(self, work: Callable[[], Mapping[str, Any]], last: datetime | None) -> NoReturn:
        """Do the work at every time, one run after the other, until the process is stopped.

        Times that pass while a run goes on are made up for by one run when it ends. A run that fails is told of, and the next
        one is not later for it; a request that is wrong ends it all.
        """
        while True:
            now = datetime.now().astimezone()
            if not self.missed(last, now):
                self._wait(self.after(now))
            last = datetime.now().astimezone()
            try:
                result = work()
            except RequestError:
                raise
            except (MillraceError, OSError) as problem:
                log.error("the run of %s failed: %s", f"{last:%Y-%m-%d %H:%M}", " ".join(str(problem).split()))
            else:
                log.warning("refreshed in %.0f s: %d built, %d as before", *_told(result, last))

    def _wait(self, until: datetime) -> None:
        log.warning("next run at %s", f"{until:%Y-%m-%d %H:%M}")
        while (seconds := (until - datetime.now().astimezone()).total_seconds()) > 0:
            time.sleep(min(seconds, LONGEST_NAP))

    def _times(self, moment: datetime) -> Iterator[datetime]:
        times: Iterator[datetime] = CronSim(self.schedule, moment.astimezone())
        return times


def _told(result: Mapping[str, Any], since: datetime) -> tuple[float, int, int]:
    seconds = (datetime.now().astimezone() - since).total_seconds()
    return seconds, len(result["built"]), len(result["skipped"])
