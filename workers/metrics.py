"""Metrics for Prometheus, on a port of the worker.

Where sources and projections stand is read from the database when it is asked for, so every worker says the same and
nothing is lost with a process; sums of past crawls come from the log, so they never fall. What happens in the worker's
processes (requests, waits, index tasks) each of them counts in a file of its own, and the first process adds them up.
"""

import logging
import os
import threading
import time
from collections.abc import Callable, Iterator
from wsgiref.simple_server import WSGIServer

from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server, values
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from indexer import queries
from indexer.errors import ConfigurationError, McpIndexerError
from indexer.store import last_position
from indexer.sums import SUMMED, CrawlSums
from workers import metrics_folder
from workers.schedule import interval
from workers.sources_file import SourceConfig, read_sources
from workers.standing import SOURCE_STATES, Stands, stand
from workers.wiring import Wiring

values.ValueClass = values.MultiProcessValue(metrics_folder.place)  # type: ignore[no-untyped-call]

REQUESTS = Counter("mcp_indexer_requests", "Requests to sources, by HTTP status or error.", ["source", "outcome"])
RETRIES = Counter("mcp_indexer_retries", "Requests that were asked again after a failure.", ["source"])
WAITED = Counter("mcp_indexer_budget_wait_seconds", "Seconds that requests waited for a budget.", ["source"])
INDEX_TASKS = Histogram(
    "mcp_indexer_index_task_seconds",
    "How long Meilisearch took for its tasks.",
    ["kind", "outcome"],
    buckets=(0.05, 0.1, 0.25, 0.5, 1, 2.5, 5, 10, 30, 60, 120, 300, 600, 1800),
)
TASK_KINDS = (
    *("documentAdditionOrUpdate", "documentDeletion", "indexCreation", "indexDeletion", "indexSwap"),
    "settingsUpdate",
)
TASK_OUTCOMES = ("succeeded", "failed", "canceled")

KEPT_SECONDS = 5.0
COST = 10
"""What was read is told again for some seconds, and for so many times what reading it took: however large the database
is and however many ask, reading it takes a tenth of one core at most.
"""

log = logging.getLogger(__name__)


class Counting:
    """A watcher that counts in this process, and logs."""

    def request(self, source: str, outcome: str) -> None:
        """Counts a request."""
        REQUESTS.labels(source, outcome).inc()

    def retried(self, source: str, why: str) -> None:
        """Counts a request that is asked again."""
        RETRIES.labels(source).inc()
        log.info("%s: is asked again: %s", source, why, extra={"source": source})

    def waited(self, source: str, seconds: float) -> None:
        """Adds to the waits."""
        WAITED.labels(source).inc(seconds)

    def index_task(self, kind: str, outcome: str, seconds: float) -> None:
        """Observes a task's seconds."""
        INDEX_TASKS.labels(kind, outcome).observe(seconds)
        log.log(
            logging.DEBUG if outcome == "succeeded" else logging.WARNING,
            "Index task %s %s after %.1f s",
            *(kind, outcome, seconds),
        )


class Standing(Collector):
    """Where everything stands, as the database has it."""

    def __init__(self, wiring: Wiring, kept: float, ticks: Callable[[], float] = time.monotonic) -> None:
        self._wiring, self._kept, self._ticks = wiring, kept, ticks
        self._sums = CrawlSums()
        self._configs: list[SourceConfig] = []
        self._guard = threading.Lock()  # whoever asks meanwhile waits, and is told the same
        self._found: list[Metric] = []
        self._until = 0.0

    def collect(self) -> Iterator[Metric]:
        """The metrics of the database; without one, only that it cannot be read."""
        with self._guard:
            began = self._ticks()
            if not self._found or began >= self._until:
                self._found = self._look()
                done = self._ticks()
                self._until = done + max(self._kept, COST * (done - began))
            found = self._found
        yield from found

    def _look(self) -> list[Metric]:
        up = GaugeMetricFamily("mcp_indexer_database_up", "Whether the database can be read.")
        sources_up = GaugeMetricFamily("mcp_indexer_sources_file_up", "Whether the sources file can be read.")
        sources_up.add_metric([], self._sources_can_be_read())
        try:
            found = self._read()
        except McpIndexerError as error:
            log.warning("No metrics of sources and projections: %s", error)
            found = []
        up.add_metric([], bool(found))
        return [up, sources_up, *found]

    def _sources_can_be_read(self) -> bool:
        try:
            self._configs = read_sources(self._wiring.settings.sources)
        except ConfigurationError as error:
            log.warning("The sources are told as they were configured before: %s", error)
            return False
        return True

    def _read(self) -> list[Metric]:
        now = self._wiring.clock()
        try:
            with self._wiring.database.read() as connection:
                self._sums.read(connection)
                sources = stand(connection, self._configs, now)
                return [
                    *_of_sources(sources, now.timestamp()),
                    *_of_crawls(self._sums),
                    *_of_projections(connection, publishes=self._wiring.settings.publishes),
                ]
        finally:
            if "database" in vars(self._wiring):
                self._wiring.database.close()  # no connection is open while the worker forks


def serve(wiring: Wiring, port: int, host: str, kept: float = KEPT_SECONDS) -> WSGIServer:
    """Serves the metrics from now on, in a thread; gives the server. Raises ConfigurationError where it cannot.

    What was read from the database is kept for so many seconds.
    """
    for kind in TASK_KINDS:
        for outcome in TASK_OUTCOMES:
            INDEX_TASKS.labels(kind, outcome)  # a first failure is a rise only where there was a 0 before
    registry = CollectorRegistry()
    MultiProcessCollector(registry, os.environ[metrics_folder.VARIABLE])  # type: ignore[no-untyped-call]
    registry.register(Standing(wiring, kept))
    try:
        server, _ = start_http_server(port, host, registry)
    except OSError as error:
        raise ConfigurationError(
            f"The metrics cannot be served at {host} port {port}: {error.strerror}; set MCP_INDEXER_METRICS_PORT to a "
            "free port, and MCP_INDEXER_METRICS_HOST to an address of this machine."
        ) from error
    return server


def _of_sources(sources: list[Stands], now: float) -> Iterator[Metric]:
    for name in ("listings", "versions", "invalid", "quarantined"):
        gauge = GaugeMetricFamily(f"mcp_indexer_source_{name}", f"A source's {name}, now.", labels=["source"])
        for one in sources:
            gauge.add_metric([one.config.name], getattr(one.standing, name))
        yield gauge
    every = GaugeMetricFamily("mcp_indexer_source_every_seconds", "How often it is to be crawled.", labels=["source"])
    completed = GaugeMetricFamily(
        "mcp_indexer_source_last_completed_seconds", "When the last crawl was completed, Unix time.", labels=["source"]
    )
    overdue = GaugeMetricFamily(
        "mcp_indexer_source_overdue_seconds", "For how long the next crawl has been due.", labels=["source"]
    )
    state = GaugeMetricFamily("mcp_indexer_source_state", "1 for the state it is in.", labels=["source", "state"])
    for one in sources:
        name, done = one.config.name, one.standing.state.completed_at
        every.add_metric([name], interval(one.config, one.standing.state).total_seconds())
        if done is not None:
            completed.add_metric([name], done.timestamp())
            overdue.add_metric([name], 0.0 if one.due is None else max(0.0, now - one.due.at.timestamp()))
        for known in SOURCE_STATES:
            state.add_metric([name, known], known == one.state)
    yield from (every, completed, overdue, state)


def _of_crawls(sums: CrawlSums) -> Iterator[Metric]:
    ended = CounterMetricFamily("mcp_indexer_crawls", "Crawls that ended.", labels=["source", "mode", "status"])
    for labels, count in sums.ended.items():
        ended.add_metric(labels, count)
    yield ended
    for name in SUMMED:
        total = CounterMetricFamily(
            f"mcp_indexer_crawled_{name}", f"Summed over past crawls: {name}.", labels=["source"]
        )
        for (source, counted), value in sums.counts.items():
            if counted == name:
                total.add_metric([source], value)
        yield total


def _of_projections(connection: Connection, *, publishes: bool) -> Iterator[Metric]:
    position = GaugeMetricFamily("mcp_indexer_log_position", "The position of the log's last event.")
    position.add_metric([], last_position(connection))
    checkpoint = GaugeMetricFamily(
        "mcp_indexer_projection_checkpoint", "The last position that a projection has done.", labels=["projection"]
    )
    lag = GaugeMetricFamily("mcp_indexer_projection_lag_events", "Events not projected yet.", labels=["projection"])
    for one in queries.projections(connection, publishes=publishes):
        checkpoint.add_metric([one["name"]], one["checkpoint"])
        lag.add_metric([one["name"]], one["lag"])
    yield from (position, checkpoint, lag)
