"""Meilisearch alone: the same documents, handed over as well as can be, from the first post to the last task succeeded."""

import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import httpx

from indexer.search import SearchIndex
from tests.servers import MeilisearchServer

MOST_DOCUMENTS, MOST_BYTES = 20_000, 16 * 2**20
LARGEST_POST = 95 * 10**6
"""Meilisearch takes 100 MB."""
_POLL_SECONDS = 0.02


def index_alone(server: MeilisearchServer, uid: str, documents: Path, *, one_post: bool) -> float | None:
    """The seconds for a file of documents, with one post or many; None where one post would be too large."""
    if one_post and documents.stat().st_size > LARGEST_POST:
        return None
    bodies = [documents.read_bytes()] if one_post else posts(documents)
    return post(server, uid, bodies)


def make_index(server: MeilisearchServer, uid: str) -> None:
    """An empty index with our settings."""
    SearchIndex(server.url, server.key, uid).create(uid)


def post(server: MeilisearchServer, uid: str, bodies: Iterable[bytes]) -> float:
    """The seconds from the first post until the last task succeeded; nobody waits between posts."""
    headers = {"Authorization": f"Bearer {server.key}", "Content-Type": "application/x-ndjson"}
    with httpx.Client(base_url=server.url, headers=headers, timeout=600, trust_env=False) as http:
        began = time.perf_counter()
        tasks = []
        for body in bodies:
            answer = http.post(f"/indexes/{uid}/documents", params={"primaryKey": "id"}, content=body)
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


def _wait(http: httpx.Client, task: int) -> None:
    while True:
        found = http.get(f"/tasks/{task}").raise_for_status().json()
        if found["status"] == "succeeded":
            return
        if found["status"] in ("failed", "canceled"):
            raise RuntimeError(f"index task {task} {found['status']}: {found['error']}")
        time.sleep(_POLL_SECONDS)
