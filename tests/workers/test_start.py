"""What a command imports: each package costs its start time and memory."""

import signal
import subprocess
import sys
from pathlib import Path

import pytest

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


def imported(home: Path, meilisearch: str, *arguments: str) -> tuple[set[str], str]:
    """The modules that a command has imported when it ends, and what it said."""
    settings = {
        "MCP_INDEXER_HOME": str(home),
        "MCP_INDEXER_SOURCES": str(home / "sources.toml"),
        "MCP_INDEXER_MEILI_URL": meilisearch,
    }
    command = [sys.executable, "-c", COMMAND, *arguments]
    done = subprocess.run(command, env=settings, capture_output=True, text=True, check=True)
    said, _, modules = done.stderr.partition("imported: ")
    return set(modules.split()), done.stdout + said


@pytest.mark.parametrize(
    ("command", "says"), [("crawl", "completed"), ("search pdf", "does not answer"), ("status", "never")]
)
def test_a_command_imports_nothing_of_a_broker_or_of_postgres_where_there_is_none(
    tmp_path: Path, nobody: str, command: str, says: str
) -> None:
    with SampleServer(sample_registry()) as upstream:
        source = f'[[source]]\nname = "sample"\nkind = "registry"\nurl = "{upstream.url}"\n'
        (tmp_path / "sources.toml").write_text(source)
        modules, said = imported(tmp_path, nobody, *command.split())
    assert says in said
    assert modules.isdisjoint([*BROKERS, "psycopg", "sqlalchemy.dialects.postgresql"])


INTERRUPTED = """
import importlib.abc, os, signal, sys
from workers.__main__ import main

how, at = sys.argv.pop(), sys.argv.pop()

class Interrupting(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path, target=None):
        if name == at:
            os.kill(os.getpid(), int(how))

sys.meta_path.insert(0, Interrupting())
main()
"""


@pytest.mark.parametrize("how", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("module", ["workers.cli", "sqlalchemy", "workers.shell.tending"])
def test_an_interrupt_while_modules_are_imported_ends_without_a_traceback(module: str, how: signal.Signals) -> None:
    command = [sys.executable, "-c", INTERRUPTED, "--version", module, str(how.value)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "Interrupted; nothing was begun.\n")


MADE_ANOTHER = """
import os, signal, sys
import workers.shell.parts
from indexer.errors import ConfigurationError
from workers.__main__ import main

made = {"ValueError": ValueError, "ConfigurationError": ConfigurationError}[sys.argv.pop()]

def complete():
    try:
        os.kill(os.getpid(), signal.SIGINT)
    except KeyboardInterrupt:
        pass
    raise made("KeyboardInterrupt:")

workers.shell.parts.read_settings = complete
main()
"""


@pytest.mark.parametrize(
    ("made", "said"),
    [
        ("ValueError", "Interrupted, which came out as ValueError; what was recorded is kept."),
        ("ConfigurationError", "KeyboardInterrupt:"),
    ],
)
def test_an_interrupt_that_something_made_another_exception_of_is_one(tmp_path: Path, made: str, said: str) -> None:
    command = [sys.executable, "-c", MADE_ANOTHER, "events", made]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (130, "", f"{said}\n")


UNHEARD = """
import os, signal
from workers import cli
from workers.__main__ import main

signal.signal(signal.SIGINT, signal.SIG_IGN)
cli.main = lambda: os.kill(os.getpid(), signal.SIGINT)
main()
os.kill(os.getpid(), signal.SIGTERM)
"""


def test_who_is_not_to_hear_ctrl_c_goes_on_and_ends_by_itself() -> None:
    done = subprocess.run([sys.executable, "-c", UNHEARD], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


CLOSED = """
import os, signal
from sqlalchemy.engine.default import DefaultDialect
from workers.__main__ import main

def interrupted(*_):
    os.kill(os.getpid(), signal.SIGINT)

DefaultDialect.do_close = interrupted
main()
"""


def test_ctrl_c_while_the_database_is_closed_ends_without_a_traceback(tmp_path: Path) -> None:
    environment = {"MCP_INDEXER_HOME": str(tmp_path)}
    command = [sys.executable, "-c", CLOSED, "events"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (130, "")
    assert "Traceback" not in done.stderr
