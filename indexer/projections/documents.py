"""Keeps the live index at the catalogue, and puts a rebuilt one in its place.

A checkpoint names the filling of the index that it speaks of: an index that was deleted, swapped or made by somebody
else is known by that, and one under other rules or settings is rebuilt beside the live one. Documents that somebody
deletes from an index that stays are found by `verify`.
"""

import hashlib
import time

from sqlalchemy import func, select

from indexer.database import LOCK_POLL_SECONDS, Database
from indexer.errors import IndexRefused
from indexer.projections import catalogue
from indexer.projections.checkpoints import (
    CATALOGUE,
    DOCUMENTS,
    DOCUMENTS_NEXT,
    Checkpoint,
    drop_checkpoint,
    live_build,
    read_checkpoint,
    write_checkpoint,
)
from indexer.projections.compare import compare_positions
from indexer.projections.filling import Filler
from indexer.projections.rows import ENTRIES
from indexer.search import SearchIndex
from indexer.search_settings import settings_fingerprint
from schemas.names import Position

LOCK = "documents"
"""Held by whoever fills the live index."""
BUILD_LOCK = "documents.next"
"""Held by whoever fills one beside it."""


def fingerprint() -> str:
    """What the index depends on besides the log: the catalogue's rules, and the settings."""
    return hashlib.sha256(f"{catalogue.fingerprint()} {settings_fingerprint()}".encode()).hexdigest()[:32]


def waiting(database: Database, most: int) -> int:
    """How many entries the catalogue holds that the live index does not, counted no further than `most`."""
    with database.read() as connection:
        live = read_checkpoint(connection, DOCUMENTS)
        after = 0 if live is None else live.position
        entries = select(ENTRIES.c.id).where(ENTRIES.c.build == live_build(connection), ENTRIES.c.position > after)
        return connection.scalar(select(func.count()).select_from(entries.limit(most).subquery())) or 0


def catch_up(database: Database, index: SearchIndex) -> Position:
    """Brings the index to where the catalogue is now; gives its checkpoint. Another process may do it meanwhile."""
    with database.read() as connection:
        goal = read_checkpoint(connection, CATALOGUE)
    if goal is None:
        return Position(0)
    while True:
        with database.try_lock(LOCK) as held:
            if held:
                filler = open_filler(database, index)
                if filler is not None:
                    filler.finish()
                    _drop_unfinished(database, index)
                    return filler.checkpoint.position
        if held:
            rebuild(database, index)
            continue
        with database.read() as connection:
            live = read_checkpoint(connection, DOCUMENTS)
        if live is not None and live.position >= goal.position:
            return live.position
        time.sleep(LOCK_POLL_SECONDS)


def open_filler(database: Database, index: SearchIndex) -> Filler | None:
    """What goes on filling the live index, under the lock; None where it must be rebuilt first. Makes a missing
    index.
    """
    index.await_leftovers()
    identity = index.identity()
    with database.read() as connection:
        live, unfinished = read_checkpoint(connection, DOCUMENTS), read_checkpoint(connection, DOCUMENTS_NEXT)
    if identity is None:
        live = Checkpoint(DOCUMENTS, Position(0), fingerprint(), index.create(index.uid))
    elif unfinished is not None and unfinished.target == identity:
        # A swap was made, and whoever made it ended before noting it.
        live = Checkpoint(DOCUMENTS, unfinished.position, unfinished.fingerprint, identity)
    elif live is None or live.target != identity:
        return None
    elif live.fingerprint == fingerprint():
        return Filler(database, index, live, index.uid)
    _note(database, live)
    return Filler(database, index, live, index.uid) if live.fingerprint == fingerprint() else None


def rebuild(database: Database, index: SearchIndex) -> Position:
    """Fills a new index beside the live one, checks it, and swaps it in; gives its checkpoint.

    The live index goes on meanwhile. Raises IndexRefused where the new index is not what the catalogue says.
    """
    with database.lock(BUILD_LOCK):
        index.await_leftovers()
        index.drop(index.next_uid)
        checkpoint = Checkpoint(DOCUMENTS_NEXT, Position(0), fingerprint(), index.create(index.next_uid))
        with database.write() as connection:
            write_checkpoint(connection, checkpoint)
        filler = Filler(database, index, checkpoint, index.next_uid)
        filler.finish()
        with database.lock(LOCK):
            filler.finish()
            found = compare_positions(database, index, index.next_uid, filler.checkpoint.position)
            if not found.agree:
                raise IndexRefused(
                    f"The rebuilt index differs from the catalogue ({found.summary}); it was not put in place, and the "
                    "one that was there goes on. Try again; where it happens again, look at Meilisearch's log."
                )
            if index.identity() is None:
                index.create(index.uid)
            index.swap()
            reached = filler.checkpoint
            _note(database, Checkpoint(DOCUMENTS, reached.position, reached.fingerprint, reached.target))
        index.drop(index.next_uid)
        return reached.position


def _drop_unfinished(database: Database, index: SearchIndex) -> None:
    """Drops what a rebuild left beside the live index that ended half-way; the caller holds the lock `LOCK`."""
    with database.try_lock(BUILD_LOCK) as free:
        if not free:
            return
        index.drop(index.next_uid)
        with database.read() as connection:
            noted = read_checkpoint(connection, DOCUMENTS_NEXT)
        if noted is not None:
            with database.write() as connection:
                drop_checkpoint(connection, DOCUMENTS_NEXT)


def _note(database: Database, live: Checkpoint) -> None:
    """Keeps the live index's checkpoint, and forgets the build that it came from."""
    with database.write() as connection:
        write_checkpoint(connection, live)
        drop_checkpoint(connection, DOCUMENTS_NEXT)
