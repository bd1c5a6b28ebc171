"""Whether log, catalogue and index agree, and how they are made to.

The catalogue is held against one built anew from the log, the index against the catalogue document by document. What
is wrong with the log itself cannot be mended from anything; it is named.
"""

import io
from dataclasses import dataclass, field

from sqlalchemy import Connection, and_, func, select

from indexer.blanking import BLANK, DIGEST, REDACTIONS, blanked
from indexer.database import Database
from indexer.errors import IndexRefused, LogDamaged
from indexer.held import HELD
from indexer.projections import documents, rows, runner
from indexer.projections.checkpoints import CATALOGUE, live_build, read_checkpoint
from indexer.projections.compare import Comparison, compare, expected_documents
from indexer.projections.rows import VERSIONS, chunks
from indexer.search import SearchIndex
from indexer.store import EVENTS, RECORDS, STREAMS, last_of, last_position, read_log
from indexer.text import digest
from schemas.events import DecisionRedacted, RecordQuarantined, WithRecord
from schemas.names import Digest, Position, decisions_stream

NAMED = 100
"""So many of each difference are named; all are counted."""


@dataclass(slots=True)
class LogReport:
    """The log: how many events, and what is damaged."""

    events: int = 0
    damaged: list[str] = field(default_factory=list)


@dataclass(slots=True)
class CatalogueReport:
    """The catalogue: its entries in the index, its digest, and that of one built anew from the same events."""

    entries: int
    digest: str
    expected: str


@dataclass(slots=True)
class Report:
    """What `verify` found."""

    log: LogReport
    catalogue: CatalogueReport
    index: Comparison

    @property
    def ok(self) -> bool:
        """Whether log, catalogue and index agree."""
        return not self.log.damaged and self.catalogue.digest == self.catalogue.expected and self.index.agree


def verify(database: Database, index: SearchIndex) -> Report:
    """Brings catalogue and index to the log's end as it is now, and compares all three."""
    runner.catch_up(database)
    documents.catch_up(database, index)
    log = check_log(database)
    found = check_catalogue(database)
    with database.lock(documents.LOCK):
        filler = documents.open_filler(database, index)
        if filler is None:
            raise IndexRefused("The index was put there by somebody else just now; run the same command again.")
        filler.finish()
        return Report(log, found, compare(database, index, index.uid, filler.checkpoint.position))


def repair(database: Database, index: SearchIndex, report: Report) -> None:
    """Mends what a report found of catalogue and index, from the log; from a damaged log nothing is made."""
    if report.log.damaged:
        return
    if report.catalogue.digest != report.catalogue.expected:
        runner.rebuild(database)
        documents.rebuild(database, index)
        return
    with database.lock(documents.LOCK):
        for ids in chunks(report.index.extra, rows.NAMES_AT_ONCE):
            index.wait(index.delete(ids))
        for ids in chunks([*report.index.missing, *report.index.different], rows.NAMES_AT_ONCE):
            with database.read() as connection:
                wanted = expected_documents(connection, ids)
            if wanted:
                index.wait(index.send(io.BytesIO("\n".join(wanted).encode())))


def check_log(database: Database) -> LogReport:
    """Reads the whole log: streams without gaps, records that are what their digest says, what is held as it was
    recorded.
    """
    report = LogReport()
    blank: dict[Digest, Position] = {}
    decided: set[Digest] = set()
    after = 0
    with database.read() as connection:
        until = last_position(connection)
        report.damaged += [*_broken_streams(connection), *_wrongly_held(connection)]
    while True:
        try:
            with database.read() as connection:
                page = read_log(connection, after, until=until)
        except LogDamaged as error:
            report.events += 1
            report.damaged.append(f"event {error.position}: {error.reason}")
            after = error.position
            continue
        if not page:
            with database.read() as connection:
                report.damaged += _wrongly_blank(connection, blank, decided)
            return report
        report.events += len(page)
        for recorded in page:
            event = recorded.event
            if isinstance(event, DecisionRedacted):
                decided.add(event.digest)
            elif isinstance(event, WithRecord | RecordQuarantined) and event.redacted:
                blank.setdefault(event.digest, recorded.position)
            elif isinstance(event, WithRecord) and digest(event.record) != event.digest:
                report.damaged.append(f"event {recorded.position}: its record is not the one that its digest names")
        after = page[-1].position


def check_catalogue(database: Database) -> CatalogueReport:
    """The live catalogue's digest, and that of a build of the same events made beside it and dropped again; none where
    they cannot be read.
    """
    with database.lock(runner.BUILD_LOCK):
        while True:
            build = runner.begin_build(database)
            with database.read() as connection:
                live = read_checkpoint(connection, CATALOGUE)
                assert live is not None, "the catalogue was caught up"
                entries, found = rows.build_digest(connection, int(live.target))
            try:
                expected = runner.fill(database, build, until=live.position)
            except LogDamaged:
                expected = ""
            runner.drop_build(database)
            with database.read() as connection:
                redacted = last_of(connection, decisions_stream())
            if redacted <= live.position:
                return CatalogueReport(entries, found, expected)
            runner.catch_up(database)  # records went from below what was compared


def _wrongly_blank(connection: Connection, blank: dict[Digest, Position], decided: set[Digest]) -> list[str]:
    """Records that are blank and were not redacted, and the other way round."""
    known = blanked(connection, blank.keys() | decided)
    left = connection.scalars(
        select(REDACTIONS.c.digest).join(RECORDS, REDACTIONS.c.digest == DIGEST).where(RECORDS.c.text != BLANK)
    )
    found = [f"event {blank[one]}: its record is gone, and nobody redacted it" for one in blank.keys() - known]
    return found + [f"record {one}: it was redacted, and is there" for one in {*(decided - known), *left}]


def _broken_streams(connection: Connection) -> list[str]:
    """Streams whose revisions have a gap, or do not end where the stream is said to."""
    revisions = (
        select(EVENTS.c.stream, func.count().label("events"), func.max(EVENTS.c.revision).label("last"))
        .group_by(EVENTS.c.stream)
        .subquery()
    )
    query = (
        select(revisions.c.stream)
        .outerjoin_from(revisions, STREAMS, revisions.c.stream == STREAMS.c.stream)
        .where((revisions.c.events != revisions.c.last) | STREAMS.c.revision.is_distinct_from(revisions.c.last))
        .limit(NAMED)
    )
    empty = (
        select(STREAMS.c.stream)
        .outerjoin_from(
            STREAMS, EVENTS, (STREAMS.c.stream == EVENTS.c.stream) & (STREAMS.c.revision == EVENTS.c.revision)
        )
        .where(EVENTS.c.position.is_(None))
        .limit(NAMED)
    )
    broken = dict.fromkeys([*connection.scalars(query), *connection.scalars(empty)])
    return [f"stream {stream}: revisions are missing" for stream in broken]


def _wrongly_held(connection: Connection) -> list[str]:
    """Versions of which something else is held than the catalogue has from the log; it has to be at the log's end."""
    live = read_checkpoint(connection, CATALOGUE)
    if live is None or live.position != last_position(connection):
        return []  # a crawl goes on; what is held is ahead of the catalogue
    held = (
        select(HELD.c.source, HELD.c.key, HELD.c.slot)
        .outerjoin_from(
            HELD,
            VERSIONS,
            and_(
                VERSIONS.c.build == live_build(connection),
                VERSIONS.c.source == HELD.c.source,
                VERSIONS.c.key == HELD.c.key,
                VERSIONS.c.slot == HELD.c.slot,
            ),
        )
        .where(
            VERSIONS.c.digest.is_distinct_from(HELD.c.digest) | VERSIONS.c.withdrawn.is_distinct_from(HELD.c.withdrawn)
        )
        .limit(NAMED)
    )
    return [
        f"{source} {key} {slot}: what is held is not what was recorded last"
        for source, key, slot in connection.execute(held)
    ]
