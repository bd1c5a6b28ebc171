"""Names and versions: what the official registry asks of them beyond the schema, and what helps to compare them."""

import re
from collections.abc import Iterable

from indexer.latest import is_semver
from indexer.lint.rule import Hit, Look, Rule

_NAME = re.compile(r"[a-zA-Z0-9][a-zA-Z0-9.-]*[a-zA-Z0-9]/[a-zA-Z0-9][a-zA-Z0-9._-]*[a-zA-Z0-9]", re.ASCII)
_RANGE = re.compile(r"(?:[\^~]|[<>]=?|=)\s*v?[\dxX*]|v?\d\S*\s+-\s+v?\d|.*\|\|")
_WILDCARD = re.compile(r"v?(?:\d+\.)*[xX*](?:\.(?:\d+|[xX*]))*(?:-\S*)?", re.ASCII)
RESERVED = "latest"


def is_range(version: str) -> bool:
    """Whether a text names many versions rather than one."""
    if is_semver(version):
        return False
    return _RANGE.match(version.lstrip()) is not None or _WILDCARD.fullmatch(version) is not None


def _name(look: Look) -> Iterable[Hit]:
    if not look.name or _NAME.fullmatch(look.name):
        return ()
    return (("/name", "the registry takes namespace/name, of letters, digits, '.', '-' and '_', each two or longer"),)


def _reserved(look: Look) -> Iterable[Hit]:
    if look.version.lower() != RESERVED:
        return ()
    return (("/version", "'latest' is no version: it names another one tomorrow"),)


def _range(look: Look) -> Iterable[Hit]:
    if not look.version or look.semver or not is_range(look.version):
        return ()
    return (("/version", f"{look.version[:40]!r} names a range, not one version"),)


def _semver(look: Look) -> Iterable[Hit]:
    if not look.version or look.semver:
        return ()
    return (("/version", f"{look.version[:40]!r} is no semantic version, so its order is guessed"),)


RULES = (
    Rule("lint/name-form", "warning", "A name has a form that the official registry does not take.", _name),
    Rule("lint/version-reserved", "warning", "A version is the word latest.", _reserved),
    Rule("lint/version-range", "warning", "A version names a range of versions.", _range),
    Rule("lint/version-not-semver", "info", "A version is no semantic version.", _semver),
)
