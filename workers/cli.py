"""The command line: its commands, put together, and what their errors come to.

Data goes to stdout, everything else to stderr. Exit status: 0 done; 1 failed; 2 wrong usage or configuration; 3 done,
but something needs a person; 130 interrupted. The commands are in `workers.shell`, what they print in
`workers.report` and `workers.source_report`.
"""

import importlib.metadata
import logging
import signal
import sys
from typing import Annotated, NoReturn

import typer

from indexer.errors import ConfigurationError, Interrupted, McpIndexerError
from workers import terminal
from workers.client import spare_loopback
from workers.interrupts import INTERRUPT
from workers.shell import asking, crawling, deciding, log, tending
from workers.shell.parts import FAILED, INTERRUPTED, USAGE

app = typer.Typer(
    name="mcp-indexer",
    help="Watches the places where MCP servers are listed and feeds one search index.",
    epilog="Example: mcp-indexer crawl && mcp-indexer search pdf",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for commands in (crawling, asking, log, deciding, tending):
    app.add_typer(commands.app)


def _version(wanted: bool) -> None:
    if wanted:
        terminal.line("mcp-indexer", importlib.metadata.version("mcp-indexer"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    pass


def main() -> None:
    """Runs a command; what was foreseen ends as one sentence on stderr and an exit status."""
    signal.signal(signal.SIGTERM, INTERRUPT)
    terminal.open_closed()
    spare_loopback()
    # What interrupts a connection while it is closed, or broke it, is told in a sentence; the pool adds its traceback.
    logging.getLogger("sqlalchemy.pool").setLevel(logging.CRITICAL)
    try:
        _run()
    except BrokenPipeError:
        sys.exit(FAILED)  # who reads has enough, and wants no sentence
    except ConfigurationError as error:
        _end(error, USAGE)
    except Interrupted as error:
        _end(error, INTERRUPTED)
    except McpIndexerError as error:
        _end(error, FAILED)
    except Exception as error:
        if not INTERRUPT.came:
            raise
        came_as = type(error).__name__
        _end(Interrupted(f"Interrupted, which came out as {came_as}; what was recorded is kept."), INTERRUPTED)


def _run() -> None:
    try:
        app(prog_name="mcp-indexer")
    finally:
        terminal.flush()


def _end(error: McpIndexerError, exit_status: int) -> NoReturn:
    terminal.say(str(error))
    sys.exit(INTERRUPTED if INTERRUPT.came else exit_status)


if __name__ == "__main__":
    main()
