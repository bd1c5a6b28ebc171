"""Takes over a log that was exported: into an empty one, or on from where an import ended half-way.

Events are appended a batch at a time with the working state that follows from them, so an import may be killed
anywhere. Until it is complete nobody crawls on what is there of it: the log would be another one from then on.
"""

from collections.abc import Callable, Iterator

from sqlalchemy import Connection, select

from indexer.clock import to_micros
from indexer.database import Database
from indexer.errors import ConfigurationError, ImportRefused
from indexer.exported import Exported, Reading
from indexer.projections.checkpoints import Checkpoint, drop_checkpoint, read_checkpoint, write_checkpoint
from indexer.restoring import restore
from indexer.store import EVENTS, last_position
from schemas.events import Recorded

IMPORT = "import"
"""The checkpoint of an import that is not complete."""
BATCH_EVENTS = 2_000
BATCH_BYTES = 8 * 2**20

_OF_ANOTHER = "What this database has of an import is of another file, or a damaged one; import into an empty database."


def import_log(database: Database, reading: Reading, progress: Callable[[int], None] = lambda _: None) -> Exported:
    """Appends what the log does not have of an export; all that it has must be the same. Gives what the export holds.

    Raises ImportRefused where the log is another one, or the export is damaged or cut.
    """
    with database.try_lock(IMPORT) as free:
        if not free:
            raise ImportRefused("Another import goes on in this database; wait for it to end.")
        with database.read() as connection:
            here, unfinished = last_position(connection), read_checkpoint(connection, IMPORT)
        for batch in _batches(reading, cut=here):
            if batch[0].position <= here:
                with database.read() as connection:
                    _compare(connection, batch)
                if batch[-1].position == here and unfinished is not None and unfinished.fingerprint != reading.digest:
                    raise ImportRefused(_OF_ANOTHER)
            else:
                with database.write() as connection:
                    write_checkpoint(connection, Checkpoint(IMPORT, reading.position, reading.digest, ""))
                    restore(connection, batch)
            progress(batch[-1].position)
        if unfinished is not None and reading.position < here:
            raise ImportRefused(_OF_ANOTHER)
        with database.write() as connection:
            drop_checkpoint(connection, IMPORT)
    assert reading.exported is not None, "the end was reached"
    return reading.exported


def refuse_unfinished(database: Database) -> None:
    """Raises ConfigurationError where an import is not complete."""
    with database.read() as connection:
        unfinished = read_checkpoint(connection, IMPORT)
        here = last_position(connection) if unfinished is not None else 0
    if unfinished is not None:
        raise ConfigurationError(
            f"An import into {database.shown} is not complete, it has {here} of {unfinished.position} events: run "
            "`mcp-indexer import` with the same file again, or begin with an empty database."
        )


def _compare(connection: Connection, known: list[Recorded]) -> None:
    """Raises ImportRefused where the log has other events than these at their positions."""
    between = EVENTS.c.position.between(known[0].position, known[-1].position)
    columns = (EVENTS.c[name] for name in ("position", "stream", "revision", "type", "recorded_at", "crawl"))
    here = {row[0]: tuple(row) for row in connection.execute(select(*columns).where(between))}
    for one in known:
        same = (one.position, one.stream, one.revision, one.event.type, to_micros(one.recorded_at), one.crawl)
        if here.get(one.position) != same:
            raise ImportRefused(
                f"The log in this database is another one: its event {one.position} is not that of the export. Nothing "
                "was imported; import into an empty database."
            )


def _batches(reading: Reading, *, cut: int) -> Iterator[list[Recorded]]:
    """The events in batches of bounded size, one of which ends at the position `cut`."""
    batch: list[Recorded] = []
    began = 0
    for one in reading.events():
        batch.append(one)
        if len(batch) == BATCH_EVENTS or reading.size - began > BATCH_BYTES or one.position == cut:
            yield batch
            batch, began = [], reading.size
    if batch:
        yield batch
