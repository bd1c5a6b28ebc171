"""What every command has: its parts, its options, its exit status, and how a name is meant."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Annotated

import typer

from indexer.errors import ConfigurationError, Interrupted, NotFound
from schemas.about import read_time
from schemas.names import ServerName, storable
from workers import terminal
from workers.settings import read_settings
from workers.wiring import Wiring

FAILED, USAGE, ATTENTION, INTERRUPTED = 1, 2, 3, 130

LARGEST = 2**63 - 1
"""The largest number that a database takes."""

TIME = "2026-08-22T14:30:00Z, or 2026-08-22 for where that day begins in UTC."

_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")]


@contextmanager
def wired() -> Iterator[Wiring]:
    """The parts that a command works with, closed when it ends."""
    wiring = Wiring(read_settings(), terminal.say)
    try:
        yield wiring
    except KeyboardInterrupt as error:
        raise Interrupted("Interrupted; what was recorded is kept, and the same command goes on from there.") from error
    finally:
        wiring.close()


def stored(name: str) -> ServerName:
    """A name as the log and the index have it, in whose escapes (see `storable`) it may be given already."""
    return ServerName("\u241b".join(map(storable, name.split("\u241b"))))


def moment(text: str) -> datetime:
    """A time as a person writes it: RFC 3339, or a day, which means its beginning in UTC. Raises ConfigurationError."""
    found = read_time(f"{text}T00:00:00Z" if _DAY.fullmatch(text) else text)
    if found is None:
        raise ConfigurationError(f"{text!r} is no time: write {TIME}")
    return found


def unknown(name: str, similar: list[str]) -> NotFound:
    """What to say of a name that no source ever listed."""
    meant = f" Did you mean {', '.join(similar)}?" if similar else " `mcp-indexer search` finds names by words."
    return NotFound(f"No source ever listed a server named {name!r}.{meant}")
