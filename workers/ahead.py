"""The next page, fetched while this one is recorded."""

import threading
from collections.abc import Callable
from concurrent.futures import Future
from queue import SimpleQueue
from typing import Self

from schemas.names import Cursor
from schemas.observations import Page

Fetch = Callable[[Cursor | None], Page]
_Begun = tuple[Cursor | None, "Future[Page]"]


class PageAhead:
    """Fetches at most one page ahead; a context manager.

    One thread does so for all pages: to start one takes milliseconds where the interpreter is busy. It is told to end
    when the context does, ends with the page that it is at, and keeps no process from ending.
    """

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._begun: SimpleQueue[_Begun | None] = SimpleQueue()
        self._thread: threading.Thread | None = None
        self._next: _Begun | None = None

    def begin(self, cursor: Cursor | None) -> None:
        """Begins to fetch the page at a cursor."""
        if self._thread is None:
            self._thread = threading.Thread(target=self._serve, name="next page", daemon=True)
            self._thread.start()
        self._next = cursor, Future()
        self._begun.put(self._next)

    def take(self, cursor: Cursor | None) -> Page:
        """The page at a cursor, waited for where it was begun. Raises what fetching it raised."""
        ahead, self._next = self._next, None
        if ahead is None or ahead[0] != cursor:
            return self._fetch(cursor)
        return ahead[1].result()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._begun.put(None)

    def _serve(self) -> None:
        while self._serve_one():
            pass

    def _serve_one(self) -> bool:
        """Fetches the next page that is begun, and holds nothing of it when it waits for another; false at the end."""
        begun = self._begun.get()
        if begun is None:
            return False
        cursor, page = begun
        try:
            page.set_result(self._fetch(cursor))
        except BaseException as error:  # noqa: BLE001 - raised again where the page is taken
            page.set_exception(error)
        return True
