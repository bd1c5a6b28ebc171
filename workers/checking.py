"""Whether sources can be reached and read."""

from typing import Any

from indexer.errors import McpIndexerError
from workers.sources_file import chosen
from workers.wiring import Wiring

Json = dict[str, Any]


def check_sources(wiring: Wiring, names: list[str]) -> list[Json]:
    """Asks each source for its first page; records nothing."""
    found: list[Json] = []
    for config in chosen(wiring.configured, names):
        try:
            page = wiring.open_source(config).source.fetch(None, None)
        except McpIndexerError as error:
            found.append({"name": config.name, "ok": False, "records": None, "error": str(error)})
        else:
            found.append({"name": config.name, "ok": True, "records": len(page.records), "error": None})
    return found
