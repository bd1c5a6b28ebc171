"""What a registry lists in a test, and what was asked of it."""

from collections import Counter
from collections.abc import Iterable
from typing import Any
from urllib.parse import parse_qs

from workers.sample.row import OFFICIAL
from workers.sample.serve import SampleServer

Json = dict[str, Any]

LONG_AGO = "2026-01-01T00:00:00Z"
SCHEMA = "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json"


def name_of(number: int) -> str:
    return f"io.github.acme/tool-{number:04}"


def server(number: int, version: str = "1.0.0", **more: Any) -> Json:
    """A valid server.json."""
    document = {"$schema": SCHEMA, "name": name_of(number), "description": f"Tool number {number}", "version": version}
    return {**document, "remotes": [{"type": "sse", "url": f"https://acme.example/{number}"}], **more}


def item(document: Json) -> Json:
    """An item of the registry's list, published long ago."""
    return {"server": document, "_meta": {OFFICIAL: {"status": "active", "publishedAt": LONG_AGO}}}


def items(names: int, versions: Iterable[str] = ("1.0.0",)) -> list[Json]:
    """So many servers, each in these versions."""
    return [item(server(number, version)) for number in range(names) for version in versions]


def cursors(upstream: SampleServer) -> Counter[str]:
    """How often each page was asked for, by its cursor; empty for the first."""
    asked = [parse_qs(seen.query) for seen in upstream.requests if seen.path.endswith("/servers")]
    return Counter(query.get("cursor", [""])[0] for query in asked)
