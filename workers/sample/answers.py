"""The registry's HTTP interface without the HTTP: a request in, an answer out."""

from collections.abc import Mapping, Sequence
from email.utils import format_datetime
from typing import NamedTuple
from urllib.parse import unquote

import orjson

from workers.sample.problems import JSON, Answer, Refused, ok, problem
from workers.sample.query import deleted_asked, listing, parameters
from workers.sample.registry import SampleRegistry

_STATIC = {
    "ping": {"pong": True},
    "health": {"status": "ok"},
    "version": {"version": "sample", "git_commit": "none", "build_time": "none"},
}


class Request(NamedTuple):
    """What of an HTTP request an answer depends on; path and query as sent, still percent-encoded."""

    method: str
    path: str
    query: str = ""
    headers: Mapping[str, str] = {}


def answer(registry: SampleRegistry, request: Request) -> Answer:
    """What the registry says to a request, with the Date of its own clock."""
    try:
        found = _answer(registry, request)
    except Refused as refused:
        found = refused.answer
    found.headers["Date"] = format_datetime(registry.now(), usegmt=True)
    return found


def _answer(registry: SampleRegistry, request: Request) -> Answer:
    path, query = request.path, request.query
    if "%00" in path or "%00" in query:
        return problem(400, "a NUL byte is not allowed in a URL")._replace(headers={"Content-Type": JSON})
    if path.endswith("/") and path != "/":
        location = "/" + path.strip("/") + (f"?{query}" if query else "")
        return Answer(308, {"Location": location, "Content-Type": "text/html; charset=utf-8"}, b"")
    if request.method not in ("GET", "HEAD"):
        return problem(405, "this sample registry can only be read")
    return _route(registry, [unquote(part) for part in path.split("/")[1:]], query)


def _route(registry: SampleRegistry, parts: Sequence[str], query: str) -> Answer:
    """One segment of the path is one part, whatever was percent-encoded inside it."""
    match parts:
        case [("v0" | "v0.1"), "servers"]:
            return _servers(registry, query)
        case [("v0" | "v0.1"), "servers", name, "versions"]:
            return _versions(registry, name, query)
        case [("v0" | "v0.1"), "servers", name, "versions", version]:
            return _version(registry, name, version, query)
        case [("v0" | "v0.1"), word] | [word] if word in _STATIC:
            return ok(orjson.dumps(_STATIC[word]))
    return problem(404, f"no such endpoint. Did you mean /v0.1/{parts[-1]}?")


def _servers(registry: SampleRegistry, query: str) -> Answer:
    page = registry.page(*listing(query))
    metadata = {} if page.next_cursor is None else {"nextCursor": page.next_cursor}
    return ok(_list(page.items, metadata))


def _versions(registry: SampleRegistry, name: str, query: str) -> Answer:
    items = registry.versions(name, bool(deleted_asked(parameters(query))))
    return ok(_list(items, {})) if items else problem(404, "Server not found")


def _version(registry: SampleRegistry, name: str, version: str, query: str) -> Answer:
    item = registry.version(name, version, bool(deleted_asked(parameters(query))))
    return problem(404, "Server not found") if item is None else ok(item)


def _list(items: list[bytes], metadata: dict[str, str]) -> bytes:
    """The body of a list; its items are encoded already."""
    tail = orjson.dumps({**metadata, "count": len(items)})
    return b'{"servers":[' + b",".join(items) + b'],"metadata":' + tail + b"}"
