"""What a process remembers of its own events is what the log would have told, or nothing."""

from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from indexer.projections.tail import Tail
from indexer.store import PAGE_BYTES, Appended
from schemas.events import Recorded
from schemas.names import Position, Revision
from tests.indexer.made import START, observed, record, stream_of


def event(position: int) -> Recorded:
    made = observed(record())
    return Recorded(Position(position), stream_of(made), Revision(position), START, None, made)


def added(tail: Tail, *positions: int, size: int = 100) -> None:
    tail.add(Appended(Position(positions[-1]), [event(one) for one in positions], size))


def positions(events: list[Recorded]) -> list[int]:
    return [one.position for one in events]


def test_what_follows_a_checkpoint_is_given_once() -> None:
    tail = Tail()
    added(tail, 4, 5)
    added(tail, 6)
    assert positions(tail.take(3)) == [4, 5, 6]
    assert tail.take(3) == []


def test_events_before_the_checkpoint_are_left_out() -> None:
    tail = Tail()
    added(tail, 4, 5, 6)
    assert positions(tail.take(5)) == [6]


def test_what_is_much_is_not_kept() -> None:
    tail = Tail()
    added(tail, 4, size=PAGE_BYTES)
    added(tail, 5)
    assert tail.take(3) == []
    added(tail, 6)
    assert positions(tail.take(5)) == [6]


@given(st.sets(st.integers(1, 30)), st.integers(0, 30))
def test_no_event_is_ever_passed_over(kept: set[int], after: int) -> None:
    tail = Tail()
    for position in sorted(kept):
        added(tail, position)
    found = [after, *positions(tail.take(after))]
    assert all(following == one + 1 for one, following in pairwise(found))
