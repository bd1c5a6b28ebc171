"""What is measured without us, in a process of its own: `python -m tests.bench.bare JOB ARGUMENT...`."""

import sys
from collections.abc import Callable
from typing import Any

import httpx
import orjson

from tests.bench.measuring import measured, tell
from tests.bench.searching import hammer

Json = dict[str, Any]


def walk(url: str) -> Json:
    """The bare walk: the pages of a registry, fetched and parsed."""
    pages = versions = size = 0
    params = {"limit": "100", "include_deleted": "true"}
    with httpx.Client(trust_env=False) as client:
        while True:
            body = client.get(f"{url}/v0.1/servers", params=params).raise_for_status().content
            found = orjson.loads(body)
            pages, versions, size = pages + 1, versions + len(found["servers"]), size + len(body)
            cursor = found["metadata"].get("nextCursor")
            if cursor is None:
                return {"pages": pages, "versions": versions, "bytes": size}
            params["cursor"] = cursor


JOBS: dict[str, Callable[..., Json]] = {"walk": walk, "search": hammer}

if __name__ == "__main__":
    tell(measured(JOBS[sys.argv[1]], *sys.argv[2:]))
