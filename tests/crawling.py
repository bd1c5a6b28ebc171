"""A crawler for tests: the real crawl loop and adapter on a database, at a time that the test sets."""

from dataclasses import dataclass
from datetime import datetime, timedelta

import httpx
from sqlalchemy import select

from indexer.crawls import CrawlState
from indexer.database import Database
from indexer.leases import STATES
from indexer.projections import runner
from indexer.projections.checkpoints import live_build
from indexer.projections.rows import VERSIONS
from indexer.sources import remember_sources
from schemas.events import SourceConfigured
from schemas.names import Digest, SourceName
from workers.client import client
from workers.crawl import Crawl
from workers.fetch import Fetcher
from workers.outcome import Outcome
from workers.source import traits
from workers.sources.registry import Registry, RegistryOptions

OFFICIAL = SourceName("official")

Versions = dict[tuple[str, str], tuple[Digest, str]]
"""Digest and status, by name and version."""


class FreeBudget:
    """A budget without end."""

    def reserve(self, host: str, per_minute: int) -> float:  # noqa: ARG002 - the protocol names it
        return 0.0

    def rest(self, host: str, seconds: float) -> None:
        """Nobody waits."""


@dataclass(frozen=True, slots=True)
class Opened:
    """A source and the fetcher that counts its requests."""

    source: Registry
    fetcher: Fetcher

    @property
    def requests(self) -> int:
        return self.fetcher.requests


class Crawler:
    """Crawls one registry into one database. Its clock is `now`, which only moves when somebody moves it or waits."""

    def __init__(
        self,
        database: Database,
        url: str,
        now: datetime,
        *,
        page_size: int = 100,
        audit_every: timedelta = timedelta.max,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self.database, self.now, self.audit_every = database, now, audit_every
        self._url, self._options = url, RegistryOptions(page_size=page_size)
        self._http = client(None, transport)
        remember_sources(database, [SourceConfigured(source=OFFICIAL, kind="registry", trust=100)], at=now)

    def begin(self, *, audit: bool = False) -> Crawl:
        """A crawl that holds the source's lease."""
        known = traits(Registry, self._url, self._options)
        return Crawl(self.database, OFFICIAL, known, clock=lambda: self.now, audit=audit, audit_every=self.audit_every)

    def crawl(self, *, audit: bool = False, pages: int | None = None) -> Outcome:
        """One crawl, to its end or for so many pages."""
        return self.begin(audit=audit).run(self.open(), max_pages=pages)

    def open(self) -> Opened:
        """The source, asked from now on."""
        fetcher = Fetcher(
            self._http,
            FreeBudget(),
            per_minute=1_000_000,
            clock=lambda: self.now,
            sleep=self.wait,
            jitter=lambda: 0.5,
        )
        return Opened(Registry(self._url, self._options, fetcher), fetcher)

    def wait(self, seconds: float) -> None:
        """Time passes."""
        self.now += timedelta(seconds=seconds)

    @property
    def state(self) -> CrawlState:
        """Where the source stands."""
        with self.database.read() as connection:
            text = connection.scalar(select(STATES.c.state).where(STATES.c.source == OFFICIAL))
        return CrawlState.model_validate_json(text or "{}")

    def versions(self) -> Versions:
        """What the catalogue says that the source lists, deleted versions too, once it is brought to the log's end."""
        runner.catch_up(self.database)
        with self.database.read() as connection:
            rows = connection.execute(
                select(VERSIONS).where(
                    VERSIONS.c.build == live_build(connection),
                    VERSIONS.c.source == OFFICIAL,
                    VERSIONS.c.withdrawn.is_(False),
                )
            )
            return {(row.key, row.slot): (Digest(row.digest), row.status) for row in rows}

    def close(self) -> None:
        """Lets go of everything."""
        self._http.close()
        self.database.close()
