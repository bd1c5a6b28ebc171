"""What an observation means, given what is held."""

from datetime import datetime
from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.clock import to_micros
from indexer.listing import Held, about_text, as_held, decide, event_of, missed_or_silent, newest, same_abouts
from indexer.text import digest
from schemas.about import About
from schemas.events import (
    ListingChanged,
    ListingEvent,
    ListingObserved,
    ListingReturned,
    ListingStatusChanged,
    WithRecord,
)
from schemas.observations import Observation
from tests.indexer.made import SOURCE, at, meta, record, seen

FIRST = seen(record(title="first"), meta(updated=10))
SAME_TIME = seen(record(title="second"), meta(updated=10))
LATER = seen(record(title="second"), meta(updated=11))
OLDER = seen(record(title="second"), meta(updated=9))
NO_TIME = seen(record(title="second"), {})


def held(one: Observation, **more: Any) -> Held:
    return as_held(one)._replace(**more)


def decided(before: Held | None, now: Observation) -> type[ListingEvent] | None:
    kind = decide(before, now)
    if kind is None:
        return None
    event = event_of(kind, SOURCE, now, redacted=False)
    assert (event.source, event.key, event.digest) == (SOURCE, now.key, digest(now.record))
    assert (event.name, event.version, event.meta) == (now.name, now.version, now.meta)
    if isinstance(event, WithRecord):
        assert event.record == now.record
    return type(event)


def test_what_is_not_held_is_observed() -> None:
    assert decided(None, FIRST) is ListingObserved
    assert decided(None, NO_TIME) is ListingObserved


def test_the_same_again_tells_nothing_new() -> None:
    assert decided(held(FIRST), FIRST) is None
    assert decided(held(NO_TIME), NO_TIME) is None


def test_the_order_of_keys_tells_nothing_new() -> None:
    turned = seen(dict(reversed(FIRST.record.items())), FIRST.meta)
    assert decided(held(FIRST), turned) is None


def test_a_flip_of_is_latest_tells_nothing_new() -> None:
    flipped = seen(record(title="first"), meta(updated=10, isLatest=True))
    assert decided(held(FIRST), flipped) is None


def test_what_a_registry_says_beside_status_and_times_tells_nothing_new() -> None:
    said = {**meta(updated=10), "com.example.mirror/ranks": {"rank": 5}}
    assert decided(held(FIRST), seen(record(title="first"), said)) is None


def test_another_record_later_is_a_change() -> None:
    assert decided(held(FIRST), LATER) is ListingChanged


def test_another_record_with_the_same_time_is_a_change() -> None:
    assert decided(held(FIRST), SAME_TIME) is ListingChanged


def test_another_record_without_a_time_is_a_change() -> None:
    assert decided(held(FIRST), NO_TIME) is ListingChanged
    assert decided(held(NO_TIME), FIRST) is ListingChanged


def test_an_older_record_tells_nothing() -> None:
    assert decided(held(FIRST), OLDER) is None


def test_to_an_audit_an_older_record_is_what_the_source_says_now() -> None:
    for now, kind in (
        (OLDER, ListingChanged),
        (seen(FIRST.record, meta("deprecated", updated=9)), ListingStatusChanged),
    ):
        assert decide(held(FIRST), now, older_counts=True) is kind
    assert decide(held(FIRST), FIRST, older_counts=True) is None


def test_an_older_status_tells_nothing() -> None:
    assert decided(held(FIRST), seen(record(title="first"), meta("deleted", updated=9))) is None


@pytest.mark.parametrize(
    "said",
    [
        meta("deprecated", updated=10),
        meta("deleted", updated=11),
        meta(updated=10, statusMessage="use another one"),
        meta(updated=11),
        meta(updated=10, published=-1),
        meta(updated=10, statusChangedAt="2026-08-02T00:00:00Z"),
        {},
    ],
)
def test_a_change_of_what_the_registry_says_alone_is_a_change_of_status(said: dict[str, Any]) -> None:
    assert decided(held(FIRST), seen(record(title="first"), said)) is ListingStatusChanged


def test_another_record_with_another_status_is_one_change() -> None:
    assert decided(held(FIRST), seen(record(title="x"), meta("deleted", updated=11))) is ListingChanged


@pytest.mark.parametrize("now", [FIRST, SAME_TIME, LATER, OLDER, NO_TIME])
def test_what_was_withdrawn_and_is_seen_returns(now: Observation) -> None:
    assert decided(held(FIRST, withdrawn=True), now) is ListingReturned


@pytest.mark.parametrize("before", [None, FIRST, LATER, OLDER])
@pytest.mark.parametrize("now", [FIRST, SAME_TIME, LATER, OLDER, NO_TIME])
def test_what_was_recorded_and_is_seen_again_tells_nothing_new(before: Observation | None, now: Observation) -> None:
    if decided(None if before is None else held(before), now) is not None:
        assert decided(held(now), now) is None


def test_what_is_held_is_what_was_seen() -> None:
    assert held(FIRST) == Held(digest(FIRST.record), about_text(FIRST.about), to_micros(at(10)), withdrawn=False)
    assert held(NO_TIME).updated_at is None


def test_the_last_of_the_most_recently_updated_is_believed() -> None:
    for some in permutations([OLDER, FIRST, LATER]):
        assert newest(list(some)) is LATER
    assert newest([FIRST, SAME_TIME]) is SAME_TIME
    assert newest([SAME_TIME, FIRST]) is FIRST
    assert newest([FIRST, NO_TIME]) is FIRST
    assert newest([NO_TIME]) is NO_TIME


@given(st.permutations(list(range(6))))
def test_any_order_of_observations_folds_to_the_newest(order: list[int]) -> None:
    now: Held | None = None
    for minutes in order:
        one = seen(record(title=f"at {minutes}"), meta(updated=minutes))
        if decided(now, one) is not None:
            now = held(one)
    assert now == held(seen(record(title="at 5"), meta(updated=5)))


@pytest.mark.parametrize(
    ("seen_at", "held_at", "mark", "sorted_as"),
    [
        (None, 5, 10, "silent"),
        (None, None, None, "silent"),
        (11, 5, 10, None),
        (11, None, 10, None),
        (10, None, 10, "missed"),
        (10, 5, 10, "missed"),
        (9, 5, 10, "missed"),
        (9, 9, 10, "silent"),
        (9, None, 10, "missed"),
        (9, None, None, None),
    ],
)
def test_an_audits_difference_is_sorted_by_its_time(
    seen_at: float | None, held_at: float | None, mark: float | None, sorted_as: str | None
) -> None:
    now = seen(record(title="now"), {} if seen_at is None else meta(updated=seen_at))
    before = None if held_at is None else held(seen(record(title="before"), meta(updated=held_at)))
    until: datetime | None = None if mark is None else at(mark)
    assert missed_or_silent(now, before, until) == sorted_as


ABOUTS = st.builds(
    About,
    st.sampled_from(["active", "deleted"]),
    st.sampled_from([None, "", "],[", '"', "\\", "ü", "\ud800", "\x00", 'gone","use b']),
    st.sampled_from([None, 0, 1_757_514_601_500_000]),
    st.none(),
    st.sampled_from([None, 1]),
    st.sampled_from([None, True]),
)


@given(st.lists(st.tuples(ABOUTS, ABOUTS), max_size=3))
def test_texts_are_those_of_what_was_seen_where_each_of_them_is(pairs: list[tuple[About, About]]) -> None:
    texts, now = [about_text(before) for before, _ in pairs], [one for _, one in pairs]
    the_same = texts == [about_text(one) for one in now]
    assert same_abouts(texts, now) <= the_same
    if not any("\ud800" in (one.status_message or "") for one in now):  # these are written apart: looked at one by one
        assert same_abouts(texts, now) == the_same
