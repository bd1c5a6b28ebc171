"""Builds the real things from the settings; the one place that does."""

import os
import random
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property, partial

import httpx

from indexer.budgets import HostBudgets
from indexer.clock import Clock, machine_clock
from indexer.database import Database
from indexer.errors import ConfigurationError
from indexer.importing import refuse_unfinished
from indexer.migrations import migrate
from indexer.search import PATIENCE, SearchIndex
from indexer.sources import remember_sources
from workers.client import check_header, client
from workers.embedded import EmbeddedMeilisearch
from workers.fetch import Fetcher
from workers.kinds import KINDS
from workers.meili_binary import find_binary
from workers.network import Network
from workers.settings import Settings
from workers.source import Source
from workers.sources_file import SourceConfig, read_sources
from workers.watching import UNWATCHED, Watcher

A_LOOK = 5.0
"""Seconds that Meilisearch gets to answer who only looks how it is: one that hangs is told of, and not waited for."""


@dataclass(frozen=True, slots=True)
class OpenedSource:
    """A source and the fetcher that counts its requests."""

    source: Source
    fetcher: Fetcher

    @property
    def requests(self) -> int:
        """How many requests were sent to it."""
        return self.fetcher.requests


class Wiring:
    """What one process works with, each part made when it is first needed, closed together."""

    def __init__(
        self,
        settings: Settings,
        say: Callable[[str], None],
        clock: Clock = machine_clock,
        sleep: Callable[[float], None] = time.sleep,
        watcher: Watcher = UNWATCHED,
    ) -> None:
        self.settings, self.clock = settings, clock
        self._say, self._sleep, self._watcher = say, sleep, watcher
        self._embedded: EmbeddedMeilisearch | None = None

    @cached_property
    def database(self) -> Database:
        """The database, its tables brought to this program's version. Raises ConfigurationError where an import into it
        is not complete.
        """
        database = self.open_database()
        try:
            refuse_unfinished(database)
        except BaseException:
            database.close()
            raise
        return database

    def open_database(self) -> Database:
        """The database, whatever is in it."""
        database = Database(self.settings.database)
        try:
            migrate(database)
        except BaseException:
            database.close()
            raise
        return database

    @property
    def configured(self) -> list[SourceConfig]:
        """The sources as they are configured now, for who only asks.

        Nothing is appended: whose sources file is another one than the workers' would remove their sources.
        """
        return read_sources(self.settings.sources)

    def remember_sources(self) -> list[SourceConfig]:
        """Appends what changed about the sources since the log last heard; gives them as they are configured now."""
        refuse_unfinished(self.database)  # an import that began after this process must not be appended to
        sources = self.configured
        remember_sources(self.database, [source.configured() for source in sources], at=self.clock())
        return sources

    def index(self, *, patience: float = PATIENCE) -> SearchIndex:
        """The search index: on the Meilisearch that is configured, or on the embedded one. An answer of it may take
        `patience` seconds.
        """
        url, key = self._meilisearch(patience)
        return SearchIndex(url, key, self.settings.index, ended=self._watcher.index_task, patience=patience)

    def _meilisearch(self, patience: float) -> tuple[str, str | None]:
        """Where Meilisearch is, and its key."""
        settings = self.settings
        if settings.meili_url is not None:
            key = None if settings.meili_key is None else settings.meili_key.get_secret_value()
            return settings.meili_url.rstrip("/"), key
        if self._embedded is None:
            self._embedded = EmbeddedMeilisearch(
                settings.home, binary=lambda: find_binary(settings.home, settings.meili_binary, self._say)
            )
        address = self._embedded.ensure(hung=patience)
        return address.url, address.key

    def check_meilisearch(self) -> None:
        """Raises ConfigurationError where a Meilisearch program is configured that is none."""
        if self.settings.meili_url is None and self.settings.meili_binary is not None:
            find_binary(self.settings.home, self.settings.meili_binary, self._say)

    def open_source(self, config: SourceConfig) -> OpenedSource:
        """A source that can be fetched from. Raises ConfigurationError where its token is not in the environment."""
        kind = KINDS[config.kind]
        options = kind.Options.model_validate(config.options)
        token = self.token(config)
        fetcher = Fetcher(
            self._http,
            HostBudgets(self.database, lambda: self.clock().timestamp()),
            per_minute=config.requests_per_minute,
            public=lambda: self._public,
            redirect_hosts=config.redirect_hosts,
            headers=kind.headers(options, token),
            secrets=[token] if token else [],
            jitter=random.random,
            clock=self.clock,
            sleep=self._sleep,
            ended=partial(self._watcher.request, config.name),
            retried=partial(self._watcher.retried, config.name),
            waited=partial(self._watcher.waited, config.name),
        )
        return OpenedSource(kind(config.url, options, fetcher), fetcher)

    def close(self) -> None:
        """Lets go of everything."""
        if self._embedded is not None:
            self._embedded.close()
        for name in ("_http", "_public"):
            if name in self.__dict__:
                self.__dict__.pop(name).close()
        if "database" in self.__dict__:
            self.__dict__.pop("database").close()

    @cached_property
    def _http(self) -> httpx.Client:
        """One client for all sources, so that connections are kept."""
        return client(self.settings.contact)

    @cached_property
    def _public(self) -> httpx.Client:
        """One more, for what was crawled or redirected to: it reaches public addresses only."""
        return client(self.settings.contact, network=Network(public_only=True))

    @staticmethod
    def token(config: SourceConfig) -> str | None:
        """A source's token, from the environment. Raises ConfigurationError where the variable it names is not set, or
        is no token.
        """
        if config.token_env is None:
            return None
        token = os.environ.get(config.token_env)
        if not token:
            raise ConfigurationError(
                f"The source {config.name!r} takes its token from {config.token_env}, which is not set in the "
                "environment; set it, or take token_env out of the sources file."
            )
        check_header(f"The source {config.name!r} takes its token from {config.token_env}", token)
        return token
