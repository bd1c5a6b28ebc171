"""How far each reader of the log is: one row each, moved in the transaction of what it covers."""

from dataclasses import asdict, dataclass

from sqlalchemy import Connection, delete, select

from indexer.sql import insert_missing, upsert
from indexer.store import last_position
from indexer.tables import CheckpointRow, table
from schemas.names import Position

CHECKPOINTS = table(CheckpointRow)

CATALOGUE, CATALOGUE_NEXT = "catalogue", "catalogue.next"
DOCUMENTS, DOCUMENTS_NEXT = "documents", "documents.next"
"""The views that are read, and those that are built beside them."""
EXCHANGE = "exchange"
"""What was published."""


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far a view is, by which rules, and where it is kept."""

    name: str
    position: Position
    fingerprint: str
    target: str


def read_checkpoint(connection: Connection, name: str, *, lock: bool = False) -> Checkpoint | None:
    """A view's checkpoint, None where it was never begun; `lock` keeps others from moving it in this transaction."""
    query = select(CHECKPOINTS).where(CHECKPOINTS.c.name == name)
    row = connection.execute(query.with_for_update() if lock else query).one_or_none()
    return None if row is None else Checkpoint(row.name, row.position, row.fingerprint, row.target)


def write_checkpoint(connection: Connection, checkpoint: Checkpoint) -> None:
    """Moves a checkpoint, in the transaction of what it covers."""
    upsert(connection, CHECKPOINTS, [asdict(checkpoint)])


def begin_checkpoint(connection: Connection, checkpoint: Checkpoint) -> None:
    """Makes a checkpoint, unless another process made it meanwhile."""
    insert_missing(connection, CHECKPOINTS, [asdict(checkpoint)])


def drop_checkpoint(connection: Connection, name: str) -> None:
    """Forgets a view."""
    connection.execute(delete(CHECKPOINTS).where(CHECKPOINTS.c.name == name))


def live_build(connection: Connection) -> int:
    """The build of the catalogue that is read."""
    checkpoint = read_checkpoint(connection, CATALOGUE)
    return 0 if checkpoint is None else int(checkpoint.target)


def lags(connection: Connection) -> bool:
    """Whether the log has events that the catalogue or the index has not."""
    end = last_position(connection)
    views = [read_checkpoint(connection, name) for name in (CATALOGUE, DOCUMENTS)]
    return end > 0 and any(view is None or view.position < end for view in views)
