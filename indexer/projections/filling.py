"""Fills an index with what the catalogue holds: few large tasks, a checkpoint that moves over succeeded ones only.

Several tasks may be in flight. The checkpoint is the end of the unbroken run of those that succeeded; a crash sends
the rest again, which is harmless.
"""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from tempfile import TemporaryFile
from typing import Any, BinaryIO

from sqlalchemy import Select, bindparam, select, tuple_

from indexer.database import Database
from indexer.documents import with_server_json
from indexer.errors import IndexUnavailable
from indexer.projections.checkpoints import CATALOGUE, Checkpoint, live_build, read_checkpoint, write_checkpoint
from indexer.projections.rows import ENTRIES, chunks
from indexer.search import SearchIndex
from indexer.store import RECORDS
from indexer.tables import BIG, TEXT
from schemas.names import Position

BATCH_DOCUMENTS = 20_000
BATCH_BYTES = 32 * 2**20
IN_FLIGHT = 4
READ_AT_ONCE = 500
DELETE_AT_ONCE = 1_000

FillPoint = tuple[int, str]
"""A point in the order in which the index is filled: a position, and an id among the entries of that position."""
LAST_ID = "~"
"""Behind every id."""


@dataclass(frozen=True, slots=True)
class Batch:
    """What goes to the index next: a file of whole documents, one a line, and how many; ids to delete, the position
    that is reached with it, and the point behind which the next one begins.
    """

    documents: BinaryIO
    count: int
    gone: list[str]
    reached: Position
    point: FillPoint


class Filler:
    """Fills one index from the catalogue, from its checkpoint on; whoever has it holds the lock of that index."""

    def __init__(self, database: Database, index: SearchIndex, checkpoint: Checkpoint, uid: str) -> None:
        self._database, self._index, self._uid = database, index, uid
        self.checkpoint = checkpoint
        self._sent: FillPoint = (checkpoint.position, LAST_ID)
        self._flying: deque[tuple[list[int], Position]] = deque()

    def push(self) -> None:
        """Sends what the catalogue holds beyond what was sent; waits only where too many tasks are in flight."""
        for batch in self._batches():
            tasks = [self._index.delete(ids, self._uid) for ids in chunks(batch.gone, DELETE_AT_ONCE)]
            if batch.count:
                tasks.append(self._index.send(batch.documents, self._uid))
            self._flying.append((tasks, batch.reached))
            self._sent = batch.point
            while len(self._flying) > IN_FLIGHT:
                self._land()

    def finish(self) -> None:
        """Sends everything, and waits until the index has it."""
        self.push()
        while self._flying:
            self._land()

    def note_landed(self) -> bool:
        """Takes note of what the index has by now, without waiting; whether that is all that was sent."""
        while self._flying and all(self._index.succeeded(task) for task in self._flying[0][0]):
            self._land()
        return not self._flying

    def _land(self) -> None:
        tasks, reached = self._flying[0]
        for task in tasks:
            self._index.wait(task)
        self._flying.popleft()
        was = self.checkpoint
        if reached == was.position:
            return
        landed = Checkpoint(was.name, reached, was.fingerprint, was.target)
        with self._database.write() as connection:
            now = read_checkpoint(connection, was.name, lock=True)
            alone = now is None or now.target != was.target or now.position == was.position
            # One of two lost its lock with its connection. Which document came last nobody knows: all are sent again.
            write_checkpoint(connection, landed if alone else min(was, now or was, key=lambda one: one.position))
        if not alone:
            raise IndexUnavailable(
                "Another process fills the index meanwhile; what is not there yet is sent by whoever comes next."
            )
        self.checkpoint = landed

    def _batches(self) -> Iterator[Batch]:
        """What the catalogue holds after what was sent, cut where a batch is full; the last one reaches the
        catalogue's end. A batch is good until the next one is asked for.
        """
        with self._database.read() as connection:
            reached = read_checkpoint(connection, CATALOGUE)
        if reached is None or (reached.position, LAST_ID) <= self._sent:
            return
        point = self._sent
        with _temporary_file() as documents:
            count, gone = 0, list[str]()
            for id_, position, document, text in self._rows(self._sent, reached.position):
                if documents.tell() >= BATCH_BYTES or max(count, len(gone)) >= BATCH_DOCUMENTS:
                    # Another entry of the same position may follow: only what is before it is complete.
                    complete = Position(max(self.checkpoint.position, position - 1))
                    documents.flush()  # what does not fit is found out here, not while it is sent
                    yield Batch(documents, count, gone, complete, point)
                    documents.seek(0)
                    documents.truncate()
                    count, gone = 0, []
                point = (position, id_)
                if document is None:
                    gone.append(id_)
                else:
                    documents.write(with_server_json(document, text).encode() + b"\n")
                    count += 1
            documents.flush()
            yield Batch(documents, count, gone, reached.position, (reached.position, LAST_ID))

    def _rows(self, after: FillPoint, until: int) -> Iterator[Any]:
        """The entries after a point, in their order, a page at a time."""
        while True:
            wanted = {"until": until, "position": after[0], "id": after[1], "most": READ_AT_ONCE}
            with self._database.read() as connection:
                rows = connection.execute(_after(), {"of": live_build(connection), **wanted}).all()
            yield from rows
            if len(rows) < READ_AT_ONCE:
                return
            after = (rows[-1].position, rows[-1].id)


@cache
def _after() -> Select[Any]:
    point = tuple_(bindparam("position", type_=BIG), bindparam("id", type_=TEXT))
    return (
        select(ENTRIES.c.id, ENTRIES.c.position, ENTRIES.c.document, RECORDS.c.text)
        .outerjoin_from(ENTRIES, RECORDS, ENTRIES.c.record == RECORDS.c.id)
        .where(
            ENTRIES.c.build == bindparam("of"),
            ENTRIES.c.position <= bindparam("until"),
            tuple_(ENTRIES.c.position, ENTRIES.c.id) > point,
        )
        .order_by(ENTRIES.c.position, ENTRIES.c.id)
        .limit(bindparam("most"))
    )


@contextmanager
def _temporary_file() -> Iterator[BinaryIO]:
    """A file of its own that is gone with its process. Raises IndexUnavailable where it does not take what is written.

    Documents wait in it, not in memory; and nothing is kept from the database while Meilisearch takes them.
    """
    try:
        with TemporaryFile() as file:
            yield file
    except OSError as error:
        raise IndexUnavailable(
            f"What goes to the index does not fit into a temporary file ({error.strerror or error}); make room where "
            "temporary files are kept, or set TMPDIR to another folder. What was crawled is in the log."
        ) from error
