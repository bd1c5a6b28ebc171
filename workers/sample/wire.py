"""How the list body looked in earlier generations; private registries still speak them.

Generation a (to 2025-09-20): flat documents with packages and the official `_meta` in snake_case, and an opaque UUID as
`metadata.next_cursor`. Generation b (to 2025-09-29): the same in camelCase. Generation c: today's body without
statusChangedAt and statusMessage. Generation d is today's.
"""

import re
import uuid
from typing import Any, Literal, get_args
from urllib.parse import parse_qsl, urlencode

import orjson

from workers.sample.row import OFFICIAL

Generation = Literal["a", "b", "c", "d"]
GENERATIONS: tuple[Generation, ...] = get_args(Generation)

_CAPITAL = re.compile("(?<=[a-z0-9])([A-Z])")
_SCHEMAS = {"a": "2025-07-09", "b": "2025-09-16"}


class Wire:
    """Rewrites bodies into a generation, and the cursors of old generations back into today's."""

    def __init__(self) -> None:
        self._cursors: dict[str, str] = {}

    def query(self, query: str) -> str:
        """The same query with an old cursor that this wire gave out replaced by the one it stands for."""
        if "cursor=" not in query:
            return query
        given = parse_qsl(query, keep_blank_values=True)
        return urlencode([(key, self._cursors.get(value, value) if key == "cursor" else value) for key, value in given])

    def body(self, body: bytes, generation: Generation) -> bytes:
        """The body of a listing as that generation wrote it."""
        if generation == "d":
            return body
        page = orjson.loads(body)
        if generation == "c":
            for item in page["servers"]:
                item["_meta"][OFFICIAL].pop("statusChangedAt", None)
                item["_meta"][OFFICIAL].pop("statusMessage", None)
            return orjson.dumps(page)
        page["servers"] = [_flat(item, generation) for item in page["servers"]]
        following = page["metadata"].pop("nextCursor", None)
        if following is not None:
            page["metadata"]["next_cursor"] = self._opaque(following)
        return orjson.dumps(page)

    def _opaque(self, cursor: str) -> str:
        given = _uuid(cursor)
        self._cursors[given] = cursor
        return given


def _flat(item: dict[str, Any], generation: Literal["a", "b"]) -> dict[str, Any]:
    server, official = item["server"], item["_meta"][OFFICIAL]
    times = {"publishedAt": official["publishedAt"], "updatedAt": official["updatedAt"]}
    version_id = _uuid(f"{server['name']}:{server['version']}")
    ids = {"id": version_id} if generation == "a" else {"serverId": _uuid(server["name"]), "versionId": version_id}
    flat = {**server, "status": official["status"]}
    if flat.get("$schema"):
        flat["$schema"] = re.sub(r"/schemas/[^/]+/", f"/schemas/{_SCHEMAS[generation]}/", flat["$schema"])
    own = {**ids, **times, "isLatest": official["isLatest"]}
    flat["_meta"] = {**server.get("_meta", {}), OFFICIAL: snake(own) if generation == "a" else own}
    if generation == "a":
        return snake_document(flat)
    return flat


def snake_document(document: dict[str, Any]) -> dict[str, Any]:
    """The document with the names that fields had in 2025-07-09; names inside `_meta` are the publisher's and stay."""
    renamed = {snake_word(key) if key == "websiteUrl" else key: value for key, value in document.items()}
    return {key: snake(value) if key in ("packages", "remotes") else value for key, value in renamed.items()}


def snake(value: Any) -> Any:
    """The same value with the keys of its objects in snake_case, those of `variables` as they are."""
    if isinstance(value, list):
        return [snake(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        snake_word(key): {name: snake(each) for name, each in inner.items()}
        if key == "variables" and isinstance(inner, dict)
        else snake(inner)
        for key, inner in value.items()
    }


def snake_word(word: str) -> str:
    """`runtimeHint` as `runtime_hint`; file hashes keep the number at their end."""
    return _CAPITAL.sub(lambda found: "_" + found[1].lower(), word)


def _uuid(text: str) -> str:
    return str(uuid.uuid5(uuid.NAMESPACE_URL, text))
