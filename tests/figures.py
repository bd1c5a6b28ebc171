"""`python -m tests.figures FOLDER`: verdicts and lint of the real data beside the checkout, to be looked at.

A rule that hits more than one record in twenty, or none at all, is marked: it may say too much, or nothing.
"""

import sys
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from indexer.lint.rules import RULES, lint
from indexer.verdict import problems
from schemas.about import unwrap
from tests.schemas.upstream import history, seed

LISTS = (
    *("official-full-2025-11-14", "official-wire-2025-09-15", "official-wire-2025-09-22"),
    *("official-wire-2025-09-26-flat", "registry-seed-2025-08-06", "registry-seed-2025-09-29"),
)
OFTEN = 0.05


def main(shared: Path) -> None:
    """Prints a table for each list and for all that two months of history showed."""
    whole: Counter[str] = Counter()
    for name in LISTS:
        whole += _table(name, (unwrap(item)[0] for item in seed(shared, name)))
    whole += _table("two months of history, each document once", history(shared))
    for rule in RULES:
        if not whole[rule.id]:
            _say(f"{rule.id} hits nothing in all of this")


def _table(name: str, records: Iterable[Any]) -> Counter[str]:
    count = invalid = 0
    hit: Counter[str] = Counter()
    for record in records:
        count += 1
        found = problems(record)
        invalid += bool(found)
        hit.update({problem.rule for problem in (*found, *lint(record))})
    _say(f"\n{name}: {count:,} records, {invalid:,} invalid ({invalid / count:.1%})")
    for rule, hits in hit.most_common():
        _say(f"  {rule:32} {hits:6,} {hits / count:7.1%}{'  often' if hits / count > OFTEN else ''}")
    return hit


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared"))
