"""Metrics for Prometheus, on a port of the worker.

Where sources and projections stand is read from the database when it is asked for, so every worker says the same and
nothing is lost with a process; sums of past crawls come from the log, so they never fall. What happens in the worker's
processes (requests, waits, index tasks) each of them counts in a file of its own, and the first process adds them up.
"""

from collections.abc import Iterator
from wsgiref.simple_server import WSGIServer

from workers import metrics_folder

# isort: split
from prometheus_client import CollectorRegistry, Counter, Histogram, start_http_server
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily
from prometheus_client.metrics_core import Metric
from prometheus_client.multiprocess import MultiProcessCollector, mark_process_dead
from prometheus_client.registry import Collector
from sqlalchemy import Connection

from indexer import queries
from indexer.errors import McpIndexerError
from indexer.store import last_position
from schemas.events import Counts
from workers.standing import SOURCE_STATES, Stands, stand
from workers.wiring import Wiring

__all__ = ["Counting", "forget_process", "metrics_folder", "serve"]

REQUESTS = Counter("mcp_indexer_requests", "Requests to sources, by HTTP status or error.", ["source", "outcome"])
WAITED = Counter("mcp_indexer_budget_wait_seconds", "Seconds that requests waited for a budget.", ["source"])
INDEX_TASKS = Histogram(
    "mcp_indexer_index_task_seconds", "How long Meilisearch took for its tasks.", ["kind", "outcome"]
)
SUMMED = {**Counts().model_dump(), "missed": 0, "silent": 0}
"""What is summed over past crawls, each as mcp_indexer_crawled_…_total."""


class Counting:
    """An observer that counts in this process."""

    def request(self, source: str, outcome: str) -> None:
        """Counts a request."""
        REQUESTS.labels(source, outcome).inc()

    def waited(self, source: str, seconds: float) -> None:
        """Adds to the waits."""
        WAITED.labels(source).inc(seconds)

    def index_task(self, kind: str, outcome: str, seconds: float) -> None:
        """Observes a task's seconds."""
        INDEX_TASKS.labels(kind, outcome).observe(seconds)


class Standing(Collector):
    """Where everything stands, read from the database at each scrape."""

    def __init__(self, wiring: Wiring) -> None:
        self._wiring = wiring

    def collect(self) -> Iterator[Metric]:
        """The metrics of the database; without one, only that it cannot be read."""
        up = GaugeMetricFamily("mcp_indexer_database_up", "Whether the database can be read.")
        try:
            found = list(self._read())
        except McpIndexerError:
            up.add_metric([], 0)
            yield up
        else:
            up.add_metric([], 1)
            yield up
            yield from found
        finally:
            self._wiring.close()  # no connection may be open when the worker forks

    def _read(self) -> Iterator[Metric]:
        configs, now = self._wiring.sources, self._wiring.clock()
        with self._wiring.database.read() as connection:
            yield from _of_sources(stand(connection, configs, now), now.timestamp())
            yield from _of_crawls(connection)
            yield from _of_projections(connection)


def serve(wiring: Wiring, port: int, host: str) -> WSGIServer:
    """Serves the metrics from now on, in a thread; gives the server."""
    registry = CollectorRegistry()
    MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    registry.register(Standing(wiring))
    server, _ = start_http_server(port, host, registry)
    return server


def forget_process(pid: int) -> None:
    """Drops what only a living process could say."""
    mark_process_dead(pid)  # type: ignore[no-untyped-call]


def _of_sources(sources: list[Stands], now: float) -> Iterator[Metric]:
    for name in ("listings", "versions", "invalid", "quarantined"):
        gauge = GaugeMetricFamily(f"mcp_indexer_source_{name}", f"A source's {name}, now.", labels=["source"])
        for one in sources:
            gauge.add_metric([one.config.name], getattr(one.standing, name))
        yield gauge
    completed = GaugeMetricFamily(
        "mcp_indexer_source_last_completed_seconds", "When the last crawl was completed, Unix time.", labels=["source"]
    )
    overdue = GaugeMetricFamily(
        "mcp_indexer_source_overdue_seconds", "For how long the next crawl has been due.", labels=["source"]
    )
    state = GaugeMetricFamily("mcp_indexer_source_state", "1 for the state it is in.", labels=["source", "state"])
    for one in sources:
        name, done = one.config.name, one.standing.state.completed_at
        if done is not None:
            completed.add_metric([name], done.timestamp())
            overdue.add_metric([name], 0.0 if one.due is None else max(0.0, now - one.due.timestamp()))
        for known in SOURCE_STATES:
            state.add_metric([name, known], known == one.state)
    yield from (completed, overdue, state)


def _of_crawls(connection: Connection) -> Iterator[Metric]:
    sums = queries.crawl_sums(connection)
    ended = CounterMetricFamily("mcp_indexer_crawls", "Crawls that ended.", labels=["source", "mode", "status"])
    for (source, mode, status), (count, _) in sums.items():
        ended.add_metric([source, mode, status], count)
    yield ended
    for name in SUMMED:
        total = CounterMetricFamily(
            f"mcp_indexer_crawled_{name}", f"Summed over past crawls: {name}.", labels=["source"]
        )
        of_source: dict[str, int] = {}
        for (source, _, _), (_, counts) in sums.items():
            of_source[source] = of_source.get(source, 0) + counts[name]
        for source, value in of_source.items():
            total.add_metric([source], value)
        yield total


def _of_projections(connection: Connection) -> Iterator[Metric]:
    position = GaugeMetricFamily("mcp_indexer_log_position", "The position of the log's last event.")
    position.add_metric([], last_position(connection))
    yield position
    lag = GaugeMetricFamily("mcp_indexer_projection_lag_events", "Events not projected yet.", labels=["projection"])
    for one in queries.projections(connection):
        lag.add_metric([one["name"]], one["lag"])
    yield lag
