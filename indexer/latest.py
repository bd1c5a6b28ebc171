"""Which of a server's versions is the latest: derived from the versions we hold, never believed.

Semantic versions come before others. Among them precedence decides; where it does not (only build metadata differs)
the one published first stays. Among others the later publish time decides, then the text. This is how the official
registry orders (its code, not its documents).
"""

import re
from functools import lru_cache
from typing import Any

_SEMVER = re.compile(
    r"v?(0|[1-9]\d*)\.(0|[1-9]\d*)\.(0|[1-9]\d*)"
    r"(?:-((?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*)(?:\.(?:0|[1-9]\d*|\d*[A-Za-z-][0-9A-Za-z-]*))*))?"
    r"(?:\+[0-9A-Za-z-]+(?:\.[0-9A-Za-z-]+)*)?",
    re.ASCII,
)
_NEVER = 0


def is_semver(version: str) -> bool:
    """Whether a version is semantic: three numbers without leading zeros, prerelease, build; a leading v may stand."""
    return _SEMVER.fullmatch(version) is not None


def age(version: str | None, published_at: int | None) -> tuple[Any, ...]:
    """What versions of one server sort by, the latest last. `published_at` in microseconds."""
    precedence = None if version is None else _precedence(version)
    if precedence is None:
        return (0, (), published_at or _NEVER, version or "")
    return (1, precedence, -(published_at or _NEVER), version)


@lru_cache(maxsize=4096)  # most servers have the same few; what is listed is no longer than names.LONGEST_NAME
def _precedence(version: str) -> tuple[Any, ...] | None:
    """What a semantic version is compared by; None for one that is none."""
    found = _SEMVER.fullmatch(version)
    if found is None:
        return None
    major, minor, patch, pre = found.groups()
    return (int(major), int(minor), int(patch), pre is None, () if pre is None else _identifiers(pre))


def _identifiers(prerelease: str) -> tuple[tuple[bool, int, str], ...]:
    """Numbers before text, numbers by value, text by bytes."""
    parts = prerelease.split(".")
    return tuple((False, int(part), "") if part.isdigit() else (True, 0, part) for part in parts)
