"""A registry source on a real connection, walked to its end."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

from schemas.names import Cursor
from schemas.observations import Observation, Page, Unidentified
from tests.workers.test_fetch import RecordingBudget
from workers.client import client
from workers.fetch import Fetcher
from workers.sources.registry import Registry, RegistryOptions

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)


@contextmanager
def opened(url: str, **options: Any) -> Iterator[Registry]:
    """The registry at an address."""
    with client(None) as http:
        fetcher = Fetcher(
            http, RecordingBudget(), per_minute=60, clock=lambda: NOW, sleep=lambda _: None, jitter=lambda: 0.0
        )
        yield Registry(url, RegistryOptions(**options), fetcher)


def pages(source: Registry, since: datetime | None = None, most: int = 1_000) -> list[Page]:
    """All pages of a walk. Raises what fetching raises."""
    found: list[Page] = []
    cursor: Cursor | None = None
    for _ in range(most):
        found.append(source.fetch(since, cursor))
        cursor = found[-1].next_cursor
        if cursor is None:
            return found
    raise AssertionError(f"a walk of more than {most} pages")


def records(walked: list[Page]) -> list[Observation | Unidentified]:
    """What the pages hold, in order."""
    return [record for page in walked for record in page.records]


def observations(walked: list[Page]) -> list[Observation]:
    """The same, where all of it can be identified."""
    found = [record for record in records(walked) if isinstance(record, Observation)]
    assert len(found) == len(records(walked))
    return found
