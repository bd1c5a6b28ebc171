"""A database whose process can be killed: from some write transaction on, nothing of it happens any more."""

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from indexer.database import Database


class Killed(BaseException):
    """The process is gone. No Exception: what catches those does not catch SIGKILL."""


class Mortal(Database):
    """Dies in one of the next write transactions, before its commit or just after it."""

    def __init__(self, url: str) -> None:
        super().__init__(url)
        self._left: int | None = None
        self._committed = False
        self.dead = False

    def die(self, after: int, *, committed: bool) -> None:
        """Lets so many more transactions through; the next one's commit is the last that happens, or does not."""
        self._left, self._committed = after, committed

    def revive(self) -> None:
        """Another process, that lives."""
        self._left, self.dead = None, False

    @contextmanager
    def write(self) -> Iterator[Connection]:
        if self.dead:
            raise Killed
        with super().write() as connection:
            yield connection
            last = self._counted()
            if last and not self._committed:
                raise Killed
        if last:
            raise Killed

    def _counted(self) -> bool:
        """Whether this transaction is the one to die in."""
        if self._left is None:
            return False
        self._left -= 1
        self.dead = self._left < 0
        return self.dead
