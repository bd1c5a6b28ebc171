"""The next page, fetched while this one is recorded."""

import threading
from collections.abc import Callable
from concurrent.futures import Future

from schemas.names import Cursor
from schemas.observations import Page

Fetch = Callable[[Cursor | None], Page]


class PageAhead:
    """Fetches at most one page ahead, in a thread that ends with its page and keeps no process from ending."""

    def __init__(self, fetch: Fetch) -> None:
        self._fetch = fetch
        self._next: tuple[Cursor | None, Future[Page]] | None = None

    def begin(self, cursor: Cursor | None) -> None:
        """Begins to fetch the page at a cursor."""
        page: Future[Page] = Future()
        threading.Thread(target=self._into, args=(cursor, page), name="next page", daemon=True).start()
        self._next = cursor, page

    def take(self, cursor: Cursor | None) -> Page:
        """The page at a cursor, waited for where it was begun. Raises what fetching it raised."""
        ahead, self._next = self._next, None
        if ahead is None or ahead[0] != cursor:
            return self._fetch(cursor)
        return ahead[1].result()

    def _into(self, cursor: Cursor | None, page: "Future[Page]") -> None:
        try:
            page.set_result(self._fetch(cursor))
        except BaseException as error:  # noqa: BLE001 - raised again where the page is taken
            page.set_exception(error)
