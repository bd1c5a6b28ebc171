"""Meilisearch alone: the same documents, handed over as well as can be, from the first post to the last success."""

import os
import time
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import httpx
import orjson

from indexer.search import SearchIndex
from tests.bench.searching import headers
from tests.servers import MeilisearchServer

MOST_DOCUMENTS, MOST_BYTES = 20_000, 16 * 2**20
LARGEST_POST = 95 * 10**6
"""Meilisearch takes 100 MB."""
_POLL_SECONDS = 0.02
_READ_AT_ONCE = 1_000


def export(server: MeilisearchServer, uid: str, path: Path, after: int = 0) -> int:
    """Writes an index's documents, those that events after a position touched, to a file, one a line; how many."""
    count = 0
    with _client(server) as http, path.open("wb") as file:
        while True:
            wanted = {"filter": f"position > {after}", "offset": count, "limit": _READ_AT_ONCE}
            found = http.post(f"/indexes/{uid}/documents/fetch", json=wanted).raise_for_status()
            documents = orjson.loads(found.content)["results"]
            if not documents:
                return count
            file.writelines(orjson.dumps(document) + b"\n" for document in documents)
            count += len(documents)


def vanished(server: MeilisearchServer, uid: str, documents: Path) -> list[str]:
    """The ids of a file of documents that an index does not hold any more."""
    with documents.open("rb") as file:
        ids = [orjson.loads(line)["id"] for line in file]
    held: set[str] = set()
    with _client(server) as http:
        for start in range(0, len(ids), _READ_AT_ONCE):
            some = ids[start : start + _READ_AT_ONCE]
            wanted = {"filter": f"id IN [{', '.join(some)}]", "limit": len(some), "fields": ["id"]}
            found = http.post(f"/indexes/{uid}/documents/fetch", json=wanted).raise_for_status()
            held.update(document["id"] for document in orjson.loads(found.content)["results"])
    return [id_ for id_ in ids if id_ not in held]


def index_alone(server: MeilisearchServer, uid: str, documents: Path, *, one_post: bool) -> float | None:
    """The seconds for a file of documents, with one post or many; None where one post would be too large."""
    if one_post and documents.stat().st_size > LARGEST_POST:
        return None
    bodies = [documents.read_bytes()] if one_post else posts(documents)
    return post(server, uid, bodies)


def make_index(server: MeilisearchServer, uid: str) -> None:
    """An empty index with our settings."""
    SearchIndex(server.url, server.key, uid).create(uid)


def post(server: MeilisearchServer, uid: str, bodies: Iterable[bytes], gone: Sequence[str] = ()) -> float:
    """The seconds from the first post until the last task succeeded; nobody waits between posts. `gone` are ids to
    delete.
    """
    where, ndjson = f"/indexes/{uid}/documents?primaryKey=id", {"Content-Type": "application/x-ndjson"}
    with _client(server) as http:
        os.sync()
        began = time.perf_counter()
        tasks = []
        if gone:
            answer = http.post(f"/indexes/{uid}/documents/delete-batch", json=list(gone))
            tasks.append(answer.raise_for_status().json()["taskUid"])
        for body in bodies:
            answer = http.post(where, content=body, headers=ndjson)
            tasks.append(answer.raise_for_status().json()["taskUid"])
        for task in tasks:
            _wait(http, task)
        return time.perf_counter() - began


def posts(documents: Path) -> Iterator[bytes]:
    """A file's lines, as many at a time as one of our own index tasks may hold."""
    lines: list[bytes] = []
    size = 0
    with documents.open("rb") as file:
        for line in file:
            lines.append(line)
            size += len(line)
            if len(lines) >= MOST_DOCUMENTS or size >= MOST_BYTES:
                yield b"".join(lines)
                lines, size = [], 0
    if lines:
        yield b"".join(lines)


def _client(server: MeilisearchServer) -> httpx.Client:
    return httpx.Client(base_url=server.url, headers=headers(server.key), timeout=600, trust_env=False)


def _wait(http: httpx.Client, task: int) -> None:
    while True:
        found = http.get(f"/tasks/{task}").raise_for_status().json()
        if found["status"] == "succeeded":
            return
        if found["status"] in ("failed", "canceled"):
            raise RuntimeError(f"index task {task} {found['status']}: {found['error']}")
        time.sleep(_POLL_SECONDS)
