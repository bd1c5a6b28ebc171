"""One round: a registry, a database and an index of its own, and everything that is measured with them, each once.

What a case asks for is done when it is first asked for, so that a single case costs only what it needs. The order in
which cases ask matters: the unchanged audit comes before the changes are published.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from functools import cached_property
from pathlib import Path
from typing import Any, Self

import httpx
import orjson

from tests.bench.alone import export, index_alone, make_index, post, vanished
from tests.bench.measuring import peak_mib
from tests.bench.searching import headers
from tests.bench.stores import Store
from tests.bench.upstream import Upstream
from tests.servers import MeilisearchServer

Json = dict[str, Any]

UID = "servers"
CHANGES = 100
_SOURCES = """[[source]]
name = "bench"
kind = "registry"
url = "{url}"
requests_per_minute = 1000000
audit_every = "30d"
"""


class BenchFailed(Exception):
    """Something that was to be measured did not work; the text says what."""


class Round:
    """A context manager; `say` hears what is done next."""

    def __init__(self, size: int, store: Store, meilisearch: Path, say: Callable[[str], None]) -> None:
        self.size, self.store = size, store
        self._binary, self._say = meilisearch, say
        self._stack = ExitStack()
        self._larger: dict[int, Json] = {}

    def __enter__(self) -> Self:
        try:
            self.home = Path(tempfile.mkdtemp(prefix="mcp-indexer-bench-"))
            self._stack.callback(shutil.rmtree, self.home, ignore_errors=True)
            self._say(f"a registry of {self.size:,} versions")
            self.upstream = self._stack.enter_context(Upstream(self.size))
            self.meilisearch = self._stack.enter_context(MeilisearchServer(self._binary))
            self.database_url = self.store.create(self.home)
            self._stack.callback(self.store.drop, self.database_url)
            (self.home / "sources.toml").write_text(_SOURCES.format(url=self.upstream.url))
        except BaseException:
            self._stack.close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @cached_property
    def walk(self) -> Json:
        """The bare walk."""
        return self.child("walk", self.upstream.url, program="bare")

    @cached_property
    def cold(self) -> Json:
        """The first crawl, into an empty database and no index."""
        found = self._crawl("cold crawl")
        self._expect(found["counts"]["new"] == self.size, "the cold crawl did not find every version", found)
        assert self.meilisearch.pid is not None, "it has just indexed"
        return {**found, "meilisearch_peak_mib": peak_mib(self.meilisearch.pid)}

    @cached_property
    def bulk_insert(self) -> Json:
        """The same rows put into an empty database."""
        assert self.cold, "the database is full"
        (self.home / "bulk").mkdir()
        url = self.store.create(self.home / "bulk")
        try:
            return self.child("bulk_insert", url)
        finally:
            self.store.drop(url)

    @cached_property
    def documents(self) -> Path:
        """The documents that the cold crawl came to, one a line."""
        path = self.home / "documents.ndjson"
        self._expect(self.cold["documents"] == export(self.meilisearch, UID, path), "documents are missing", self.cold)
        return path

    @cached_property
    def bare_index(self) -> MeilisearchServer:
        """A Meilisearch for what is done without us."""
        return self._stack.enter_context(MeilisearchServer(self._binary))

    @cached_property
    def alone(self) -> dict[str, float | None]:
        """Meilisearch alone with all documents, in both ways."""
        documents, found = self.documents, {}
        for uid, one_post in (("one", True), ("many", False)):
            self._say(f"Meilisearch alone, {uid} post{'' if one_post else 's'}")
            make_index(self.bare_index, uid)
            found[uid] = index_alone(self.bare_index, uid, documents, one_post=one_post)
        return found

    @property
    def alone_seconds(self) -> float:
        """The better way."""
        return min(seconds for seconds in self.alone.values() if seconds is not None)

    @cached_property
    def audit(self) -> Json:
        """The same again, from the first page to the last, with no change."""
        before, tasks = self.cold["position"], self._tasks()
        found = self._crawl("unchanged audit", "audit")
        self._expect(found["counts"]["unchanged"] == self.size, "the audit found changes", found)
        return {**found, "events": found["position"] - before, "index_tasks": self._tasks() - tasks}

    @cached_property
    def increment(self) -> Json:
        """A hundred changes, crawled; `alone_seconds` is Meilisearch alone with the documents that they come to, and
        those that they end.
        """
        before = self.cold["position"]
        assert self.alone, "there is an index to bring them to"
        self.upstream.publish(CHANGES)
        found = self._crawl("increment")
        counts = found["counts"]
        news = counts["new"] + counts["changed"] + counts["status_changed"]
        self._expect(news == CHANGES, f"the increment found {news} changes of {CHANGES}", found)
        path = self.home / "changed.ndjson"
        export(self.meilisearch, UID, path, before)
        gone = vanished(self.meilisearch, UID, self.documents)
        return {**found, "alone_seconds": post(self.bare_index, "many", [path.read_bytes()], gone)}

    @cached_property
    def one_change(self) -> Json:
        """One change, crawled after the hundred, on the same ways."""
        assert self.increment, "no other change is outstanding"
        self.upstream.publish(1)
        found = self._crawl("increment of one")
        counts = found["counts"]
        self._expect(counts["new"] + counts["changed"] + counts["status_changed"] == 1, "there was one change", found)
        return found

    @cached_property
    def catalogue(self) -> Json:
        """The catalogue rebuilt."""
        return self._after_cold("rebuild_catalogue")

    @cached_property
    def search_rebuilt(self) -> Json:
        """The index rebuilt."""
        return self._after_cold("rebuild_search")

    @cached_property
    def verified(self) -> Json:
        """Log, catalogue and index compared."""
        found = self._after_cold("verify")
        self._expect(found["ok"], "log, catalogue and index do not agree", found)
        return found

    def searches(self, clients: int) -> Json:
        """Searches of so many clients at once."""
        where = (self.meilisearch.url, self.meilisearch.key, UID, str(self.documents))
        return self.child("search", *where, str(clients), program="bare")

    def larger(self, times: int) -> Json:
        """A cold crawl of a registry so many times as large, and one change of it."""
        if times not in self._larger:
            with Round(self.size * times, self.store, self._binary, self._say) as other:
                self._larger[times] = {"cold": other.cold, "one_change": other.one_change}
        return self._larger[times]

    def child(self, job: str, *arguments: str, program: str = "child") -> Json:
        """Has a process of its own do a job; what it says. `wal_mib` is what a database server wrote meanwhile."""
        self._say(" ".join((job.replace("_", " "), *(one for one in arguments if len(one) < 10))))
        os.sync()  # what was written before is not to be waited for now
        before = self.store.written()
        log = self.home / f"{job}.log"
        with log.open("wb") as errors:
            ended = subprocess.run(
                [sys.executable, "-m", f"tests.bench.{program}", job, *arguments],
                env=self._environment(),
                stdout=subprocess.PIPE,
                stderr=errors,
                check=False,
            )
        if ended.returncode != 0:
            raise BenchFailed(f"{job} ended with {ended.returncode}: {log.read_text(errors='replace')[-2000:]}")
        said: Json = orjson.loads(ended.stdout.splitlines()[-1])
        after = self.store.written()
        return {**said, "wal_mib": None if before is None or after is None else (after - before) / 2**20}

    def _after_cold(self, job: str, *arguments: str) -> Json:
        assert self.cold, "the database and the index are full"
        return self.child(job, *arguments)

    def _crawl(self, what: str, *arguments: str) -> Json:
        found = self.child("crawl", *arguments)
        done = found["status"] == "completed" and found["lag"] == 0 and found["error"] is None
        self._expect(done, f"the {what} did not complete", found)
        return found

    def _environment(self) -> dict[str, str]:
        ours = {name: value for name, value in os.environ.items() if not name.startswith("MCP_INDEXER_")}
        return ours | {
            "MCP_INDEXER_HOME": str(self.home),
            "MCP_INDEXER_SOURCES": str(self.home / "sources.toml"),
            "MCP_INDEXER_DATABASE_URL": self.database_url,
            "MCP_INDEXER_MEILI_URL": self.meilisearch.url,
            "MCP_INDEXER_MEILI_KEY": self.meilisearch.key,
            "MCP_INDEXER_INDEX": UID,
        }

    def _tasks(self) -> int:
        where, who = f"{self.meilisearch.url}/tasks?limit=1", headers(self.meilisearch.key)
        answer = httpx.get(where, headers=who, timeout=60, trust_env=False)
        return int(answer.raise_for_status().json()["total"])

    @staticmethod
    def _expect(so: bool, otherwise: str, found: Json) -> None:
        if not so:
            raise BenchFailed(f"{otherwise}: {found}")
