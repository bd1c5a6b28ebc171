"""Examines every part that a command may need, and says what to do where one does not work."""

import importlib.metadata
import platform
from collections.abc import Callable
from typing import Any

import celery  # by its name, as workers.broker does

from indexer.errors import ConfigurationError, McpIndexerError
from indexer.store import last_position
from workers.broker import check_broker
from workers.settings import Settings
from workers.wiring import A_LOOK, Wiring

Part = dict[str, Any]
BROKER_SECONDS = 5


def examine(wiring: Wiring) -> list[Part]:
    """Each part: its name, whether it works, and its version and settings or the sentence that says what to do."""
    checks: tuple[tuple[str, Callable[[Wiring], str]], ...] = (
        ("program", _program),
        ("database", _database),
        ("sources", _sources),
        ("broker", _broker),
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
    sources = wiring.configured
    for source in sources:
        if source.enabled:
            wiring.token(source)
    return f"{wiring.settings.sources}: {', '.join(source.name for source in sources)}"


def _broker(wiring: Wiring) -> str:
    settings = wiring.settings
    check_broker(settings.broker)
    if settings.broker_url is None:
        return f"none to install: messages are files under {settings.home / 'broker'}"
    with celery.Celery(broker=settings.broker, set_as_current=False).connection_for_read() as connection:
        try:
            connection.ensure_connection(max_retries=1, timeout=BROKER_SECONDS)
        except Exception as error:
            raise ConfigurationError(
                f"The broker at {connection.as_uri()} cannot be reached ({error}); start it or check "
                "MCP_INDEXER_BROKER_URL."
            ) from error
        return str(connection.as_uri())


def _meilisearch(wiring: Wiring) -> str:
    index = wiring.index(patience=A_LOOK)
    return f"{index.version()} at {index.url}, index {index.uid!r} with {index.count()} documents"
