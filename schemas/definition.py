"""server.json, defined once, with its dated differences.

A piece is draft-07; where a date changed it, a `Since` says what stands from then on. The spelling is today's;
2025-07-09, the only date in snake_case, is respelled last. What only describes (titles, examples, defaults) is
left out.
"""

import re
from functools import lru_cache
from typing import Any

SCHEMA_DATES = (
    "2025-07-09",
    "2025-09-16",
    "2025-09-29",
    "2025-10-11",
    "2025-10-17",
    "2025-12-11",
    "draft",
)
"""Every published server.json schema, oldest first; text order is date order, the draft last."""

_GONE: Any = object()
_Piece = dict[str, Any]


class Since(dict[str, Any]):
    """What stands in one place: from each date on its own value, before the first of them nothing."""

    def at(self, date: str) -> Any:
        """The value of the latest date not after this one."""
        return next((self[start] for start in sorted(self, reverse=True) if start <= date), _GONE)


def _text(**limits: Any) -> _Piece:
    return {"type": "string", **limits}


def _words(*allowed: str) -> _Piece:
    return {"type": "string", "enum": list(allowed)}


def _list(item: _Piece) -> _Piece:
    return {"type": "array", "items": item}


def _map(value: _Piece) -> _Piece:
    return {"type": "object", "additionalProperties": value}


def _object(properties: _Piece, *required: Any, **more: Any) -> _Piece:
    return {"type": "object", "required": list(required), "properties": properties, **more}


_FLAG = {"type": "boolean"}
_URI = _text(format="uri")
_OPEN = {"type": "object"}

_INPUT = {
    "description": _text(),
    "isRequired": _FLAG,
    "format": _words("string", "number", "boolean", "filepath"),
    "value": _text(),
    "isSecret": _FLAG,
    "default": _text(),
    "placeholder": Since({"2025-10-11": _text()}),
    "choices": _list(_text()),
}
_VARIABLES = _map(_object(_INPUT))
_KEY_VALUE = _object({**_INPUT, "variables": _VARIABLES, "name": _text()}, "name")
_POSITIONAL = _object(
    {
        **_INPUT,
        "variables": _VARIABLES,
        "type": _words("positional"),
        "valueHint": _text(),
        "isRepeated": _FLAG,
    },
    "type",
    anyOf=[{"required": ["valueHint"]}, {"required": ["value"]}],
)
_NAMED = _object(
    {**_INPUT, "variables": _VARIABLES, "type": _words("named"), "name": _text(), "isRepeated": _FLAG},
    "type",
    "name",
)
_ARGUMENT = {"anyOf": [_POSITIONAL, _NAMED]}

# A URL was a URI at first, and only for SSE; templates pass since the pattern came.
_URL_PATTERN = Since(
    {
        "2025-12-11": r"^https?://[^\s]+$",
        "draft": r"^(https?://[^\s]+|\{[a-zA-Z_][a-zA-Z0-9_]*\}[^\s]*)$",
    }
)
_STDIO = _object({"type": _words("stdio")}, "type")
_STREAMABLE = _object(
    {"type": _words("streamable-http"), "url": _text(pattern=_URL_PATTERN), "headers": _list(_KEY_VALUE)},
    "type",
    "url",
)
_SSE = _object(
    {
        "type": _words("sse"),
        "url": _text(pattern=_URL_PATTERN, format=Since({"2025-07-09": "uri", "2025-12-11": _GONE})),
        "headers": _list(_KEY_VALUE),
    },
    "type",
    "url",
)
_REMOTE = {
    "anyOf": [_STREAMABLE, _SSE],
    "type": Since({"2025-12-11": "object"}),
    "properties": Since({"2025-12-11": {"variables": _VARIABLES}}),
}

_PACKAGE = _object(
    {
        "registryType": _text(),
        "registryBaseUrl": _URI,
        "identifier": _text(),
        "version": _text(minLength=1, maxLength=Since({"draft": 255}), **{"not": {"const": "latest"}}),
        "fileSha256": _text(pattern="^[a-f0-9]{64}$"),
        "runtimeHint": _text(),
        "transport": {"anyOf": [_STDIO, _STREAMABLE, _SSE]},
        "runtimeArguments": _list(_ARGUMENT),
        "packageArguments": _list(_ARGUMENT),
        "environmentVariables": _list(_KEY_VALUE),
    },
    "registryType",
    "identifier",
    Since({"2025-07-09": "version", "2025-10-11": _GONE}),
    "transport",
    additionalProperties=Since({"2025-07-09": False, "2025-10-11": _GONE}),
)

_ICON = _object(
    {
        "src": _text(format="uri", maxLength=255),
        "mimeType": _words("image/png", "image/jpeg", "image/jpg", "image/svg+xml", "image/webp"),
        "sizes": _list(_text(pattern=r"^(\d+x\d+|any)$")),
        "theme": _words("light", "dark"),
    },
    "src",
)

_REPOSITORY = _object({"url": _URI, "source": _text(), "id": _text(), "subfolder": _text()}, "url", "source")

_SERVER = _object(
    {
        "$schema": _URI,
        "name": _text(pattern="^[a-zA-Z0-9.-]+/[a-zA-Z0-9._-]+$", minLength=3, maxLength=200),
        "title": Since({"2025-10-11": _text(minLength=1, maxLength=100)}),
        "description": _text(minLength=1, maxLength=100),
        "status": Since({"2025-07-09": _words("active", "deprecated", "deleted"), "2025-09-29": _GONE}),
        "version": _text(maxLength=255),
        "websiteUrl": _URI,
        "repository": _REPOSITORY,
        "icons": Since({"2025-10-11": _list(_ICON)}),
        "packages": _list(_PACKAGE),
        "remotes": _list(_REMOTE),
        "_meta": {
            "type": "object",
            "properties": {
                "io.modelcontextprotocol.registry/publisher-provided": _OPEN,
                "io.modelcontextprotocol.registry/official": Since({"2025-07-09": _OPEN, "2025-09-29": _GONE}),
            },
        },
    },
    "name",
    "description",
    "version",
)

_LONGEST_KNOWN = 200
_DECLARED = re.compile(r"/schemas/([^/]+)/server\.schema\.json\Z")
_CAPITAL = re.compile("(?<=[a-z0-9])[A-Z]")


def json_schema(date: str) -> dict[str, Any]:
    """The draft-07 schema of one of `SCHEMA_DATES`: what passes it is what passes the published one."""
    if date not in SCHEMA_DATES:
        raise ValueError(f"no server.json schema has the date {date!r}; there are: {', '.join(SCHEMA_DATES)}")
    schema = _as_of(date, _SERVER)
    if date == "2025-07-09":
        schema = _snake(schema)
    return {"$schema": "http://json-schema.org/draft-07/schema#", **schema}


def schema_date(declared: Any) -> str | None:
    """Which of `SCHEMA_DATES` a document's `$schema` declares, whatever its fragment; None for every other value."""
    if not isinstance(declared, str):
        return None
    return _known_date(declared) if len(declared) <= _LONGEST_KNOWN else _date(declared)


@lru_cache(maxsize=256)  # the same few are declared over and over
def _known_date(declared: str) -> str | None:
    return _date(declared)


def _date(declared: str) -> str | None:
    found = _DECLARED.search(declared.partition("#")[0])
    return found[1] if found is not None and found[1] in SCHEMA_DATES else None


def _as_of(date: str, piece: Any) -> Any:
    if isinstance(piece, Since):
        return _as_of(date, piece.at(date))
    if isinstance(piece, dict):
        dated = {key: _as_of(date, value) for key, value in piece.items()}
        return {key: value for key, value in dated.items() if value is not _GONE}
    if isinstance(piece, list):
        return [value for value in (_as_of(date, item) for item in piece) if value is not _GONE]
    return piece


def _snake(piece: Any) -> Any:
    """The same schema with its properties, and only those, in snake_case."""
    if isinstance(piece, list):
        return [_snake(item) for item in piece]
    if not isinstance(piece, dict):
        return piece
    spelled = {key: _snake(value) for key, value in piece.items()}
    if "properties" in spelled:
        spelled["properties"] = {_snake_name(name): value for name, value in spelled["properties"].items()}
    if "required" in spelled:
        spelled["required"] = [_snake_name(name) for name in spelled["required"]]
    return spelled


def _snake_name(name: str) -> str:
    return _CAPITAL.sub(lambda found: "_" + found[0].lower(), name)
