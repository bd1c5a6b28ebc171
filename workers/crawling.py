"""Crawls sources one after the other, through to the index and the exchange, and says what that came to."""

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, replace

from indexer import queries
from indexer.errors import (
    ConfigurationError,
    ExchangeUnavailable,
    IndexRefused,
    IndexUnavailable,
    LeaseHeld,
    LeaseLost,
)
from indexer.projections.checkpoints import DOCUMENTS
from indexer.scheduling import read_schedule
from indexer.search import PATIENCE
from indexer.store import last_position
from schemas.events import Counts
from schemas.names import SourceName
from workers.broker import check_broker
from workers.crawl import Crawl
from workers.indexing import Indexing
from workers.kinds import KINDS
from workers.outcome import Outcome
from workers.publishing import publish_all
from workers.source import traits
from workers.sources_file import SourceConfig, chosen
from workers.wiring import A_LOOK, OpenedSource, Wiring

Show = Callable[[str], AbstractContextManager[Callable[[Counts], None]]]
"""Shows a crawl of a source while it goes on: called with what it came to so far."""


@contextmanager
def _unseen(_: str) -> Iterator[Callable[[Counts], None]]:
    yield lambda _: None


@dataclass(frozen=True, slots=True)
class Crawled:
    """What a crawl of some sources came to."""

    crawls: list[Outcome]
    position: int
    index_uid: str
    documents: int | None
    lag: int
    index_error: str | None
    exchange_error: str | None = None
    interrupted: bool = False
    """Whether a person interrupted it."""

    @property
    def exit_status(self) -> int:
        """130 interrupted, 2 where a source's configuration is wrong, 1 where a crawl failed or the index lags, 3 where
        one is parked, else 0.
        """
        if self.interrupted:
            return 130
        if any(crawl.misconfigured for crawl in self.crawls):
            return 2
        statuses = {crawl.status for crawl in self.crawls}
        if "failed" in statuses or self.index_error is not None:
            return 1
        return 3 if "parked" in statuses else 0


def crawl_sources(
    wiring: Wiring, names: list[str], *, audit: bool = False, max_pages: int | None = None, crawling: Show = _unseen
) -> Crawled:
    """Crawls sources one after the other, and brings the index and the exchange over what they said; `crawling` shows
    it. Raises ConfigurationError, before anything begins, where none of them can be crawled.
    """
    if wiring.settings.publishes:
        check_broker(wiring.settings.broker)
    wiring.check_meilisearch()
    configs = _not_paused(wiring, chosen(wiring.remember_sources(), names), by_name=bool(names))
    for config in configs:
        if not config.enabled:
            raise ConfigurationError(f"The source {config.name!r} is disabled; set enabled = true for it first.")
    opened, outcomes = _opened(wiring, configs)
    interrupted, exchange_error = False, None
    indexing = Indexing(wiring.database, wiring.index)
    try:
        with closing(indexing):
            for config, source in opened:
                outcome = _crawl_one(wiring, config, source, indexing, crawling, audit=audit, max_pages=max_pages)
                outcomes.append(outcome)
                if interrupted := outcome.by_hand:
                    break
            else:
                indexing.finish()
        if not interrupted:
            exchange_error = _published(wiring)
    except KeyboardInterrupt:
        interrupted = True
    crawled = _crawled(wiring, outcomes, indexing.error, patience=A_LOOK if interrupted else PATIENCE)
    return replace(crawled, exchange_error=exchange_error, interrupted=interrupted)


def _opened(
    wiring: Wiring, configs: list[SourceConfig]
) -> tuple[list[tuple[SourceConfig, OpenedSource]], list[Outcome]]:
    """The sources that can be fetched from, and what becomes of those that are wrongly configured: they hold up no
    other. Raises ConfigurationError where there is no other.
    """
    opened: list[tuple[SourceConfig, OpenedSource]] = []
    wrong: dict[SourceName, str] = {}
    for config in configs:
        try:
            opened.append((config, wiring.open_source(config)))
        except ConfigurationError as error:
            wrong[SourceName(config.name)] = str(error)
    if wrong and not opened:
        raise ConfigurationError(" ".join(dict.fromkeys(wrong.values())))
    return opened, [Outcome(name, None, "failed", error=why, misconfigured=True) for name, why in wrong.items()]


def _published(wiring: Wiring) -> str | None:
    """Publishes what is new; the sentence that says why it could not. The crawl is done all the same: whoever comes
    next publishes it.
    """
    try:
        publish_all(wiring)
    except (ExchangeUnavailable, ConfigurationError) as error:
        return str(error)
    return None


def _not_paused(wiring: Wiring, configs: list[SourceConfig], *, by_name: bool) -> list[SourceConfig]:
    """The sources without those that are paused. Raises ConfigurationError where one of those was named."""
    with wiring.database.read() as connection:
        paused = {name for name, one in read_schedule(connection).items() if one.paused}
    for config in configs:
        if by_name and config.name in paused:
            raise ConfigurationError(
                f"The source {config.name!r} is paused; `mcp-indexer resume {config.name}` lets it be crawled again."
            )
    return [config for config in configs if config.name not in paused]


def begin_crawl(wiring: Wiring, config: SourceConfig, *, audit: bool = False) -> Crawl:
    """Begins a crawl of a source, or goes on with the one that was interrupted. Raises LeaseHeld."""
    kind = KINDS[config.kind]
    options = kind.Options.model_validate(config.options)
    return Crawl(
        wiring.database,
        SourceName(config.name),
        traits(kind, config.url, options),
        clock=wiring.clock,
        audit=audit,
        every=config.every,
        audit_every=config.audit_every,
    )


def _crawl_one(
    wiring: Wiring,
    config: SourceConfig,
    opened: OpenedSource,
    indexing: Indexing,
    crawling: Show,
    *,
    audit: bool,
    max_pages: int | None,
) -> Outcome:
    name = SourceName(config.name)
    try:
        crawl = begin_crawl(wiring, config, audit=audit)
    except LeaseHeld as error:
        return Outcome(name, None, "failed", error=str(error))
    with crawling(config.name) as show:
        seen = 0

        def progress(counts: Counts) -> None:
            nonlocal seen
            show(counts)
            indexing.step(counts.observed - counts.unchanged - seen)
            seen = counts.observed - counts.unchanged

        try:
            return crawl.run(opened, max_pages=max_pages, progress=progress, recorded=indexing.tail.add)
        except LeaseLost as error:
            return Outcome(name, None, "failed", error=str(error))


def _crawled(wiring: Wiring, outcomes: list[Outcome], error: str | None, *, patience: float) -> Crawled:
    documents: int | None = None
    if error is None:
        try:
            documents = wiring.index(patience=patience).count()
        except (IndexUnavailable, IndexRefused) as refused:
            error = str(refused)
    with wiring.database.read() as connection:
        lag = next(one["lag"] for one in queries.projections(connection) if one["name"] == DOCUMENTS)
        position = last_position(connection)
    return Crawled(outcomes, position, wiring.settings.index, documents, lag, error)
