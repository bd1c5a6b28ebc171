"""Whether an index holds what the catalogue says: document by document, a page at a time."""

from collections.abc import Iterator
from dataclasses import dataclass, field

import orjson
from sqlalchemy import Connection, func, select

from indexer.database import Database
from indexer.documents import with_server_json
from indexer.projections.catalogue import ENTRIES, chunks
from indexer.projections.runner import live_build
from indexer.search import SearchIndex
from indexer.store import RECORDS

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


def compare(database: Database, index: SearchIndex, uid: str) -> Comparison:
    """Compares an index with the live build of the catalogue; nobody else may be filling either."""
    found = Comparison()
    matched = 0
    for page in index.pages(uid, AT_ONCE):
        found.documents += len(page)
        with database.read() as connection:
            expected = expected_documents(connection, [document["id"] for document in page])
        for document in page:
            if document["id"] not in expected:
                found.extra[document["id"]] = str(document.get("name", document["id"]))
            elif orjson.loads(expected[document["id"]]) == document:
                matched += 1
            else:
                found.different[document["id"]] = str(orjson.loads(expected[document["id"]])["name"])
    with database.read() as connection:
        if matched + len(found.different) < documents_expected(connection):
            for some in chunks(_names(connection), AT_ONCE):
                there = index.present([id_ for id_, _ in some], uid)
                found.missing.update({id_: name for id_, name in some if id_ not in there})
    return found


def documents_expected(connection: Connection) -> int:
    """How many documents the catalogue says that the index holds."""
    query = select(func.count()).where(ENTRIES.c.build == live_build(connection), ENTRIES.c.document.is_not(None))
    return connection.scalar(query) or 0


def expected_documents(connection: Connection, ids: list[str]) -> dict[str, str]:
    """The documents of some ids, whole, as JSON texts, where the catalogue has one."""
    query = (
        select(ENTRIES.c.id, ENTRIES.c.document, RECORDS.c.text)
        .join_from(ENTRIES, RECORDS, ENTRIES.c.digest == RECORDS.c.digest)
        .where(ENTRIES.c.build == live_build(connection), ENTRIES.c.id.in_(ids), ENTRIES.c.document.is_not(None))
    )
    return {row.id: with_server_json(row.document, row.text) for row in connection.execute(query)}


def _names(connection: Connection) -> Iterator[tuple[str, str]]:
    query = select(ENTRIES.c.id, ENTRIES.c.name).where(
        ENTRIES.c.build == live_build(connection), ENTRIES.c.document.is_not(None)
    )
    with connection.execution_options(yield_per=AT_ONCE).execute(query) as rows:
        for row in rows:
            yield row.id, row.name
