"""What every command has: its parts, its options, its exit status, and how a name is meant."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated

import typer

from indexer.errors import Interrupted, NotFound
from schemas.names import ServerName, storable
from workers import report
from workers.settings import read_settings
from workers.wiring import Wiring

FAILED, USAGE, ATTENTION, INTERRUPTED = 1, 2, 3, 130

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")]


@contextmanager
def wired() -> Iterator[Wiring]:
    """The parts that a command works with, closed when it ends."""
    wiring = Wiring(read_settings(), report.say)
    try:
        yield wiring
    except KeyboardInterrupt as error:
        raise Interrupted("Interrupted; what was recorded is kept, and the same command goes on from there.") from error
    finally:
        wiring.close()


def stored(name: str) -> ServerName:
    """A name as the log and the index have it, in whose escapes (see `storable`) it may be given already."""
    return ServerName("\u241b".join(map(storable, name.split("\u241b"))))


def unknown(name: str, similar: list[str]) -> NotFound:
    """What to say of a name that no source ever listed."""
    meant = f" Did you mean {', '.join(similar)}?" if similar else " `mcp-indexer search` finds names by words."
    return NotFound(f"No source ever listed a server named {name!r}.{meant}")
