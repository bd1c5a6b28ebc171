"""Celery with a clock and the program's patience as a test sets them: a command of tests alone.

CHAOS_CLOCK names a file: what it holds is how many seconds the clock is off now. With CHAOS_HASTE what was
lost is looked for after seconds and not after a minute.
"""

import os
import sys
from datetime import datetime, timedelta, tzinfo
from pathlib import Path
from typing import Any, Self

from indexer import clock, leases

OFF = Path(os.environ["CHAOS_CLOCK"])
machine_clock = clock.machine_clock


def jumping_clock() -> datetime:
    """The machine's clock, as far off as the file says."""
    return machine_clock() + timedelta(seconds=float(OFF.read_text() or 0))


class JumpingTime(datetime):
    """The same, as Celery asks for it."""

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> Self:
        return cls.fromtimestamp(jumping_clock().timestamp(), tz)


def _now(app: Any) -> datetime:
    return jumping_clock().astimezone(app.timezone)


def main() -> None:
    """Runs Celery's command line under that clock."""
    clock.machine_clock = jumping_clock
    if "CHAOS_HASTE" in os.environ:
        leases.LEASE_SECONDS = 6
        from workers import lease_keeper, schedule

        lease_keeper.RENEW_SECONDS = 1.0
        schedule.ASK_AGAIN = timedelta(seconds=5)
        schedule.FIRST_REST = timedelta(seconds=2)
    from celery import Celery
    from celery.__main__ import main as celery
    from celery.worker import request

    vars(request)["datetime"] = JumpingTime  # by which a worker says that a message is too old
    Celery.now = _now  # type: ignore[method-assign,assignment]
    sys.argv[0] = "celery"
    celery()


if __name__ == "__main__":
    main()
