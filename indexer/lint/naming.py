"""Names and versions: what the official registry asks of them beyond the schema, and what helps to compare them."""

import re
from collections.abc import Iterator

from indexer.latest import is_semver
from indexer.lint.rule import Hit, Look, Rule

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]*[a-zA-Z0-9]/[a-zA-Z0-9][a-zA-Z0-9._-]*[a-zA-Z0-9]", re.ASCII)
_RANGE = re.compile(r"[\^~]|[<>]=?|=|.*\s-\s\D*\d+\.\d+|.*\|\|")
_WILDCARD = re.compile(r"v?(?:\d+\.)+[xX*](?:\.[xX*])*|[xX*]", re.ASCII)
RESERVED = "latest"


def is_range(version: str) -> bool:
    """Whether a text names many versions rather than one."""
    if version[:1].isdigit() and version.replace(".", "").isalnum() and version[-1] not in "xX":
        return False
    return _RANGE.match(version) is not None or _WILDCARD.fullmatch(version) is not None


def _name(look: Look) -> Iterator[Hit]:
    if look.name and _NAME.fullmatch(look.name) is None:
        yield "/name", "the registry takes namespace/name, of letters, digits, '.', '-' and '_', each two or longer"


def _reserved(look: Look) -> Iterator[Hit]:
    if look.version.lower() == RESERVED:
        yield "/version", "'latest' is no version: it names another one tomorrow"


def _range(look: Look) -> Iterator[Hit]:
    if look.version and is_range(look.version):
        yield "/version", f"{look.version[:40]!r} names a range, not one version"


def _semver(look: Look) -> Iterator[Hit]:
    if look.version and not is_semver(look.version):
        yield "/version", f"{look.version[:40]!r} is no semantic version, so its order is guessed"


RULES = (
    Rule("lint/name-form", "warning", "A name has a form that the official registry does not take.", _name),
    Rule("lint/version-reserved", "warning", "A version is the word latest.", _reserved),
    Rule("lint/version-range", "warning", "A version names a range of versions.", _range),
    Rule("lint/version-not-semver", "info", "A version is no semantic version.", _semver),
)
