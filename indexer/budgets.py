"""How often a host may be asked: one budget a host, in the database, shared by all processes.

A budget fills at so many requests a minute and holds half a minute's worth; whoever takes one when it is empty is
told how long to wait for theirs (the generic cell rate algorithm: one number a host).
"""

from collections.abc import Callable

from sqlalchemy import Connection, select, text

from indexer.database import Database
from indexer.sql import insert_missing, upsert
from indexer.tables import BudgetRow, table

BUDGETS = table(BudgetRow)
HELD_SECONDS = 30.0


class HostBudgets:
    """The budgets of all hosts. `clock` gives seconds since 1970; on Postgres it is the database's own."""

    def __init__(self, database: Database, clock: Callable[[], float]) -> None:
        self._database, self._clock = database, clock

    def reserve(self, host: str, per_minute: int) -> float:
        """Takes one request of a host's budget; gives the seconds to wait before it may be sent."""
        with self._database.write() as connection:
            now = self._now(connection)
            next_at = self._next_at(connection, host)
            start = max(next_at, now - HELD_SECONDS)
            self._keep(connection, host, start + 60.0 / per_minute)
        return max(0.0, start - now)

    def rest(self, host: str, seconds: float) -> None:
        """Nobody asks a host before so many seconds have passed, for it said so."""
        with self._database.write() as connection:
            next_at = self._next_at(connection, host)
            self._keep(connection, host, max(next_at, self._now(connection) + seconds))

    def _now(self, connection: Connection) -> float:
        if self._database.is_sqlite:
            return self._clock()
        return float(connection.scalar(text("SELECT extract(epoch FROM clock_timestamp())")) or 0)

    def _next_at(self, connection: Connection, host: str) -> float:
        insert_missing(connection, BUDGETS, [{"host": host, "next_at": 0.0}])
        found = connection.scalar(select(BUDGETS.c.next_at).where(BUDGETS.c.host == host).with_for_update())
        return float(found or 0.0)

    def _keep(self, connection: Connection, host: str, next_at: float) -> None:
        upsert(connection, BUDGETS, [{"host": host, "next_at": next_at}])
