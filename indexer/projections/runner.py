"""Brings the catalogue over the log: the rows of a page of events and the checkpoint in one transaction.

What a page makes of the catalogue is derived before that transaction begins. Only who moves the checkpoint changes a
build; so where another process moved it meanwhile, what was derived is dropped.

A checkpoint carries the fingerprint of the rules that built it. Under other rules the catalogue is built anew beside
the live one, which goes on being read until the new one has caught up and takes its place in the transaction of its
last page.
"""

from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection

from indexer.database import Database
from indexer.errors import StoreUnavailable
from indexer.projections import catalogue, rows
from indexer.projections.checkpoints import (
    CATALOGUE,
    CATALOGUE_NEXT,
    Checkpoint,
    begin_checkpoint,
    drop_checkpoint,
    live_build,
    read_checkpoint,
    write_checkpoint,
)
from indexer.projections.tail import Tail
from indexer.store import PAGE_EVENTS, last_position, read_log
from schemas.names import Position

BUILD_LOCK = "catalogue.next"
"""Held by whoever builds the catalogue beside the live one."""

Progress = Callable[[int], None]


def catch_up(
    database: Database, progress: Progress = lambda _: None, *, limit: int | None = None, tail: Tail | None = None
) -> Position:
    """Brings the catalogue to the end of the log, under this program's rules; gives its checkpoint. What `tail` holds
    is not read back from the log.
    """
    while True:
        with database.read() as connection:
            live = read_checkpoint(connection, CATALOGUE)
            ours = live is not None and live.fingerprint == catalogue.fingerprint()
            step = _next(connection, live, limit=limit, tail=tail) if live is not None and ours else None
        if live is None:
            with database.write() as connection:
                begin_checkpoint(connection, Checkpoint(CATALOGUE, Position(0), catalogue.fingerprint(), "1"))
        elif not ours:
            rebuild(database, progress, only_under_other_rules=True)
        elif step is None:
            return live.position
        elif _take(database, step):
            progress(step.after.position)


def rebuild(
    database: Database, progress: Progress = lambda _: None, *, only_under_other_rules: bool = False
) -> Position:
    """Builds the catalogue anew beside the live one, and puts it in its place; gives its checkpoint."""
    with database.lock(BUILD_LOCK):
        with database.read() as connection:
            live = read_checkpoint(connection, CATALOGUE)
        if only_under_other_rules and live is not None and live.fingerprint == catalogue.fingerprint():
            return live.position
        build = begin_build(database)
        while True:
            build = _filled(database, build, progress=progress)
            with database.write() as connection:
                read_checkpoint(connection, CATALOGUE, lock=True)  # nobody moves it on from here: it never goes back
                if last_position(connection) > build.position:
                    continue
                write_checkpoint(connection, Checkpoint(CATALOGUE, build.position, build.fingerprint, build.target))
                drop_checkpoint(connection, CATALOGUE_NEXT)
                rows.clear(connection, keep=[int(build.target)])
                return build.position


def begin_build(database: Database) -> Checkpoint:
    """An empty build beside the live one; what an unfinished one left is dropped."""
    with database.write() as connection:
        live = live_build(connection)
        build = Checkpoint(CATALOGUE_NEXT, Position(0), catalogue.fingerprint(), str(live + 1))
        rows.clear(connection, keep=[live])
        write_checkpoint(connection, build)
    return build


def fill(database: Database, build: Checkpoint, *, until: Position) -> str:
    """Brings a build to a position; gives its digest."""
    _filled(database, build, until=until)
    with database.read() as connection:
        return rows.build_digest(connection, int(build.target))[1]


def drop_build(database: Database) -> None:
    """Drops the build beside the live one."""
    with database.write() as connection:
        drop_checkpoint(connection, CATALOGUE_NEXT)
        rows.clear(connection, keep=[live_build(connection)])


def drop_unfinished(database: Database) -> None:
    """Drops what a rebuild left that ended half-way; one that goes on is let be."""
    with database.try_lock(BUILD_LOCK) as free:
        if free:
            drop_build(database)


def _filled(
    database: Database, build: Checkpoint, *, until: int | None = None, progress: Progress = lambda _: None
) -> Checkpoint:
    """The build beside the live one, brought to a position or to the end of the log."""
    while True:
        with database.read() as connection:
            step = _next(connection, build, until=until)
        if step is None:
            return build
        if not _take(database, step):
            raise StoreUnavailable("The build of the catalogue was dropped by another process; run the command again.")
        build = step.after
        progress(build.position)


@dataclass(frozen=True, slots=True)
class _Step:
    """A page of the log further: the checkpoint before and after it, and what it makes of the build."""

    before: Checkpoint
    after: Checkpoint
    changes: catalogue.Changes


def _next(
    connection: Connection,
    checkpoint: Checkpoint,
    *,
    limit: int | None = None,
    until: int | None = None,
    tail: Tail | None = None,
) -> _Step | None:
    """The next step, None at the log's end."""
    page = tail.take(checkpoint.position) if tail is not None else []
    page = page or read_log(connection, checkpoint.position, until=until, limit=limit or PAGE_EVENTS)
    if not page:
        return None
    found = catalogue.changes(connection, int(checkpoint.target), page)
    moved = Checkpoint(checkpoint.name, page[-1].position, checkpoint.fingerprint, checkpoint.target)
    return _Step(checkpoint, moved, found)


def _take(database: Database, step: _Step) -> bool:
    """Takes a step; whether nobody else has moved the checkpoint since."""
    with database.write() as connection:
        if read_checkpoint(connection, step.before.name, lock=True) != step.before:
            return False
        catalogue.apply(connection, int(step.after.target), step.changes)
        write_checkpoint(connection, step.after)
        return True
