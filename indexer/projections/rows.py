"""The rows of the catalogue: how they are read and written. A build is one filling of its tables."""

import hashlib
from collections.abc import Collection, Iterable, Iterator, Sequence
from functools import cache
from typing import Any, TypeVar

from sqlalchemy import Connection, Select, and_, bindparam, delete, select

from indexer.blanking import BLANK
from indexer.sql import among, given
from indexer.store import RECORDS
from indexer.tables import CatalogueEntryRow, CatalogueListingRow, CatalogueSourceRow, CatalogueVersionRow, table
from indexer.text import read_json
from indexer.versions import FIELDS, Place, Version
from schemas.names import Digest, RecordId, ServerName, SourceName, StreamId, listing_stream

SOURCES, VERSIONS, ENTRIES = table(CatalogueSourceRow), table(CatalogueVersionRow), table(CatalogueEntryRow)
LISTINGS = table(CatalogueListingRow)
NAMES_AT_ONCE = 200

assert tuple(VERSIONS.columns.keys()) == ("build", *FIELDS), "a version is its row, but for the build"

_T = TypeVar("_T")

_VERSION_COLUMNS = [VERSIONS.c[name] for name in FIELDS]
_VERSIONS_LISTED = and_(
    VERSIONS.c.source == LISTINGS.c.source,
    VERSIONS.c.key == LISTINGS.c.key,
    VERSIONS.c.build == LISTINGS.c.build,
    VERSIONS.c.name == LISTINGS.c.name,
)
"""The versions that have a listing's name now: it may have had others."""


def clear(connection: Connection, keep: Iterable[int]) -> None:
    """Drops every build but those to keep."""
    for rows in (SOURCES, VERSIONS, LISTINGS, ENTRIES):
        connection.execute(delete(rows).where(rows.c.build.not_in(list(keep))))


def build_digest(connection: Connection, build: int) -> tuple[int, str]:
    """How many entries a build has, and a digest of them and of the versions that they were made of."""
    hashed = hashlib.sha256()
    versions = select(*_VERSION_COLUMNS).where(VERSIONS.c.build == build)
    entries = select(ENTRIES.c.id, ENTRIES.c.name, ENTRIES.c.position, ENTRIES.c.record, ENTRIES.c.document)
    count = 0
    for row in _stream(connection, versions.order_by(VERSIONS.c.source, VERSIONS.c.key, VERSIONS.c.slot)):
        hashed.update(repr(tuple(row)).encode())
    for row in _stream(connection, entries.where(ENTRIES.c.build == build).order_by(ENTRIES.c.id)):
        hashed.update(repr(tuple(row)).encode())
        count += row.document is not None
    return count, hashed.hexdigest()


def read_versions(connection: Connection, build: int, names: Sequence[ServerName]) -> dict[ServerName, list[Version]]:
    """Every version that any source ever showed of some servers."""
    found: dict[ServerName, list[Version]] = {name: [] for name in names}
    wanted = {"of": build, **given("names", [(name,) for name in names])}
    for row in connection.execute(_versions_named(connection.dialect.name), wanted):
        version = Version(*row)
        found[version.name].append(version)
    return found


def streams_of(connection: Connection, build: int, names: Collection[ServerName]) -> list[StreamId]:
    """The streams of all listings that ever had one of some names."""
    query = select(LISTINGS.c.source, LISTINGS.c.key).where(LISTINGS.c.build == build, LISTINGS.c.name.in_(names))
    rows = connection.execute(query.distinct())
    return sorted(listing_stream(source, key) for source, key in rows)


def versions_at(connection: Connection, build: int, places: Collection[Place]) -> dict[Place, Version]:
    """The versions at some places."""
    rows = connection.execute(_versions_at(connection.dialect.name), {"of": build, **given("places", places)})
    versions = (Version(*row) for row in rows)
    return {version.place: version for version in versions}


def versions_of(connection: Connection, build: int, digests: Collection[Digest]) -> dict[Place, Version]:
    """The versions whose record has one of some digests; of what is seldom asked, so no index has them."""
    if not digests:
        return {}
    of_digests = among(connection.dialect.name, "digests", VERSIONS.c.digest)
    wanted = select(*_VERSION_COLUMNS).where(VERSIONS.c.build == build, of_digests)
    rows = connection.execute(wanted, given("digests", [(one,) for one in digests]))
    versions = (Version(*row) for row in rows)
    return {version.place: version for version in versions}


def names_folded(connection: Connection, build: int, folded: Collection[str]) -> list[tuple[ServerName, str]]:
    """The names of entries that are some texts but for their case, each with the text."""
    if not folded:
        return []
    wanted = {"of": build, **given("folded", [(one,) for one in folded])}
    return [(name, one) for name, one in connection.execute(_names_folded(connection.dialect.name), wanted)]


def records_of(connection: Connection, ids: Collection[RecordId]) -> dict[RecordId, Any]:
    """Some raw records, parsed."""
    if not ids:
        return {}
    rows = connection.execute(_records_of(connection.dialect.name), given("ids", [(one,) for one in ids]))
    return {row.id: read_json(row.text) for row in rows if row.text != BLANK}


def names_listed(connection: Connection, build: int, sources: list[SourceName]) -> Iterator[list[ServerName]]:
    """The names that some sources list, in pages."""
    query = (
        select(LISTINGS.c.name)
        .join_from(LISTINGS, VERSIONS, _VERSIONS_LISTED)
        .where(LISTINGS.c.build == build, LISTINGS.c.source.in_(sources))
        .distinct()
        .order_by(LISTINGS.c.name)
        .limit(NAMES_AT_ONCE)
    )
    after = query
    while sources and (names := [ServerName(name) for name in connection.scalars(after)]):
        yield names
        after = query.where(LISTINGS.c.name > names[-1])


def chunks(values: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """The values in lists of at most `size`."""
    chunk: list[_T] = []
    for value in values:
        chunk.append(value)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


@cache
def _versions_named(dialect: str) -> Select[Any]:
    named = among(dialect, "names", LISTINGS.c.name)
    query = select(*_VERSION_COLUMNS).join_from(LISTINGS, VERSIONS, _VERSIONS_LISTED)
    return query.where(LISTINGS.c.build == bindparam("of"), named)


@cache
def _versions_at(dialect: str) -> Select[Any]:
    places = among(dialect, "places", VERSIONS.c.source, VERSIONS.c.key, VERSIONS.c.slot)
    return select(*_VERSION_COLUMNS).where(VERSIONS.c.build == bindparam("of"), places)


@cache
def _names_folded(dialect: str) -> Select[Any]:
    query = select(ENTRIES.c.name, ENTRIES.c.folded)
    return query.where(ENTRIES.c.build == bindparam("of"), among(dialect, "folded", ENTRIES.c.folded))


@cache
def _records_of(dialect: str) -> Select[Any]:
    return select(RECORDS).where(among(dialect, "ids", RECORDS.c.id))


def _stream(connection: Connection, query: Any) -> Iterator[Any]:
    with connection.execute(query.execution_options(yield_per=1_000)) as rows:
        yield from rows
