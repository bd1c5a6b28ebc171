"""Which of a name's versions is the latest, by the official registry's rule.

A semantic version beats any other text; two semantic versions compare by precedence; of two that are not, the one
published later wins. Equal precedence leaves the earlier one in place. A deleted version is latest only where all are.
"""

import re
from collections.abc import Iterable

from workers.sample.row import Row

_NUMBER = r"(0|[1-9][0-9]*)"
_IDENTIFIER = r"(?:0|[1-9][0-9]*|[0-9]*[A-Za-z-][0-9A-Za-z-]*)"
_SEMVER = re.compile(
    rf"v?{_NUMBER}\.{_NUMBER}\.{_NUMBER}"
    rf"(?:-({_IDENTIFIER}(?:\.{_IDENTIFIER})*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?"
)

Precedence = tuple[int, int, int, bool, tuple[tuple[bool, int, str], ...]]


def precedence(version: str) -> Precedence | None:
    """How a version compares with others by semver; None where it is not a semantic version of exactly three parts."""
    found = _SEMVER.fullmatch(version)
    if found is None:
        return None
    major, minor, patch, prerelease = found.groups()
    identifiers = prerelease.split(".") if prerelease else []
    return int(major), int(minor), int(patch), not identifiers, tuple(map(_comparable, identifiers))


def _comparable(identifier: str) -> tuple[bool, int, str]:
    """Numbers compare as numbers and come before words."""
    if identifier.isdecimal():
        return False, int(identifier), ""
    return True, 0, identifier


def latest(rows: Iterable[Row]) -> Row:
    """The one row of a name that carries isLatest."""
    return max(rows, key=_rank)


def _rank(row: Row) -> tuple[bool, bool, Precedence | tuple[()], int]:
    order = precedence(row.version)
    alive = row.status != "deleted"
    if order is None:
        return alive, False, (), row.published
    return alive, True, order, -row.published
