"""What is held: the last that was recorded of each version, which a page is compared with."""

from collections.abc import Collection, Iterable
from functools import cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, select, tuple_

from indexer.listing import Held
from indexer.sql import among, given
from indexer.tables import HeldRow, table
from schemas.names import ListingKey, Slot, SourceName

HELD = table(HeldRow)

ListingSlot = tuple[ListingKey, Slot]
"""Where a version is held: its listing and its slot."""

MOST_OTHERS = 100
"""So many versions are read beside those of a page, and no more: a page may stand where much is not listed any more."""


class Span(NamedTuple):
    """What lies behind one place and up to another, in the order of places; None: from the first, up to the last."""

    after: ListingSlot | None
    until: ListingSlot | None


class Found(NamedTuple):
    """What is held at some places, and what `others` are in their span; None where nobody looked, or they are many."""

    held: dict[ListingSlot, Held]
    others: dict[ListingSlot, Held] | None


def read_held(
    connection: Connection, source: SourceName, places: Collection[ListingSlot], span: Span | None = None
) -> Found:
    """What is held at some places, in one query; with what else is in the span that they lie in."""
    if span is None or not places or (span.after is not None and min(places) <= span.after):
        return Found(_read(connection, source, places), None)
    most = len(places) + MOST_OTHERS
    wanted: dict[str, Any] = {"of": source, "most": most + 1}
    for end, place in zip(("after", "until"), span, strict=True):
        if place is not None:
            wanted |= {f"{end}_key": place[0], f"{end}_slot": place[1]}
    rows = connection.execute(_within(span.after is not None, span.until is not None), wanted).all()
    if len(rows) > most:
        return Found(_read(connection, source, places), None)
    found = _by_place(rows)
    held = {place: found.pop(place) for place in places if place in found}
    return Found(held, found)


def _read(connection: Connection, source: SourceName, places: Collection[ListingSlot]) -> dict[ListingSlot, Held]:
    wanted = {"of": source, **given("places", places)}
    return _by_place(connection.execute(_at(connection.dialect.name), wanted).all())


def _by_place(rows: Iterable[Any]) -> dict[ListingSlot, Held]:
    return {
        (key, in_slot): Held(digest, about, updated_at, withdrawn)
        for key, in_slot, digest, about, updated_at, withdrawn in rows
    }


_OF_SOURCE = select(HELD.c.key, HELD.c.slot, HELD.c.digest, HELD.c.about, HELD.c.updated_at, HELD.c.withdrawn).where(
    HELD.c.source == bindparam("of")
)


@cache
def _at(dialect: str) -> Select[Any]:
    return _OF_SOURCE.where(among(dialect, "places", HELD.c.key, HELD.c.slot))


@cache
def _within(after: bool, until: bool) -> Select[Any]:
    query, place = _OF_SOURCE, tuple_(HELD.c.key, HELD.c.slot)
    if after:
        query = query.where(place > tuple_(bindparam("after_key"), bindparam("after_slot")))
    if until:
        query = query.where(place <= tuple_(bindparam("until_key"), bindparam("until_slot")))
    return query.order_by(HELD.c.key, HELD.c.slot).limit(bindparam("most"))
