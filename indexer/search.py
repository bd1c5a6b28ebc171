"""The search index: the only module that speaks to Meilisearch.

Meilisearch says yes too early: what it accepted is a task in its queue, which may fail later. `send` and `delete`
give the task's number; only `succeeded` tells whether it did.
"""

import os
import time
import uuid
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from typing import Any, BinaryIO, cast

from meilisearch import Client
from meilisearch._httprequests import HttpRequests
from meilisearch.errors import (
    MeilisearchApiError,
    MeilisearchCommunicationError,
    MeilisearchError,
    MeilisearchTimeoutError,
)
from meilisearch.models.task import TaskInfo

from indexer.errors import ConfigurationError, IndexRefused, IndexUnavailable
from indexer.search_settings import SETTINGS

_ENDED = ("succeeded", "failed", "canceled")
_LINES = "application/x-ndjson"
_KEY_SPACE = uuid.UUID("3a0f4c2e-5d0b-4c53-9d8a-6f0f4c6d8e11")

PATIENCE = 60.0
"""Seconds that Meilisearch gets for an answer, where nobody says otherwise: it may be busy with what it was sent."""

HEARD_BYTES = 2**20
"""Before a longer body leave is asked for. Who may not write is answered before the body is read; of what is more than
fits on its way between two machines the end is then never taken, and the answer never heard.
"""


class SearchIndex:
    """One index by its uid, on one Meilisearch. Every call raises IndexUnavailable or IndexRefused with a sentence."""

    def __init__(
        self,
        url: str,
        key: str | None,
        uid: str,
        *,
        sleep: Callable[[float], None] = time.sleep,
        ended: Callable[[str, str, float], None] = lambda *_: None,
        patience: float = PATIENCE,
    ) -> None:
        """`ended` hears of each index task once: its type, how it ended, and the seconds that it took; `patience` is
        how many an answer may take.
        """
        self.url, self.uid = url, uid
        self._ended, self._reported = ended, deque[int](maxlen=1_000)
        self._client = Client(url, key, timeout=cast(int, patience))  # it says int, and takes what requests takes
        self._files = _Files(self._client.config)
        self._sleep = sleep

    @property
    def next_uid(self) -> str:
        """The uid under which a rebuild fills the index that will take this one's place."""
        return f"{self.uid}_next"

    def identity(self, uid: str | None = None) -> str | None:
        """What tells one filling of an index from another: it goes along when indexes are swapped. None without an
        index.
        """
        with self._errors():
            try:
                return str(self._client.get_raw_index(uid or self.uid)["createdAt"])
            except MeilisearchApiError as error:
                if error.code == "index_not_found":
                    return None
                raise

    def create(self, uid: str) -> str:
        """An empty index with our settings; gives its identity."""
        with self._errors():
            self._succeed(self._client.create_index(uid, {"primaryKey": "id"}).task_uid)
            self._succeed(self._client.index(uid).update_settings(SETTINGS).task_uid)
        identity = self.identity(uid)
        assert identity is not None, "an index that was just created is there"
        return identity

    def drop(self, uid: str) -> None:
        """Deletes an index, where it is there."""
        with self._errors():
            if self.identity(uid) is not None:
                self._succeed(self._client.delete_index(uid).task_uid)

    def swap(self) -> None:
        """Puts the next index in this one's place, at once for every reader; the old one is kept under the next uid."""
        with self._errors():
            self._succeed(self._client.swap_indexes([{"indexes": [self.uid, self.next_uid]}]).task_uid)

    def await_leftovers(self) -> None:
        """Waits for what a process that is gone has asked for: indexes still to be made, deleted or swapped."""
        while self._leftovers():
            self._sleep(0.05)

    def _leftovers(self) -> int:
        asked = {"statuses": ["enqueued", "processing"], "types": ["indexCreation", "indexDeletion", "indexSwap"]}
        with self._errors():
            return self._client.get_tasks({**asked, "indexUids": [self.uid, self.next_uid], "limit": 1}).total

    def send(self, documents: BinaryIO, uid: str | None = None) -> int:
        """Hands over a file of whole documents, JSON one a line; gives the number of the task that will write them."""
        where = f"indexes/{uid or self.uid}/documents?primaryKey=id"
        with self._errors():
            if documents.seek(0, os.SEEK_END) > HEARD_BYTES:
                self._ask_for_leave(where)
            documents.seek(0)
            return TaskInfo(**self._files.post(where, cast(Any, documents), _LINES)).task_uid

    def _ask_for_leave(self, where: str) -> None:
        """Raises what a post of nothing raises to whom it is forbidden."""
        try:
            self._client.http.post(where, b"", _LINES)
        except MeilisearchApiError as error:
            if error.code != "missing_payload":
                raise

    def delete(self, ids: Sequence[str], uid: str | None = None) -> int:
        """Asks for documents to be deleted; gives the task's number.

        Not by a filter: such a task is worked off alone, and so is each that waits beside it.
        """
        with self._errors():
            asked = self._client.http.post(f"indexes/{uid or self.uid}/documents/delete-batch", list(ids))
            return TaskInfo(**asked).task_uid

    def succeeded(self, task: int) -> bool:
        """Whether a task succeeded by now; it may wait or run still. Raises IndexRefused where it failed."""
        with self._errors():
            found = self._client.get_task(task)
        if found.status not in _ENDED:
            return False
        if task not in self._reported:
            self._reported.append(task)
            self._ended(found.type, found.status, _seconds(found.started_at, found.finished_at))
        if found.status != "succeeded":
            raise IndexRefused(f"Index task {task} ({found.type}) {found.status}: {_message(found.error)}")
        return True

    def wait(self, task: int) -> None:
        """Waits until a task succeeded, however long the queue is. Raises IndexRefused where it failed."""
        pause = 0.005
        while not self.succeeded(task):
            self._sleep(pause)
            pause = min(pause * 1.5, 0.05)

    def search(self, query: str, **options: Any) -> dict[str, Any]:
        """Meilisearch's own answer to a search."""
        with self._errors():
            answer: dict[str, Any] = self._client.index(self.uid).search(query, options)
            return answer

    def count(self) -> int:
        """How many documents the index holds; 0 without an index."""
        if self.identity() is None:
            return 0
        with self._errors():
            return int(self._client.index(self.uid).get_stats().number_of_documents)

    def pages(
        self, uid: str | None = None, size: int = 500, fields: Sequence[str] | None = None
    ) -> Iterator[list[dict[str, Any]]]:
        """All documents, or some fields of all, page by page."""
        offset, only = 0, {} if fields is None else {"fields": list(fields)}
        while True:
            found = self._fetch(uid or self.uid, {"offset": offset, "limit": size, **only})
            if not found:
                return
            yield found
            offset += len(found)

    def present(self, ids: Sequence[str], uid: str | None = None) -> set[str]:
        """Those of some ids that the index holds."""
        options = {"filter": _ids(ids), "limit": len(ids), "fields": ["id"]}
        return {document["id"] for document in self._fetch(uid or self.uid, options)}

    def version(self) -> str:
        """Meilisearch's own version."""
        with self._errors():
            return str(self._client.get_version()["pkgVersion"])

    def search_key(self) -> str:
        """A key that can search this index and nothing else; made once, the same ever after."""
        number = str(uuid.uuid5(_KEY_SPACE, self.uid))
        with self._errors():
            try:
                return self._client.get_key(number).key
            except MeilisearchApiError as error:
                if error.code != "api_key_not_found":
                    raise
            return self._client.create_key(
                {
                    "uid": number,
                    "name": f"mcp-indexer search {self.uid}",
                    "description": "Searches the index of MCP servers, nothing else",
                    "actions": ["search"],
                    "indexes": [self.uid],
                    "expiresAt": None,
                }
            ).key

    def _fetch(self, uid: str, options: dict[str, Any]) -> list[dict[str, Any]]:
        with self._errors():
            found = self._client.http.post(f"indexes/{uid}/documents/fetch", options)
        documents: list[dict[str, Any]] = found["results"]
        return documents

    def _succeed(self, task: int) -> None:
        """Waits for a change of an index, not of what is in it."""
        self.wait(task)

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (MeilisearchCommunicationError, MeilisearchTimeoutError) as error:
            raise IndexUnavailable(
                f"Meilisearch at {self.url} does not answer; start it or check MCP_INDEXER_MEILI_URL. "
                "What was crawled is in the log, and the next command that indexes goes on from there."
            ) from error
        except MeilisearchApiError as error:
            if error.status_code >= 500:
                raise IndexUnavailable(
                    f"Meilisearch at {self.url} answers {error.status_code}: {_said(error)}"
                ) from error
            if error.code in ("invalid_api_key", "missing_authorization_header"):
                raise IndexRefused(
                    f"Meilisearch at {self.url} refuses the key ({_said(error)}); set MCP_INDEXER_MEILI_KEY to one "
                    "that may search, write documents and settings, and swap indexes."
                ) from error
            if error.code == "index_not_found":
                raise IndexRefused(
                    f"There is no index {self.uid!r} at {self.url} yet; `mcp-indexer crawl` makes and fills it."
                ) from error
            if error.code and error.code.startswith("invalid_search_"):
                what = error.code.removeprefix("invalid_search_")
                raise ConfigurationError(f"The {what} of the search cannot be used: {_said(error)}") from error
            if not error.code:
                raise IndexRefused(
                    f"What answers at {self.url} is no Meilisearch (status {error.status_code}); check "
                    "MCP_INDEXER_MEILI_URL."
                ) from error
            raise IndexRefused(f"Meilisearch at {self.url} refused: {_said(error)}") from error
        except MeilisearchError as error:
            raise IndexRefused(f"Meilisearch at {self.url} refused: {error}") from error
        except OSError as error:  # what the client does not wrap: an answer that was cut
            raise IndexUnavailable(f"Meilisearch at {self.url} was cut off while it answered; try again.") from error
        except ValueError as error:
            raise IndexRefused(f"What answers at {self.url} is no Meilisearch; check MCP_INDEXER_MEILI_URL.") from error


class _Files(HttpRequests):
    """The client's requests, with a file for a body: it is read while it is sent, and never whole in memory."""

    def send_request(
        self, http_method: Callable[..., Any], path: str, body: Any = None, *more: Any, **named: Any
    ) -> Any:
        """What every request comes down to; the client itself knows bytes only."""

        def of_file(url: str, **options: Any) -> Any:
            return http_method(url, **{**options, "data": body})

        return super().send_request(of_file, path, b"", *more, **named)


def _said(error: MeilisearchApiError) -> str:
    """Meilisearch's own sentence, on one line, without what the client adds to it."""
    return " ".join(str(error.message).partition(". Hint: It might not be working")[0].split())


def _seconds(started: datetime | None, finished: datetime | None) -> float:
    return 0.0 if started is None or finished is None else (finished - started).total_seconds()


def _ids(ids: Sequence[str]) -> str:
    return f"id IN [{', '.join(ids)}]"


def _message(error: Any) -> str:
    return str(error.get("message", error)) if isinstance(error, dict) else str(error)
