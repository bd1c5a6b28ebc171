"""Whether an index holds what the catalogue says: document by document, a page at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import orjson
from sqlalchemy import ColumnElement, Connection, and_, func, select

from indexer.database import Database
from indexer.documents import with_server_json
from indexer.projections.rows import ENTRIES, chunks
from indexer.projections.runner import LIVE, live_build, read_checkpoint
from indexer.search import SearchIndex
from indexer.store import RECORDS
from schemas.names import Position

AT_ONCE = 500


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


def compare(database: Database, index: SearchIndex, uid: str, until: Position) -> Comparison:
    """Compares an index that was filled up to a position with the live build of the catalogue.

    The caller holds the lock under which the index is filled. The catalogue may go on: an entry that it touched after
    `until` is not compared.
    """
    found, compared = Comparison(), 0
    for page in index.pages(uid, AT_ONCE):
        found.documents += len(page)
        ids = [str(document["id"]) for document in page]
        with database.read() as connection:
            rows = _rows(connection, ids)
        for id_, document in zip(ids, page, strict=True):
            row = rows.get(id_)
            if row is None or (row.document is None and row.position <= until):
                found.extra[id_] = str(document.get("name", id_))
            elif row.position <= until:
                compared += 1
                if orjson.loads(with_server_json(row.document, row.text)) != document:
                    found.different[id_] = row.name
    with database.read() as connection:
        live = read_checkpoint(connection, LIVE)
        stood_still = live is not None and live.position <= until  # else what was compared may not be counted
        if stood_still and compared == connection.scalar(select(func.count()).where(_in_the_index(connection, until))):
            return found  # none is missing, and none need be asked for
        for some in chunks(_names(connection, until), AT_ONCE):
            there = index.present([id_ for id_, _ in some], uid)
            found.missing.update({id_: name for id_, name in some if id_ not in there})
    return found


def expected_documents(connection: Connection, ids: list[str]) -> list[str]:
    """The documents of some ids, whole, as JSON texts, where the catalogue has one."""
    rows = _rows(connection, ids).values()
    return [with_server_json(row.document, row.text) for row in rows if row.document is not None]


def _rows(connection: Connection, ids: list[str]) -> dict[str, Any]:
    query = (
        select(ENTRIES.c.id, ENTRIES.c.name, ENTRIES.c.position, ENTRIES.c.document, RECORDS.c.text)
        .outerjoin_from(ENTRIES, RECORDS, ENTRIES.c.record == RECORDS.c.id)
        .where(ENTRIES.c.build == live_build(connection), ENTRIES.c.id.in_(ids))
    )
    return {row.id: row for row in connection.execute(query)}


def _in_the_index(connection: Connection, until: Position) -> ColumnElement[bool]:
    return and_(ENTRIES.c.build == live_build(connection), ENTRIES.c.document.is_not(None), ENTRIES.c.position <= until)


def _names(connection: Connection, until: Position) -> Iterator[tuple[str, str]]:
    query = select(ENTRIES.c.id, ENTRIES.c.name).where(_in_the_index(connection, until))
    with connection.execute(query.execution_options(yield_per=AT_ONCE)) as rows:
        for row in rows:
            yield row.id, row.name
