"""What Prometheus is told is what `status` says; alerts and dashboard use what there is."""

from workers import metrics  # before prometheus_client, which looks for its folder when it is imported

# isort: split
import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from prometheus_client.parser import text_string_to_metric_families

import workers
from tests.conftest import missing
from tests.e2e.conftest import Home, server
from tests.servers import LOOPBACK, free_port
from workers import report
from workers.sample.serve import SampleServer
from workers.settings import read_settings
from workers.wiring import Wiring

MONITORING = Path(workers.__path__[0]) / "monitoring"
NAME = re.compile(r"\bmcp_indexer_[a-z_]+")

Samples = dict[tuple[str, str], float]


class Exporter:
    """The metrics of a home, served as by a worker."""

    def __init__(self) -> None:
        self.port = free_port()
        self._server = metrics.serve(Wiring(read_settings(), report.say), self.port, LOOPBACK)

    def text(self) -> str:
        return httpx.get(f"http://{LOOPBACK}:{self.port}/metrics", trust_env=False).raise_for_status().text

    def samples(self) -> Samples:
        """Values by name and source."""
        families = text_string_to_metric_families(self.text())
        return {(one.name, one.labels.get("source", "")): one.value for family in families for one in family.samples}

    def stop(self) -> None:
        self._server.shutdown()
        self._server.server_close()


@pytest.fixture
def exporter(either: Home) -> Iterator[Exporter]:  # noqa: ARG001 - sets the environment
    one = Exporter()
    yield one
    one.stop()


def test_metrics_say_what_status_says(either: Home, exporter: Exporter) -> None:
    either.crawl()
    found, status = exporter.samples(), either.run("status", "--json").object
    (source,) = status["sources"]
    for name in ("listings", "versions", "invalid", "quarantined"):
        assert found[f"mcp_indexer_source_{name}", "official"] == source[name]
    assert found["mcp_indexer_log_position", ""] == status["log"]["position"]
    assert found["mcp_indexer_crawled_new_total", "official"] == source["versions"]
    assert found["mcp_indexer_crawls_total", "official"] == 1
    states = [line for line in exporter.text().splitlines() if line.startswith("mcp_indexer_source_state{")]
    assert [line for line in states if line.endswith(" 1.0")] == [
        'mcp_indexer_source_state{source="official",state="fresh"} 1.0'
    ]


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


def test_a_database_that_is_gone_is_said(home: Home) -> None:
    home.run("status")
    exporter = Exporter()
    try:
        home.sources_file.unlink()
        assert exporter.samples()["mcp_indexer_database_up", ""] == 0
    finally:
        exporter.stop()


def test_what_a_process_counts_is_served(home: Home) -> None:
    home.crawl()
    counting = metrics.Counting()
    counting.request("counted", "200")
    counting.waited("counted", 1.5)
    counting.index_task("documentAdditionOrUpdate", "succeeded", 0.5)
    exporter = Exporter()
    try:
        found = exporter.samples()
    finally:
        exporter.stop()
    assert found["mcp_indexer_requests_total", "counted"] >= 1
    assert found["mcp_indexer_budget_wait_seconds_total", "counted"] >= 1.5
    assert found["mcp_indexer_index_task_seconds_count", ""] >= 1


def test_alerts_and_dashboard_name_metrics_that_there_are(home: Home) -> None:
    test_what_a_process_counts_is_served(home)
    exporter = Exporter()
    try:
        there = {name for name, _ in exporter.samples()}
    finally:
        exporter.stop()
    dashboard = json.loads((MONITORING / "dashboard.json").read_text())
    expressions = [target["expr"] for panel in dashboard["panels"] for target in panel["targets"]]
    expressions += re.findall(r"expr: (.*)", (MONITORING / "alerts.yml").read_text())
    used = {name for expression in expressions for name in NAME.findall(expression)}
    assert len(used) > 10
    assert used <= there


@pytest.mark.parametrize("command", [["check", "rules", "alerts.yml"], ["test", "rules", "alerts_test.yml"]])
def test_promtool_takes_the_alerts(command: list[str]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        missing("promtool is not here (Debian: apt-get install prometheus)")
    ran = subprocess.run([promtool, *command], cwd=MONITORING, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stdout + ran.stderr
