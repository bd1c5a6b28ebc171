"""The registry as it answered at the time of a snapshot."""

import json
from datetime import UTC, datetime
from email.utils import format_datetime
from operator import attrgetter
from typing import Any
from urllib.parse import unquote

import httpx

from schemas.about import read_time
from tests.replay.history import Listed, Snapshot

URL = "https://registry.example"
LIST = "/v0.1/servers"
LONG_AGO = datetime.min.replace(tzinfo=UTC)
FOLLOWING = {"a": "next_cursor", "b": "next_cursor", "c": "nextCursor", "bad week": "following"}
"""How the key of the next cursor was written: in the bad week otherwise than any reader knew."""


class UpstreamThen(httpx.BaseTransport):
    """Answers from the snapshot that it is set to."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.raw_path.decode().partition("?")[0]
        if path == LIST:
            return self._answer(200, self._page(request.url.params))
        match [unquote(part) for part in path.removeprefix(LIST + "/").split("/")]:
            case [name, "versions"]:
                found = [one.item for key, one in self.snapshot.listed.items() if key[0] == name]
                return self._answer(200, {"servers": found}) if found else self._gone()
            case [name, "versions", version]:
                one = self.snapshot.listed.get((name, version))
                return self._answer(200, one.item) if one is not None else self._gone()
        return self._gone()

    def _page(self, asked: httpx.QueryParams) -> dict[str, Any]:
        limit = int(asked["limit"])
        page = self._rows(asked)[:limit]
        metadata: dict[str, Any] = {"count": len(page)}
        if len(page) == limit:
            metadata[FOLLOWING[self.snapshot.generation]] = ":".join(page[-1].place)
        return {"servers": [one.item for one in page], "metadata": metadata}

    def _rows(self, asked: httpx.QueryParams) -> list[Listed]:
        """What is listed behind the cursor, in order. Of the bad week a full page is known, and always served."""
        rows = sorted(self.snapshot.listed.values(), key=attrgetter("place"))
        if self.snapshot.generation == "bad week":
            return rows
        since = read_time(asked.get("updated_since")) or LONG_AGO
        behind = tuple(asked.get("cursor", "").split(":", 1))
        return [one for one in rows if one.updated_at > since and one.place > behind]

    def _answer(self, status: int, body: Any) -> httpx.Response:
        headers = {"Date": format_datetime(self.snapshot.at, usegmt=True), "Content-Type": "application/json"}
        return httpx.Response(status, headers=headers, stream=httpx.ByteStream(json.dumps(body).encode()))

    def _gone(self) -> httpx.Response:
        """Before there were statuses, what was gone was simply gone."""
        return self._answer(404, {"title": "Not Found", "status": 404, "detail": "Server not found"})
