"""What is held: the last that was recorded of each version, which a page is compared with."""

from collections.abc import Collection, Mapping, Sequence
from functools import cache, cached_property
from typing import Any, NamedTuple

from sqlalchemy import Connection, Select, bindparam, select, tuple_

from indexer.listing import Held, same_abouts
from indexer.sql import among, given
from indexer.tables import HeldRow, table
from schemas.names import ListingKey, Slot, SourceName
from schemas.observations import Observation

HELD = table(HeldRow)

ListingSlot = tuple[ListingKey, Slot]
"""Where a version is held: its listing and its slot."""

MOST_OTHERS = 100
"""So many versions are read beside those of a page, and no more: a page may stand where much is not listed any more."""


class Span(NamedTuple):
    """What lies behind one place and up to another, in the order of places; None: from the first, up to the last."""

    after: ListingSlot | None
    until: ListingSlot | None


class Found:
    """What is held at some places, and what else is in their span, where all of that was read."""

    def __init__(self, places: Collection[ListingSlot], rows: Sequence[Sequence[Any]], *, whole_span: bool) -> None:
        self._places, self._rows, self._whole_span = places, rows, whole_span

    def holds_exactly(self, seen: Mapping[ListingSlot, Observation]) -> bool:
        """Whether the span holds what was seen of it, as it was seen, and nothing else: so it is with most pages of a
        source, and they need not be looked at version by version.
        """
        if not self._whole_span or len(self._rows) != len(seen):
            return False
        keys, slots, digests, abouts, _, withdrawn = zip(*self._rows, strict=True)
        return (
            list(zip(keys, slots, strict=True)) == list(seen)
            and list(digests) == [one.digest for one in seen.values()]
            and not any(withdrawn)
            and same_abouts(abouts, [one.about for one in seen.values()])
        )

    @cached_property
    def held(self) -> dict[ListingSlot, Held]:
        """What is held at the places."""
        by_place = self._by_place
        return {place: by_place[place] for place in self._places if place in by_place}

    @cached_property
    def others(self) -> dict[ListingSlot, Held] | None:
        """What else is in their span; None where nobody looked, or it is much."""
        if not self._whole_span:
            return None
        return {place: one for place, one in self._by_place.items() if place not in self.held}

    @cached_property
    def _by_place(self) -> dict[ListingSlot, Held]:
        return {(key, in_slot): Held(*held) for key, in_slot, *held in self._rows}


def read_held(
    connection: Connection, source: SourceName, places: Collection[ListingSlot], span: Span | None = None
) -> Found:
    """What is held at some places, in one query; with what else is in the span that they lie in."""
    if span is None or not places or (span.after is not None and min(places) <= span.after):
        return _read(connection, source, places)
    most = len(places) + MOST_OTHERS
    wanted: dict[str, Any] = {"of": source, "most": most + 1}
    for end, place in zip(("after", "until"), span, strict=True):
        if place is not None:
            wanted |= {f"{end}_key": place[0], f"{end}_slot": place[1]}
    rows = connection.execute(_within(span.after is not None, span.until is not None), wanted).all()
    return Found(places, rows, whole_span=True) if len(rows) <= most else _read(connection, source, places)


def _read(connection: Connection, source: SourceName, places: Collection[ListingSlot]) -> Found:
    wanted = {"of": source, **given("places", places)}
    rows = connection.execute(_at(connection.dialect.name), wanted).all()
    return Found(places, rows, whole_span=False)


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
