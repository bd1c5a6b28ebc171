"""What a rule is, and what it looks at."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal

from indexer.latest import is_semver
from schemas.definition import schema_date
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
    check: "Callable[[Look], Iterable[Hit]]"


_ASKED = (
    *("environmentVariables", "environment_variables", "headers", "packageArguments", "package_arguments"),
    *("runtimeArguments", "runtime_arguments"),
)
"""What a package or remote asks its user for, each with a description."""


class Package:
    """A package of a record, read once for all rules."""

    __slots__ = ("identifier", "kind", "named", "pointer", "record", "said", "transport", "url", "version")

    def __init__(self, number: int, package: Json) -> None:
        self.pointer, self.record = f"/packages/{number}", package
        self.kind = text(package, "registryType", "registry_type", "registry_name")
        self.identifier, self.version = text(package, "identifier"), text(package, "version")
        self.named = self.identifier + self.version + text(package, "name")
        transport = inner(package, "transport")
        self.transport, self.url = text(transport, "type"), text(transport, "url")
        self.said = _said(self.pointer, package)
        if "headers" in transport:
            self.said += _said(f"{self.pointer}/transport", transport)


class Remote:
    """A remote of a record, read once for all rules."""

    __slots__ = ("named", "pointer", "record", "said", "type", "url")

    def __init__(self, number: int, remote: Json) -> None:
        self.pointer, self.record = f"/remotes/{number}", remote
        self.type, self.url = text(remote, "type", "transport_type"), text(remote, "url")
        self.said, self.named = _said(self.pointer, remote), self.url


class Look:
    """A record, read once for all rules: text where there is text, objects where there are objects.

    `prose` is all that people and models read of it, `named` all that is installed or reached, for rules that first ask
    whether a look at each text pays; `plain` says that nothing in `prose` is invisible or beyond ASCII. `schema` is the
    date of the schema that it declares, `semver` whether its version is semantic.
    """

    __slots__ = (
        "description",
        "name",
        "named",
        "packages",
        "plain",
        "prose",
        "record",
        "remotes",
        "said",
        "schema",
        "semver",
        "title",
        "version",
    )

    def __init__(self, record: Json) -> None:
        self.record = record
        self.name, self.title = text(record, "name"), text(record, "title")
        self.description, self.version = text(record, "description"), text(record, "version")
        self.schema, self.semver = schema_date(record.get("$schema")), is_semver(self.version)
        self.packages = [Package(i, package) for i, package in objects(record, "packages")]
        self.remotes = [Remote(i, remote) for i, remote in objects(record, "remotes")]
        self.said = [("/name", self.name), ("/title", self.title), ("/description", self.description)]
        """What people and models read, each text with its pointer."""
        self.named = self.version
        parts: list[Package | Remote] = [*self.packages, *self.remotes]
        for one in parts:
            self.said += one.said
            self.named += one.named
        self.prose = " ".join([said for _, said in self.said])
        self.plain = is_plain(self.prose)

    @property
    def names(self) -> list[tuple[str, str]]:
        """What is installed or reached, each text with its pointer."""
        found = [("/version", self.version)]
        for package in self.packages:
            found.append((f"{package.pointer}/identifier", package.identifier))
            found.append((f"{package.pointer}/version", package.version))
        return found + [(f"{remote.pointer}/url", remote.url) for remote in self.remotes]


def is_plain(said: str) -> bool:
    """Whether a text is of visible ASCII characters only."""
    return said.isascii() and said.isprintable()


def _said(pointer: str, holder: Json) -> list[tuple[str, str]]:
    return [
        (f"{pointer}/{name}/{number}/description", said)
        for name in _ASKED
        if name in holder
        for number, one in objects(holder, name)
        if (said := text(one, "description"))
    ]


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
