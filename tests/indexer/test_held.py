"""What is held, beside what a page shows of it."""

from typing import Any

import pytest

from indexer.held import Found, ListingSlot
from indexer.listing import as_held, decide
from schemas.names import ListingKey, Slot, slot
from schemas.observations import Observation
from tests.indexer.made import meta, record, seen

Row = tuple[Any, ...]

A, B = (seen(record(f"com.example/{name}", title="ü"), meta(updated=1, statusMessage="ü")) for name in "ab")
SEEN: dict[ListingSlot, Observation] = {(one.key, slot(one.version)): one for one in (A, B)}
ROWS: list[Row] = [(*place, *as_held(one)) for place, one in SEEN.items()]


def found(rows: list[Row], *, whole_span: bool = True) -> Found:
    return Found(SEEN.keys(), rows, whole_span=whole_span)


def test_a_page_of_what_is_held_is_found_to_be_that_and_nothing_new() -> None:
    assert found(ROWS).holds_exactly(SEEN)
    assert [decide(found(ROWS).held.get(place), one) for place, one in SEEN.items()] == [None, None]
    assert found(ROWS).others == {}


@pytest.mark.parametrize(("column", "other"), [(0, "com.example/c"), (1, "2"), (2, "0" * 64), (3, "[]"), (5, True)])
def test_a_page_of_anything_else_is_not(column: int, other: Any) -> None:
    changed = (*ROWS[1][:column], other, *ROWS[1][column + 1 :])
    assert not found([ROWS[0], changed]).holds_exactly(SEEN)


def test_a_page_of_less_or_of_more_than_is_held_is_not() -> None:
    more = ListingKey("com.example/c"), Slot("1")
    assert not found(ROWS[:1]).holds_exactly(SEEN)
    assert not found([*ROWS, (*more, *as_held(B))]).holds_exactly(SEEN)
    assert found([*ROWS, (*more, *as_held(B))]).others == {more: as_held(B)}


def test_where_not_all_of_its_span_was_read_nobody_knows() -> None:
    assert not found(ROWS, whole_span=False).holds_exactly(SEEN)
    assert found(ROWS, whole_span=False).others is None
    assert found(ROWS, whole_span=False).held == {place: as_held(one) for place, one in SEEN.items()}
