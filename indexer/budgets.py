"""How often a host may be asked: one budget a host, in the database, shared by all processes.

A budget fills at so many requests a minute and holds half a minute's worth; whoever takes one when it is empty is
told how long to wait for theirs (the generic cell rate algorithm: one number a host).
"""

from collections.abc import Callable

from sqlalchemy import Connection, case, text, update

from indexer.database import Database
from indexer.sql import insert_missing
from indexer.tables import BudgetRow, table

BUDGETS = table(BudgetRow)
HELD_SECONDS = 30.0
LONGEST_REST = 2 * 86_400.0
"""Nobody is made to wait for so many seconds."""


class HostBudgets:
    """The budgets of all hosts. `clock` gives seconds since 1970; on Postgres it is the database's own."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock

    def reserve(self, host: str, per_minute: int) -> float:
        """Takes one request of a host's budget; gives the seconds to wait before it may be sent."""
        step = 60.0 / per_minute
        with self._database.write() as connection:
            now = self._now(connection)
            start = self._take(connection, host, now - HELD_SECONDS, step)
        return max(0.0, start - now)

    def rest(self, host: str, seconds: float) -> None:
        """Nobody asks a host before so many seconds have passed, for it said so."""
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
