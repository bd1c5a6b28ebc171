"""Whether an index holds what the catalogue says: document by document, a page at a time."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, Select, and_, bindparam, case, func, select

from indexer.database import Database
from indexer.documents import with_server_json
from indexer.projections.checkpoints import CATALOGUE, live_build, read_checkpoint
from indexer.projections.rows import ENTRIES, chunks
from indexer.search import SearchIndex
from indexer.sql import among, given
from indexer.store import RECORDS
from schemas.names import Position

ASKED_AT_ONCE = 500


@dataclass(slots=True)
class Comparison:
    """How an index differs from the catalogue: ids with the names that they are known by."""

    documents: int = 0
    missing: dict[str, str] = field(default_factory=dict)
    extra: dict[str, str] = field(default_factory=dict)
    different: dict[str, str] = field(default_factory=dict)

    @property
    def agree(self) -> bool:
        """Whether there is no difference."""
        return not (self.missing or self.extra or self.different)

    @property
    def summary(self) -> str:
        """The numbers, for a sentence."""
        return f"{len(self.missing)} missing, {len(self.extra)} extra, {len(self.different)} different"


@dataclass(frozen=True, slots=True)
class _Way:
    """How documents are held against entries: so many at once, by these fields or all, asked for and told apart so."""

    at_once: int
    fields: Sequence[str] | None
    entries: Callable[[str], Select[Any]]
    same: Callable[[Any, dict[str, Any]], bool]


def compare(database: Database, index: SearchIndex, uid: str, until: Position) -> Comparison:
    """Compares an index that was filled up to a position with the live build of the catalogue, whole documents.

    The caller holds the lock under which the index is filled. The catalogue may go on: an entry that it touched after
    `until` is not compared.
    """
    return _compare(database, index, uid, until, _Way(1_000, None, _whole, _same))


def compare_positions(database: Database, index: SearchIndex, uid: str, until: Position) -> Comparison:
    """The same, but of a document only its position: all that can differ in an index whose every task succeeded, for
    what an entry was at a position follows from the log.
    """
    return _compare(database, index, uid, until, _Way(5_000, ["id", "position"], _positions, _as_far))


def _compare(database: Database, index: SearchIndex, uid: str, until: Position, way: _Way) -> Comparison:
    found, compared = Comparison(), 0
    for page in index.pages(uid, way.at_once, way.fields):
        found.documents += len(page)
        ids = [str(document["id"]) for document in page]
        with database.read() as connection:
            entries = _by_id(connection, way.entries, ids)
        for id_, document in zip(ids, page, strict=True):
            entry = entries.get(id_)
            if entry is None or (entry.document is None and entry.position <= until):
                found.extra[id_] = str(document.get("name", id_))
            elif entry.position <= until:
                compared += 1
                if not way.same(entry, document):
                    found.different[id_] = entry.name
    with database.read() as connection:
        live = read_checkpoint(connection, CATALOGUE)
        stood_still = live is not None and live.position <= until  # else what was compared may not be counted
        if stood_still and compared == connection.scalar(select(func.count()).where(_in_the_index(connection, until))):
            return found  # none is missing, and none need be asked for
        for some in chunks(_names(connection, until), ASKED_AT_ONCE):
            there = index.present([id_ for id_, _ in some], uid)
            found.missing.update({id_: name for id_, name in some if id_ not in there})
    return found


def _same(entry: Any, document: dict[str, Any]) -> bool:
    return bool(orjson.loads(with_server_json(entry.document, entry.text)) == document)


def _as_far(entry: Any, document: dict[str, Any]) -> bool:
    return bool(entry.position == document.get("position"))


def expected_documents(connection: Connection, ids: list[str]) -> list[str]:
    """The documents of some ids, whole, as JSON texts, where the catalogue has one."""
    entries = _by_id(connection, _whole, ids).values()
    return [with_server_json(entry.document, entry.text) for entry in entries if entry.document is not None]


def _by_id(connection: Connection, entries: Callable[[str], Select[Any]], ids: list[str]) -> dict[str, Any]:
    wanted = {"of": live_build(connection), **given("ids", [(id_,) for id_ in ids])}
    return {row.id: row for row in connection.execute(entries(connection.dialect.name), wanted)}


@cache
def _whole(dialect: str) -> Select[Any]:
    query = select(ENTRIES.c.id, ENTRIES.c.name, ENTRIES.c.position, ENTRIES.c.document, RECORDS.c.text)
    query = query.outerjoin_from(ENTRIES, RECORDS, ENTRIES.c.record == RECORDS.c.id)
    return query.where(ENTRIES.c.build == bindparam("of"), among(dialect, "ids", ENTRIES.c.id))


@cache
def _positions(dialect: str) -> Select[Any]:
    there = case((ENTRIES.c.document.is_not(None), "")).label("document")  # what it says is not asked for
    query = select(ENTRIES.c.id, ENTRIES.c.name, ENTRIES.c.position, there)
    return query.where(ENTRIES.c.build == bindparam("of"), among(dialect, "ids", ENTRIES.c.id))


def _in_the_index(connection: Connection, until: Position) -> ColumnElement[bool]:
    return and_(ENTRIES.c.build == live_build(connection), ENTRIES.c.document.is_not(None), ENTRIES.c.position <= until)


def _names(connection: Connection, until: Position) -> Iterator[tuple[str, str]]:
    query = select(ENTRIES.c.id, ENTRIES.c.name).where(_in_the_index(connection, until))
    with connection.execute(query.execution_options(yield_per=ASKED_AT_ONCE)) as rows:
        for row in rows:
            yield row.id, row.name
