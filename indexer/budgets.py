"""How often a host may be asked: one budget a host, in the database, shared by all processes.

A budget fills at so many requests a minute and holds half a minute's worth; whoever takes one when it is empty is
told how long to wait for theirs (the generic cell rate algorithm: one number a host).
"""

import time
from collections import deque
from collections.abc import Callable, Iterator

from sqlalchemy import Connection, case, text, update

from indexer.database import Database
from indexer.sql import insert_missing
from indexer.tables import BudgetRow, table

BUDGETS = table(BudgetRow)
HELD_SECONDS = 30.0
AT_ONCE_SECONDS = 0.1
"""A budget of thousands a minute is not taken one by one."""
LONGEST_REST = 2 * 86_400.0
"""Nobody is made to wait for so many seconds."""


class HostBudgets:
    """The budgets of all hosts. `clock` gives seconds since 1970; on Postgres it is the database's own."""

    def __init__(
        self, database: Database, clock: Callable[[], float], ticks: Callable[[], float] = time.monotonic
    ) -> None:
        self._database, self._clock, self._ticks = database, clock, ticks
        self._turns: dict[str, deque[float]] = {}

    def reserve(self, host: str, per_minute: int) -> float:
        """Takes one request of a host's budget; gives the seconds to wait before it may be sent."""
        turns = self._turns.setdefault(host, deque())
        if not turns:
            turns.extend(self._several(host, per_minute))
        return max(0.0, turns.popleft() - self._ticks())

    def _several(self, host: str, per_minute: int) -> Iterator[float]:
        """When the next requests may be sent, in ticks: one, of large budgets what `AT_ONCE_SECONDS` are worth."""
        step, count = 60.0 / per_minute, max(1, int(per_minute / 60 * AT_ONCE_SECONDS))
        with self._database.write() as connection:
            now = self._now(connection)
            start = self._take(connection, host, now - HELD_SECONDS, step * count)
        first = self._ticks() + start - now
        return (first + number * step for number in range(count))

    def rest(self, host: str, seconds: float) -> None:
        """Nobody asks a host before so many seconds have passed, for it said so."""
        self._turns.pop(host, None)
        with self._database.write() as connection:
            self._take(connection, host, self._now(connection) + seconds, 0.0)

    def _now(self, connection: Connection) -> float:
        if self._database.is_sqlite:
            return self._clock()
        return float(connection.scalar(text("SELECT extract(epoch FROM clock_timestamp())")) or 0)

    def _take(self, connection: Connection, host: str, earliest: float, step: float) -> float:
        """Moves a host's time to `earliest` where that is later, and by a step; gives it without the step."""
        absurd = BUDGETS.c.next_at > earliest + LONGEST_REST  # written by a clock that was ahead
        later = case((absurd, earliest), (BUDGETS.c.next_at > earliest, BUDGETS.c.next_at), else_=earliest)
        taken = update(BUDGETS).where(BUDGETS.c.host == host).values(next_at=later + step).returning(BUDGETS.c.next_at)
        moved = connection.scalar(taken)
        if moved is None:
            insert_missing(connection, BUDGETS, [{"host": host, "next_at": 0.0}])
            moved = connection.scalar(taken)
        return float(moved or 0.0) - step
