"""All rules, and what they say of a record."""

from collections.abc import Iterable
from typing import Any

from indexer.lint import links, naming, packages, prose, remotes
from indexer.lint.rule import Look, Rule
from indexer.verdict import Problem, shown

RULES: tuple[Rule, ...] = (*naming.RULES, *prose.RULES, *links.RULES, *packages.RULES, *remotes.RULES)
_OF_ALL = (*naming.RULES, *prose.RULES, *links.RULES, packages.NOTHING)
_WITHOUT_REMOTES, _WITHOUT_PACKAGES = (*_OF_ALL, *packages.OF_PACKAGES), (*_OF_ALL, *remotes.RULES)
MOST_HITS = 50
NAME_CASE = "lint/name-case"
"""Looks at the catalogue, not at one record."""


def lint(record: Any) -> tuple[Problem, ...]:
    """What the rules say of a record, whatever JSON value it is: no errors, at most `MOST_HITS`, rule after rule."""
    if not isinstance(record, dict):
        return ()
    look = Look(record)
    found: list[Problem] = []
    for rule in _applying(look):
        for pointer, message in rule.check(look):
            found.append(Problem(rule.id, shown(pointer), rule.severity, shown(message)))
            if len(found) == MOST_HITS:
                return tuple(found)
    return tuple(found)


def _applying(look: Look) -> tuple[Rule, ...]:
    """The rules that can hit."""
    if look.packages:
        return RULES if look.remotes else _WITHOUT_REMOTES
    return _WITHOUT_PACKAGES if look.remotes else _OF_ALL


def differs_by_case(others: Iterable[str]) -> Problem:
    """What is said of a server whose name others have but for its case."""
    return Problem(NAME_CASE, "/name", "warning", shown(f"differs by case only from {', '.join(sorted(others))}"))
