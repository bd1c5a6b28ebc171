"""Fetching ahead, by itself."""

import threading
import weakref

import pytest

from schemas.names import Cursor
from schemas.observations import Page
from tests.waiting import wait_until
from workers.ahead import PageAhead

CURSORS = [Cursor(str(number)) for number in range(5)]


def page(cursor: Cursor | None) -> Page:
    return Page((), cursor)


def next_page_threads() -> list[threading.Thread]:
    return [thread for thread in threading.enumerate() if thread.name == "next page"]


def test_pages_come_as_they_were_begun_and_all_from_one_thread() -> None:
    threads = set[threading.Thread]()

    def fetch(cursor: Cursor | None) -> Page:
        threads.add(threading.current_thread())
        return page(cursor)

    with PageAhead(fetch) as ahead:
        for cursor in CURSORS:
            ahead.begin(cursor)
            assert ahead.take(cursor).next_cursor == cursor
    assert len(threads) == 1
    assert threading.current_thread() not in threads


def test_the_thread_ends_with_the_context_or_with_the_page_that_it_is_at() -> None:
    with PageAhead(page) as ahead:
        ahead.begin(None)
    wait_until(lambda: next_page_threads() == [])

    answered = threading.Event()

    def slow(cursor: Cursor | None) -> Page:
        assert answered.wait(30)
        return page(cursor)

    with PageAhead(slow) as ahead:
        ahead.begin(None)
    (thread,) = next_page_threads()
    assert thread.daemon
    answered.set()
    wait_until(lambda: not thread.is_alive())


def test_what_fetching_raised_is_raised_where_the_page_is_taken_and_the_next_page_is_fetched_all_the_same() -> None:
    def fetch(cursor: Cursor | None) -> Page:
        if cursor is None:
            raise ValueError("no page")
        return page(cursor)

    with PageAhead(fetch) as ahead:
        ahead.begin(None)
        with pytest.raises(ValueError, match="no page"):
            ahead.take(None)
        ahead.begin(CURSORS[0])
        assert ahead.take(CURSORS[0]).next_cursor == CURSORS[0]


def test_a_page_that_was_not_begun_is_fetched_when_it_is_taken() -> None:
    with PageAhead(page) as ahead:
        assert ahead.take(None).next_cursor is None
        ahead.begin(CURSORS[0])
        assert ahead.take(CURSORS[1]).next_cursor == CURSORS[1]


def test_a_page_is_not_held_once_it_is_taken() -> None:
    class Large(Page):
        """A page that can be referred to weakly."""

    with PageAhead(lambda cursor: Large((), cursor)) as ahead:
        ahead.begin(None)
        taken = weakref.ref(ahead.take(None))
        wait_until(lambda: taken() is None)
