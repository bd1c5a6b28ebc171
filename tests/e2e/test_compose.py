"""compose.yml: valid, and its worker and beat, run as processes with its variables, crawl through to the index."""

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.conftest import CHECKOUT, missing
from tests.e2e.celery_processes import Running, through
from tests.e2e.home import Home
from tests.ports import free_port
from tests.servers import MeilisearchServer
from tests.waiting import wait_until

Json = dict[str, Any]
SECRETS = {
    "POSTGRES_PASSWORD": "postgres-secret",
    "RABBITMQ_PASSWORD": "rabbitmq-secret",
    "MCP_INDEXER_MEILI_KEY": "meilisearch-secret",
}


def read_by_compose(secrets: dict[str, str]) -> "subprocess.CompletedProcess[str]":
    """What compose makes of the file with these variables."""
    program = shutil.which("docker-compose")
    if program is None:
        missing("docker-compose is not here (Debian: apt-get install docker-compose)")
    return subprocess.run(
        [program, "--file", str(CHECKOUT / "compose.yml"), "config"],
        env={"PATH": os.environ["PATH"], **secrets},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )


@pytest.fixture(scope="module")
def stack() -> Json:
    """The stack as compose reads it."""
    ran = read_by_compose(SECRETS)
    assert ran.returncode == 0, ran.stderr
    found: Json = yaml.safe_load(ran.stdout)
    return found


def test_every_service_is_looked_after(stack: Json) -> None:
    assert set(stack["services"]) == {"postgres", "rabbitmq", "meilisearch", "worker", "beat"}
    for name, service in stack["services"].items():
        assert service["healthcheck"]["test"], name
        assert service["restart"] == "unless-stopped", name
        assert service["mem_limit"], name
        assert service["cpus"], name
        image, _, tag = service["image"].partition(":")
        assert image == "mcp-indexer" or tag not in ("", "latest"), name


def test_what_is_ours_runs_without_rights(stack: Json) -> None:
    for name in ("worker", "beat"):
        service = stack["services"][name]
        assert service["cap_drop"] == ["ALL"]
        assert service["read_only"]
    assert "USER mcp-indexer" in (CHECKOUT / "Dockerfile").read_text()


def test_the_sources_file_may_be_replaced_while_the_stack_runs(stack: Json) -> None:
    """Git and most editors put another file in its place, and a container keeps the one that was bound to it."""
    for name in ("worker", "beat"):
        service = stack["services"][name]
        folder = Path(service["environment"]["MCP_INDEXER_SOURCES"]).parent
        bound = {volume.split(":")[1] for volume in service["volumes"]}
        assert bound == {str(folder)}


@pytest.mark.parametrize("name", SECRETS)
def test_without_a_secret_it_says_which(name: str) -> None:
    ran = read_by_compose({other: value for other, value in SECRETS.items() if other != name})
    assert ran.returncode != 0
    assert name in ran.stderr


def started(stack: Json, home: Home, name: str, there: dict[str, str]) -> Running:
    """A service's command with its variables and no other, addresses put for the names of its network."""
    service = stack["services"][name]
    variables = {key: there.get(key, value) for key, value in service["environment"].items()}
    assert there.keys() - {"MCP_INDEXER_HOME"} <= service["environment"].keys() | {"MCP_INDEXER_METRICS_PORT"}
    arguments: list[str] = [*service["entrypoint"], *service["command"]]
    assert arguments.pop(0) == "celery"
    bare = {key: value for key, value in os.environ.items() if not key.startswith("MCP_INDEXER_")}
    environment = {**bare, **variables, "MCP_INDEXER_HOME": there["MCP_INDEXER_HOME"]}  # the image sets that
    return Running(home, name, [sys.executable, "-P", "-m", "celery", *arguments], environment)


def test_the_stack_crawls_what_is_due_through_to_the_index(
    stack: Json, home: Home, postgres_url: str, rabbitmq_url: str, meilisearch_server: MeilisearchServer, tmp_path: Path
) -> None:
    home.set(DATABASE_URL=postgres_url, BROKER_URL=rabbitmq_url)
    index = os.environ["MCP_INDEXER_INDEX"]
    there = {
        "MCP_INDEXER_DATABASE_URL": postgres_url,
        "MCP_INDEXER_BROKER_URL": rabbitmq_url,
        "MCP_INDEXER_MEILI_URL": meilisearch_server.url,
        "MCP_INDEXER_MEILI_KEY": meilisearch_server.key,
        "MCP_INDEXER_INDEX": index,
        "MCP_INDEXER_SOURCES": str(home.sources_file),
        "MCP_INDEXER_METRICS_PORT": str(free_port()),
        "MCP_INDEXER_HOME": str(tmp_path / "container"),
    }
    services = [started(stack, home, name, there) for name in ("worker", "beat")]
    try:
        wait_until(lambda: through(home, "official"), every=0.2)
    finally:
        for service in services:
            service.kill()
    assert home.run("status", "--json").object["index"]["documents"] == 60
    assert home.agrees()
