"""Examines every part that a command may need, and says what to do where one does not work."""

import importlib.metadata
import platform
from collections.abc import Callable
from typing import Any

from indexer.errors import McpIndexerError
from indexer.store import last_position
from workers.settings import Settings
from workers.wiring import Wiring

Part = dict[str, Any]


def examine(wiring: Wiring) -> list[Part]:
    """Each part: its name, whether it works, and its version and settings or the sentence that says what to do."""
    checks: tuple[tuple[str, Callable[[Wiring], str]], ...] = (
        ("program", _program),
        ("database", _database),
        ("sources", _sources),
        ("meilisearch", _meilisearch),
    )
    return [_examined(name, check, wiring) for name, check in checks]


def _examined(name: str, check: Callable[[Wiring], str], wiring: Wiring) -> Part:
    try:
        return {"part": name, "ok": True, "said": check(wiring)}
    except McpIndexerError as error:
        return {"part": name, "ok": False, "said": str(error)}


def _program(wiring: Wiring) -> str:
    version = importlib.metadata.version("mcp-indexer")
    return f"mcp-indexer {version}, Python {platform.python_version()}, {_contact(wiring.settings)}"


def _contact(settings: Settings) -> str:
    return (
        f"contact {settings.contact}"
        if settings.contact
        else "no contact: set MCP_INDEXER_CONTACT so that sources can reach you"
    )


def _database(wiring: Wiring) -> str:
    with wiring.database.read() as connection:
        return f"{wiring.database.shown}, log at {last_position(connection)}"


def _sources(wiring: Wiring) -> str:
    return f"{wiring.settings.sources}: {', '.join(source.name for source in wiring.sources)}"


def _meilisearch(wiring: Wiring) -> str:
    index = wiring.index()
    return f"{index.version()} at {index.url}, index {index.uid!r} with {index.count()} documents"
