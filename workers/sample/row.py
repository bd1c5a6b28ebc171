"""One version of a server as the registry holds it: its answer ready as bytes, and what answers are chosen by."""

from collections.abc import Mapping
from typing import Any, Literal

import orjson

from workers.sample.times import Micros, read, written

OFFICIAL = "io.modelcontextprotocol.registry/official"
PUBLISHER = "io.modelcontextprotocol.registry/publisher-provided"

Status = Literal["active", "deprecated", "deleted"]

_HEAD = b'{"server":'
_MIDDLE = b',"_meta":{"' + OFFICIAL.encode() + b'":'
_TAIL = b"}}"


class Row:
    """A version; `encoded` is the item of the API, whole, and is renewed by `describe` and `rewrite`."""

    __slots__ = (
        "_server_size",
        "encoded",
        "is_latest",
        "key",
        "message",
        "published",
        "status",
        "status_changed",
        "updated",
    )

    def __init__(self, server: Mapping[str, Any], at: Micros, official: Mapping[str, Any] | None = None) -> None:
        """A version published at that time; what the official block of an item says goes before, isLatest excepted."""
        known = official or {}
        self.key: tuple[str, str] = (server["name"], server["version"])
        self.status: Status = known.get("status", "active")
        self.message: str | None = known.get("statusMessage")
        self.published = _instant(known.get("publishedAt"), at)
        self.updated = _instant(known.get("updatedAt"), self.published)
        self.status_changed = _instant(known.get("statusChangedAt"), self.published)
        self.is_latest = False
        self.rewrite(server)

    @property
    def name(self) -> str:
        """The server's name."""
        return self.key[0]

    @property
    def version(self) -> str:
        """The server's version, as text."""
        return self.key[1]

    @property
    def server(self) -> dict[str, Any]:
        """The server.json, read anew."""
        document: dict[str, Any] = orjson.loads(self._server())
        return document

    def rewrite(self, server: Mapping[str, Any]) -> None:
        """Put another server.json in place of the one held."""
        self._encode(orjson.dumps(server))

    def describe(self) -> None:
        """Make the bytes say what the fields say."""
        self._encode(self._server())

    def _server(self) -> bytes:
        return self.encoded[len(_HEAD) : len(_HEAD) + self._server_size]

    def _encode(self, server: bytes) -> None:
        self._server_size = len(server)
        self.encoded: bytes = _HEAD + server + _MIDDLE + orjson.dumps(self._official()) + _TAIL

    def _official(self) -> dict[str, Any]:
        message = {} if self.message is None else {"statusMessage": self.message}
        return {
            "status": self.status,
            "statusChangedAt": written(self.status_changed),
            **message,
            "publishedAt": written(self.published),
            "updatedAt": written(self.updated),
            "isLatest": self.is_latest,
        }


def _instant(text: str | None, otherwise: Micros) -> Micros:
    instant = None if text is None else read(text)
    return otherwise if instant is None else instant
