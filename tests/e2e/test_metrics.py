"""What Prometheus is told is what `status` says; alerts, dashboard and README use what there is."""

import json
import re
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import httpx
import pytest
import yaml
from prometheus_client.metrics_core import Metric
from prometheus_client.parser import text_string_to_metric_families

import workers
from indexer.sums import SUMMED, CrawlSums
from tests.e2e.celery_processes import CELERY, WORKER, Running, beat, through
from tests.e2e.home import Home
from tests.listed import server
from tests.ports import LOOPBACK, free_port
from tests.waiting import PATIENCE, wait_until
from workers import metrics, terminal
from workers.sample.answers import Request
from workers.sample.problems import Answer, problem
from workers.sample.serve import SampleServer
from workers.settings import read_settings
from workers.standing import SOURCE_STATES
from workers.wiring import Wiring

MONITORING = Path(workers.__path__[0]) / "monitoring"
NAME = re.compile(r"\bmcp_indexer_[a-z_]+")

Samples = dict[tuple[str, str], float]


def scraped(port: int) -> list[Metric]:
    """What is served at a port."""
    answer = httpx.get(f"http://{LOOPBACK}:{port}/metrics", timeout=PATIENCE, trust_env=False)
    return list(text_string_to_metric_families(answer.raise_for_status().text))


def by_source(families: list[Metric], **labels: str) -> Samples:
    """Sums of values by name and source, of the samples with these labels."""
    found: Counter[tuple[str, str]] = Counter()
    for family in families:
        for one in family.samples:
            if labels.items() <= one.labels.items():
                found[one.name, one.labels.get("source", "")] += one.value  # type: ignore[assignment]
    return dict(found)


class Exporter:
    """The metrics of a home, served as by a worker."""

    def __init__(self, kept: float = 0.0) -> None:
        self.port = free_port()
        self._server = metrics.serve(Wiring(read_settings(), terminal.say), self.port, LOOPBACK, kept)

    def families(self) -> list[Metric]:
        return scraped(self.port)

    def samples(self, **labels: str) -> Samples:
        return by_source(self.families(), **labels)

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture(autouse=True)
def read_each_time(monkeypatch: pytest.MonkeyPatch) -> None:
    """What was read from the database is not told twice, but where a test says so."""
    monkeypatch.setattr(metrics, "COST", 0)


@pytest.fixture
def exporter(either: Home) -> Iterator[Exporter]:  # noqa: ARG001 - sets the environment
    one = Exporter()
    yield one
    one.stop()


def test_metrics_say_what_status_says(either: Home, exporter: Exporter, upstream: SampleServer) -> None:
    upstream.registry.publish(server(901, description=""))
    either.crawl()
    found, status = exporter.samples(), either.run("status", "--json").object
    (source,) = status["sources"]
    assert (source["versions"], source["invalid"]) == (121, 1)
    for name in ("listings", "versions", "invalid", "quarantined"):
        assert found[f"mcp_indexer_source_{name}", "official"] == source[name]
    assert found["mcp_indexer_log_position", ""] == status["log"]["position"]
    assert found["mcp_indexer_source_every_seconds", "official"] == 3600
    for one in status["projections"]:
        of_it = exporter.samples(projection=one["name"])
        assert of_it["mcp_indexer_projection_checkpoint", ""] == one["checkpoint"]
        assert of_it["mcp_indexer_projection_lag_events", ""] == one["lag"]
    states = {state: exporter.samples(state=state)["mcp_indexer_source_state", "official"] for state in SOURCE_STATES}
    assert {state for state, holds in states.items() if holds} == {source["state"]} == {"fresh"}


def test_sums_are_those_of_the_crawls(either: Home, exporter: Exporter, upstream: SampleServer) -> None:
    either.crawl()
    upstream.registry.publish(server(1, "2.0.0"))
    either.crawl("--audit")
    found, crawls = exporter.samples(), either.run("crawls", "--json").objects
    assert len(crawls) == found["mcp_indexer_crawls_total", "official"] == 2
    for name in SUMMED:
        assert found[f"mcp_indexer_crawled_{name}_total", "official"] == sum(one[name] or 0 for one in crawls), name


def test_sums_of_crawls_never_fall_and_outlive_a_process(
    either: Home, exporter: Exporter, upstream: SampleServer
) -> None:
    either.crawl()
    before = exporter.samples()
    upstream.registry.publish(server(1, "2.0.0"))
    either.crawl()
    after, other = exporter.samples(), Exporter()
    try:
        elsewhere = other.samples()
    finally:
        other.stop()
    sums = {key for key in before if key[0].startswith("mcp_indexer_crawled_")}
    assert all(after[key] >= before[key] for key in sums)
    assert after["mcp_indexer_crawled_new_total", "official"] == 121
    assert {key: elsewhere[key] for key in sums} == {key: after[key] for key in sums}


def test_each_crawl_is_added_once_however_often_the_log_is_read(either: Home) -> None:
    wiring, grown = Wiring(read_settings(), terminal.say), CrawlSums()
    either.crawl()
    for _ in range(3):
        with wiring.database.read() as connection:
            grown.read(connection)
    either.crawl()
    anew = CrawlSums()
    with wiring.database.read() as connection:
        grown.read(connection)
        anew.read(connection)
    wiring.close()
    assert sum(grown.ended.values()) == 2
    assert (grown.ended, grown.counts) == (anew.ended, anew.counts)


def test_a_source_that_was_never_crawled_has_sums_of_nothing(either: Home, exporter: Exporter) -> None:
    """So that the first `missed` is a rise, which Prometheus sees, and no beginning, which it does not."""
    either.run("rebuild", "catalogue")  # so the log knows the source
    assert exporter.samples()["mcp_indexer_crawled_missed_total", "official"] == 0
    assert exporter.samples(outcome="failed")["mcp_indexer_index_task_seconds_count", ""] >= 0


def test_the_database_is_asked_now_and_then_however_many_ask(home: Home) -> None:
    exporter = Exporter(kept=3600)
    try:
        first = exporter.samples()["mcp_indexer_log_position", ""]
        home.crawl()
        with ThreadPoolExecutor(8) as many:
            told = list(many.map(lambda _: exporter.samples()["mcp_indexer_log_position", ""], range(16)))
    finally:
        exporter.stop()
    assert told == [first] * 16


def test_what_takes_long_to_read_is_told_for_ten_times_as_long(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "COST", 10)
    times = iter([0.0, 3.0, 32.9, 33.0, 36.0])  # begun and done, asked too early, begun and done
    standing = metrics.Standing(Wiring(read_settings(), terminal.say), kept=5.0, ticks=lambda: next(times))
    told = []
    for _ in range(3):
        (position,) = [one for one in standing.collect() if one.name == "mcp_indexer_log_position"]
        told.append(position.samples[0].value)
        home.crawl()
    assert told[0] == told[1] < told[2]


def test_a_sources_file_that_is_gone_is_said_and_the_rest_goes_on(either: Home, exporter: Exporter) -> None:
    either.crawl()
    assert exporter.samples()["mcp_indexer_sources_file_up", ""] == 1
    either.sources_file.unlink()
    found = exporter.samples()
    assert (found["mcp_indexer_sources_file_up", ""], found["mcp_indexer_database_up", ""]) == (0, 1)
    assert found["mcp_indexer_source_versions", "official"] == 120


def test_a_database_that_is_gone_is_said(home: Home, dead_port: int) -> None:
    home.set(DATABASE_URL=f"postgresql+psycopg://nobody@{LOOPBACK}:{dead_port}/none")
    exporter = Exporter()
    try:
        found = exporter.samples()
    finally:
        exporter.stop()
    assert (found["mcp_indexer_sources_file_up", ""], found["mcp_indexer_database_up", ""]) == (1, 0)


class Faltering:
    """A registry's hook that once says to come again."""

    def __init__(self) -> None:
        self._once = threading.Lock()

    def __call__(self, request: Request) -> Answer | None:
        listing = request.path.endswith("/servers")
        return problem(503, "come again") if listing and self._once.acquire(blocking=False) else None


def worker_with_metrics(home: Home, name: str, port: int, *more: str) -> Running:
    home.set(METRICS_PORT=str(port))
    return Running(home, name, [*CELERY[:-2], "--quiet", *CELERY[-2:], *WORKER, "--hostname", f"{name}@%h", *more])


def test_a_worker_tells_what_its_processes_did_those_that_ended_too(
    home: Home, upstream: SampleServer, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    counts = tmp_path / "counts"
    counts.mkdir()
    monkeypatch.setenv("PROMETHEUS_MULTIPROC_DIR", str(counts))
    upstream.faults.hook = Faltering()
    names, url = "abcdefg", upstream.url
    home.watch(a=url, b=url, c=url, d=url, e=url, f=url, g=url)
    port = free_port()
    one = worker_with_metrics(home, "one", port, "--max-tasks-per-child", "1", "--loglevel", "DEBUG")
    try:
        with beat(home):
            wait_until(lambda: through(home, *names), every=0.2)
        wait_until(lambda: one.says('"a: completed"'))  # which it says once it is done
        found = scraped(port)
    finally:
        one.kill()
    answers = {str(status): count for status, count in upstream.statuses.items()}
    assert answers["503"] == 1
    for status, count in answers.items():
        counted_of = by_source(found, outcome=status)
        assert sum(counted_of.get(("mcp_indexer_requests_total", name), 0) for name in names) == count
    totals = by_source(found)
    assert sum(totals.get(("mcp_indexer_retries_total", name), 0) for name in names) == 1
    written = by_source(found, kind="documentAdditionOrUpdate", outcome="succeeded")
    assert written["mcp_indexer_index_task_seconds_count", ""] >= 1
    assert len(list(counts.iterdir())) <= 2 * 3  # a counter's and a histogram's, of two places and the first process

    said = one.log.read_text()
    lines = [json.loads(line) for line in said[said.index("{") :].splitlines()]  # before them Python warns of root
    (end,) = [line for line in lines if line["message"] == "a: completed"]
    (begun,) = [line for line in lines if line["message"].startswith("a: begun")]
    assert (end["source"], end["crawl"], end["counts"]["new"]) == ("a", begun["crawl"], 120)
    assert str(end["position"]) in {event["id"] for event in home.events()}
    assert any("is asked again: 503" in line["message"] for line in lines)


def test_a_port_that_is_taken_stops_the_worker_with_a_sentence(home: Home, upstream: SampleServer) -> None:
    taken = int(upstream.url.rpartition(":")[2])
    one = worker_with_metrics(home, "one", taken)
    try:
        assert one.process.wait(60) == 2
    finally:
        one.kill()
    assert one.says(f"port {taken}: Address already in use; set MCP_INDEXER_METRICS_PORT")


def test_every_metric_has_a_help_text_and_a_row_in_the_documents_and_no_row_is_without_one(home: Home) -> None:
    counted(home)
    exporter = Exporter()
    try:
        families = exporter.families()
    finally:
        exporter.stop()
    assert [family.name for family in families if not family.documentation] == []
    printed = {family.name + ("_total" if family.type == "counter" else "") for family in families}
    rows = re.findall(r"^\| `(\w+)` \|", (MONITORING / "README.md").read_text(), re.MULTILINE)
    assert len(rows) > 25
    assert sorted(rows) == sorted(printed)


def test_alerts_and_dashboard_name_metrics_that_there_are(home: Home) -> None:
    counted(home)
    exporter = Exporter()
    try:
        there = {name for name, _ in exporter.samples()}
    finally:
        exporter.stop()
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    (group,) = yaml.safe_load((MONITORING / "alerts.yml").read_text())["groups"]
    expressions += [rule["expr"] for rule in group["rules"]]
    used = {name for expression in expressions for name in NAME.findall(expression)}
    assert len(used) > 20
    assert used <= there


def counted(home: Home) -> None:
    """A crawl, and what a process may count."""
    home.crawl()
    counting = metrics.Counting()
    counting.request("counted", "200")
    counting.retried("counted", "503")
    counting.waited("counted", 1.5)
    counting.index_task("documentAdditionOrUpdate", "succeeded", 0.5)
