"""What a command imports: each package costs its start time and memory."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.servers import free_port
from workers.sample.bundled import sample_registry
from workers.sample.serve import SampleServer

COMMAND = """
import sys
from contextlib import suppress
from workers.cli import main

with suppress(SystemExit):
    main()
sys.stderr.write(" ".join(["imported:", *sys.modules]))
"""
BROKERS = ("celery.app", "kombu.connection", "kombu.entity", "amqp", "yaml")
"""What speaks to a broker: celery and kombu themselves import next to nothing before it is used."""


def imported(home: Path, *arguments: str) -> tuple[set[str], str]:
    """The modules that a command has imported when it ends, and what it said."""
    settings = {
        "MCP_INDEXER_HOME": str(home),
        "MCP_INDEXER_SOURCES": str(home / "sources.toml"),
        "MCP_INDEXER_MEILI_URL": f"http://127.0.0.1:{free_port()}",
    }
    command = [sys.executable, "-c", COMMAND, *arguments]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=True)
    said, _, modules = done.stderr.partition("imported: ")
    return set(modules.split()), done.stdout + said


@pytest.mark.parametrize(
    ("command", "says"), [("crawl", "completed"), ("search pdf", "does not answer"), ("status", "never")]
)
def test_a_command_imports_nothing_of_a_broker_or_of_postgres_where_there_is_none(
    tmp_path: Path, command: str, says: str
) -> None:
    with SampleServer(sample_registry()) as upstream:
        source = f'[[source]]\nname = "sample"\nkind = "registry"\nurl = "{upstream.url}"\n'
        (tmp_path / "sources.toml").write_text(source)
        modules, said = imported(tmp_path, *command.split())
    assert says in said
    assert modules.isdisjoint([*BROKERS, "psycopg", "sqlalchemy.dialects.postgresql"])
