"""Celery as it is, with the program's clock and its patience as a test sets them: a command of tests alone.

CHAOS_CLOCK names a file: what it holds is how many seconds the program's clock is off now. With CHAOS_HASTE what was
lost is looked for after seconds and not after a minute.
"""

import os
import sys
from datetime import datetime, timedelta
from pathlib import Path

from indexer import clock, leases

OFF = Path(os.environ["CHAOS_CLOCK"])
machine_clock = clock.machine_clock


def jumping_clock() -> datetime:
    """The machine's clock, as far off as the file says."""
    return machine_clock() + timedelta(seconds=float(OFF.read_text() or 0))


def main() -> None:
    """Runs Celery's command line under that clock."""
    clock.machine_clock = jumping_clock
    if "CHAOS_HASTE" in os.environ:
        leases.LEASE_SECONDS = 6
        from workers import lease_keeper, schedule

        lease_keeper.RENEW_SECONDS = 1.0
        schedule.ASK_AGAIN = timedelta(seconds=5)
        schedule.FIRST_REST = timedelta(seconds=2)
    from celery.__main__ import main as celery

    sys.argv[0] = "celery"
    celery()


if __name__ == "__main__":
    main()
