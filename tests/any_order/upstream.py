"""What happens upstream: every change that a registry knows, and what a crawler can know of it."""

from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from itertools import product
from typing import Any, Literal, NamedTuple, get_args

from indexer.text import digest
from tests.crawling import Versions
from workers.sample.registry import RegistryRefused, SampleRegistry
from workers.sample.row import OFFICIAL

Key = tuple[str, str]
Kind = Literal[
    "publish", "publish late", "edit", "edit late", "edit silently", "deprecate", "delete", "restore", "delete all",
    "restore all", "remove", "vanish", "reappear", "vanish many", "reappear many",
]  # fmt: skip
KINDS: tuple[Kind, ...] = get_args(Kind)
MONTH, LATE = timedelta(days=30), timedelta(minutes=9)

NAMES = [f"io.github.acme/tool-{letter}" for letter in "ABab"]
NUMBERS = ["", "0.10.0", "0.9.0", "1.0.0", "1.0.0-beta.1", "2025.06.18", "v1.2.0"]
MANY = {(f"io.github.acme/many-{number}", "1.0.0") for number in range(24)}
"""So many that a crawl is parked when they vanish at once."""
LASTING = {(f"io.github.acme/{place}-{number}", "1.0.0") for place in "az" for number in range(28)}
"""Never removed: more than all that can be, so that no walk sees less than half and waits for a person."""


class Change(NamedTuple):
    """What happens, and a number that says to which of the versions it can happen to."""

    kind: Kind
    number: int


class Row(NamedTuple):
    """A version as the registry lists it now; `said` is its official block but for isLatest."""

    item: Any
    latest: bool
    said: dict[str, Any]

    @property
    def state(self) -> tuple[Any, dict[str, Any]]:
        """What makes it another one."""
        return self.item["server"], self.said


class Upstream:
    """A sample registry, and which of its versions increments cannot know since the last complete walk.

    `revived` are those of them that came back with their old times: who never saw them calls them missed. `moved`
    counts changes, `moved_at` says which was the last of each version.
    """

    def __init__(self, now: Callable[[], datetime]) -> None:
        self.registry = SampleRegistry(now=now)
        self.hidden: set[Key] = set()
        self.revived: set[Key] = set()
        self.moved = 0
        self.moved_at: dict[Key, int] = {}
        self._vanished: dict[Key, Any] = {}
        for key in LASTING | MANY:
            self.registry.publish(self._server(key), at=now() - MONTH)

    def apply(self, change: Change) -> None:
        """Makes a change; what the registry refuses does not happen."""
        self.moved += 1
        before = self._rows()
        chosen = sorted(self._candidates(change.kind, before))
        if chosen and not change.kind.endswith("many"):
            chosen = [chosen[change.number % len(chosen)]]
        for key in chosen:
            with suppress(RegistryRefused):
                self._change(change.kind, key, before)
        after = self._rows()
        for key in before.keys() | after.keys():
            self._compare(key, before.get(key), after.get(key), told=not change.kind.startswith("reappear"))

    def versions(self) -> Versions:
        """What is listed, deleted versions too."""
        return {key: (digest(row.item["server"]), row.said["status"]) for key, row in self._rows().items()}

    def latest(self) -> dict[str, str]:
        """The latest version of each name that has one which is not deleted."""
        rows = self._rows().items()
        return {key[0]: key[1] for key, row in rows if row.latest and row.said["status"] != "deleted"}

    def _candidates(self, kind: Kind, rows: dict[Key, Row]) -> Iterable[Key]:
        if kind.startswith("publish"):
            return set(product(NAMES, NUMBERS)) - rows.keys() - self._vanished.keys()
        if kind.startswith("reappear"):
            return self._vanished.keys() & MANY if kind.endswith("many") else self._vanished.keys() - MANY
        if kind == "vanish many":
            return rows.keys() & MANY
        return rows.keys() - LASTING - MANY if kind in ("remove", "vanish") else rows

    def _change(self, kind: Kind, key: Key, rows: dict[Key, Row]) -> None:
        registry, server, message = self.registry, self._server(key), f"Because of {self.moved}"
        match kind:
            case "publish" | "publish late":
                registry.publish(server, at=self._time(kind))
            case "edit" | "edit late":
                # Of one row a later transaction never has an earlier time.
                written = datetime.fromisoformat(rows[key].said["updatedAt"])
                registry.edit(*key, server, at=max(written, self._time(kind)))
            case "edit silently":
                registry.edit_silently(*key, server)
            case "deprecate":
                registry.set_status(*key, "deprecated", message)
            case "delete":
                registry.set_status(*key, "deleted", message)
            case "restore":
                registry.set_status(*key, "active")
            case "delete all":
                registry.set_status_all(key[0], "deleted", message)
            case "restore all":
                registry.set_status_all(key[0], "active")
            case "remove":
                registry.remove(*key)
            case "vanish" | "vanish many":
                self._vanished[key] = rows[key].item
                registry.remove(*key)
            case "reappear" | "reappear many":
                registry.load([self._vanished.pop(key)])

    def _compare(self, key: Key, before: Row | None, after: Row | None, *, told: bool) -> None:
        if before is not None and after is not None and before.state == after.state:
            return
        self.moved_at[key] = self.moved
        if after is None or (told and (before is None or before.said["updatedAt"] != after.said["updatedAt"])):
            self.hidden.discard(key)
        else:
            self.hidden.add(key)
            if not told:
                self.revived.add(key)

    def _time(self, kind: Kind) -> datetime:
        """When a change says that it happened: up to some minutes before it can be seen."""
        return self.registry.now() - (LATE if kind.endswith("late") else timedelta())

    def _rows(self) -> dict[Key, Row]:
        rows = {}
        for item in self.registry.items():
            said = item["_meta"][OFFICIAL]
            rows[item["server"]["name"], item["server"]["version"]] = Row(item, said.pop("isLatest"), said)
        return rows

    def _server(self, key: Key) -> dict[str, Any]:
        return {"name": key[0], "version": key[1], "description": f"What change {self.moved} made of it"}
