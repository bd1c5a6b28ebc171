"""What a rule is, and what it looks at."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal

from schemas.server import MOST_LISTED

Json = dict[str, Any]
Hit = tuple[str, str]
"""Where a rule hit, as a JSON pointer, and what it says."""


@dataclass(frozen=True, slots=True)
class Rule:
    """A rule: its id, how bad a hit is, one line for the documentation, and the check."""

    id: str
    severity: Literal["warning", "info"]
    line: str
    check: "Callable[[Look], Iterator[Hit]]"


class Look:
    """A record, read once for all rules: text where there is text, objects where there are objects."""

    def __init__(self, record: Json) -> None:
        self.record = record
        self.name, self.title = text(record, "name"), text(record, "title")
        self.description, self.version = text(record, "description"), text(record, "version")
        self.packages = [(f"/packages/{i}", package) for i, package in objects(record, "packages")]
        self.remotes = [(f"/remotes/{i}", remote) for i, remote in objects(record, "remotes")]

    @cached_property
    def prose(self) -> str:
        """All that people and models read of it."""
        return f"{self.name}\n{self.title}\n{self.description}"

    @cached_property
    def said(self) -> list[tuple[str, str]]:
        """The same, each text with its pointer."""
        return [("/name", self.name), ("/title", self.title), ("/description", self.description)]


def text(holder: Json, *names: str) -> str:
    """The first of the names that holds text; empty where none does."""
    for name in names:
        value = holder.get(name)
        if type(value) is str:
            return value
    return ""


def objects(holder: Json, *names: str) -> list[tuple[int, Json]]:
    """The objects among the first items of a list, with their numbers."""
    for name in names:
        items = holder.get(name)
        if type(items) is list:
            return [(i, item) for i, item in enumerate(items[:MOST_LISTED]) if type(item) is dict]
    return []


def inner(holder: Json, name: str) -> Json:
    """An object within an object; empty where there is none."""
    value = holder.get(name)
    return value if type(value) is dict else {}
