"""The state of the sample registry, without HTTP: rows in byte order of name and version, safe for many threads.

The rules are the official registry's, with what it gets wrong: isLatest moves without the time of the rows it moves
between, and a migration (`edit_silently`) changes what a row says without its time. Text compares by code point, which
is the byte order of UTF-8.
"""

import threading
from bisect import bisect_left, bisect_right, insort
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import islice
from operator import attrgetter
from typing import Any

import orjson

from workers.sample.filters import visible
from workers.sample.latest import latest
from workers.sample.row import OFFICIAL, Row, Status
from workers.sample.times import Micros, micros

Item = dict[str, Any]
LONGEST_MESSAGE = 500

_key = attrgetter("key")
_name = attrgetter("name")


class RegistryRefused(ValueError):
    """The registry would answer such a request with 400 or 404; the text says why."""


@dataclass(frozen=True, slots=True)
class Page:
    """Items of one page, encoded, and where the next one starts; None at the end."""

    items: list[bytes]
    next_cursor: str | None


def utc_now() -> datetime:
    """The clock of this machine."""
    return datetime.now(UTC)


class SampleRegistry:
    """Publishing, changing and listing versions of servers, as the official registry does."""

    def __init__(self, items: Iterable[Item] = (), now: Callable[[], datetime] = utc_now) -> None:
        self.now = now
        self._lock = threading.RLock()
        self._rows: list[Row] = []
        self._by_name: dict[str, list[Row]] = {}
        self.load(items)

    def __len__(self) -> int:
        return len(self._rows)

    def load(self, items: Iterable[Item]) -> None:
        """Take over items as a registry lists them, many at once; isLatest is worked out, not believed."""
        with self._lock:
            now = self._time(None)
            touched: set[str] = set()
            for item in items:
                row = Row(item["server"], now, item.get("_meta", {}).get(OFFICIAL))
                self._by_name.setdefault(row.name, []).append(row)
                self._rows.append(row)
                touched.add(row.name)
            self._rows.sort(key=_key)
            for name in touched:
                self._refuse_twins(name)
                self._mark_latest(name)

    def publish(self, server: Mapping[str, Any], at: datetime | None = None) -> None:
        """A new version, active; the latest moves to it where it ranks higher."""
        with self._lock:
            row = Row(server, self._time(at))
            if self._find(*row.key) is not None:
                raise RegistryRefused(f"{row.name} {row.version} was published before; a version is published once")
            insort(self._rows, row, key=_key)
            self._by_name.setdefault(row.name, []).append(row)
            self._mark_latest(row.name)

    def edit(self, name: str, version: str, server: Mapping[str, Any], at: datetime | None = None) -> None:
        """An administrator's PUT: the content changes and updatedAt with it."""
        with self._lock:
            row = self._rewritten(name, version, server)
            row.updated = self._time(at)
            row.describe()

    def edit_silently(self, name: str, version: str, server: Mapping[str, Any]) -> None:
        """A data migration: the content changes and no time does."""
        with self._lock:
            self._rewritten(name, version, server)

    def set_status(
        self, name: str, version: str, status: Status, message: str | None = None, at: datetime | None = None
    ) -> None:
        """A publisher's change of one version's status; one that changes nothing is refused."""
        with self._lock:
            self._set_status([self._row(name, version)], status, message, self._time(at))

    def set_status_all(self, name: str, status: Status, message: str | None = None, at: datetime | None = None) -> None:
        """The same for all versions of a name, in one transaction: they share one updatedAt."""
        with self._lock:
            rows = self._by_name.get(name)
            if not rows:
                raise RegistryRefused(f"{name} was never published here")
            self._set_status(rows, status, message, self._time(at))

    def remove(self, name: str, version: str) -> None:
        """Forget a version without a trace, as a database reset does."""
        with self._lock:
            row = self._row(name, version)
            del self._rows[bisect_left(self._rows, row.key, key=_key)]
            self._by_name[name].remove(row)
            if not self._by_name[name]:
                del self._by_name[name]
            self._mark_latest(name)

    def page(
        self,
        cursor: str = "",
        limit: int = 30,
        updated_since: datetime | None = None,
        search: str = "",
        version: str = "",
        include_deleted: bool = False,
    ) -> Page:
        """The next rows after the cursor that pass all filters; a full page names a next one, even where none is."""
        since = None if updated_since is None else micros(updated_since)
        wanted = visible(since, search, version, include_deleted or since is not None)
        with self._lock:
            following = (self._rows[i] for i in range(self._after(cursor), len(self._rows)))
            found = list(islice(filter(wanted, following), limit))
            items = [row.encoded for row in found]
        full = found and len(found) >= limit
        return Page(items, f"{found[-1].name}:{found[-1].version}" if full else None)

    def versions(self, name: str, include_deleted: bool = False) -> list[bytes]:
        """All versions of a name, the last published first; empty where none is visible."""
        with self._lock:
            rows = sorted(self._by_name.get(name, ()), key=lambda row: row.published, reverse=True)
            return [row.encoded for row in rows if include_deleted or row.status != "deleted"]

    def version(self, name: str, version: str, include_deleted: bool = False) -> bytes | None:
        """One version, or the latest by that word; None where it is not visible."""
        with self._lock:
            row = self._latest(name) if version == "latest" else self._find(name, version)
            if row is None or (row.status == "deleted" and not include_deleted):
                return None
            return row.encoded

    def items(self, include_deleted: bool = True) -> Iterator[Item]:
        """All rows as they stand now, decoded, in order."""
        with self._lock:
            encoded = [row.encoded for row in self._rows if include_deleted or row.status != "deleted"]
        return map(orjson.loads, encoded)

    def _time(self, at: datetime | None) -> Micros:
        return micros(at or self.now())

    def _after(self, cursor: str) -> int:
        """Where the rows behind a cursor begin; any text is a place, one without a colon is a name."""
        if not cursor:
            return 0
        name, colon, version = cursor.partition(":")
        if not colon:
            return bisect_right(self._rows, name, key=_name)
        return bisect_right(self._rows, (name, version), key=_key)

    def _find(self, name: str, version: str) -> Row | None:
        place = bisect_left(self._rows, (name, version), key=_key)
        if place < len(self._rows) and self._rows[place].key == (name, version):
            return self._rows[place]
        return None

    def _latest(self, name: str) -> Row | None:
        return next((row for row in self._by_name.get(name, ()) if row.is_latest), None)

    def _row(self, name: str, version: str) -> Row:
        row = self._find(name, version)
        if row is None:
            raise RegistryRefused(f"{name} {version} was never published here")
        return row

    def _rewritten(self, name: str, version: str, server: Mapping[str, Any]) -> Row:
        row = self._row(name, version)
        if (server.get("name"), server.get("version")) != row.key:
            raise RegistryRefused(f"an edit of {name} {version} must keep its name and version")
        row.rewrite(server)
        return row

    def _set_status(self, rows: list[Row], status: Status, message: str | None, at: Micros) -> None:
        if message is not None and (status == "active" or len(message) > LONGEST_MESSAGE):
            raise RegistryRefused(f"a message goes with deprecated or deleted, in at most {LONGEST_MESSAGE} characters")
        changed = [row for row in rows if (row.status, row.message) != (status, message)]
        if not changed:
            raise RegistryRefused(f"{rows[0].name} has the status {status} already")
        for row in changed:
            row.status_changed = row.status_changed if row.status == status else at
            row.status, row.message, row.updated = status, message, at
            row.describe()
        self._mark_latest(rows[0].name)

    def _mark_latest(self, name: str) -> None:
        """Move isLatest where it belongs; the rows' times stay."""
        rows = self._by_name.get(name)
        if not rows:
            return
        best = latest(rows)
        for row in rows:
            if row.is_latest != (row is best):
                row.is_latest = row is best
                row.describe()

    def _refuse_twins(self, name: str) -> None:
        versions = [row.version for row in self._by_name[name]]
        if len(set(versions)) != len(versions):
            raise RegistryRefused(f"{name} is loaded twice with the same version")
