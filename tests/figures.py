"""`python -m tests.figures [FOLDER]`: verdicts and lint of all real data beside the checkout, to be looked at.

A rule that hits more than one record in twenty, or none at all, is marked: it may say too much, or nothing. Where only
names and descriptions were recorded, only rules that read those are asked.
"""

import json
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from indexer.lint import naming, prose
from indexer.lint.rules import RULES, lint
from indexer.verdict import problems
from schemas.about import unwrap
from tests.schemas.upstream import history, seed

Json = dict[str, Any]

LISTS = (
    *("official-full-2025-11-14", "official-wire-2025-09-15", "official-wire-2025-09-22"),
    *("official-wire-2025-09-26-flat", "official-wire-2025-09-30-broken-crawl", "registry-seed-2025-04-24"),
    *("registry-seed-2025-05-16", "registry-seed-2025-08-06", "registry-seed-2025-08-23", "registry-seed-2025-08-30"),
    *("registry-seed-2025-09-05", "registry-seed-2025-09-08", "registry-seed-2025-09-21", "registry-seed-2025-09-29"),
)
EXAMPLES = ("valid", "valid-from-tests", "invalid")
OF_TEXTS = {rule.id for rule in (*naming.RULES, *prose.RULES)}
OFTEN = 0.05


def main(shared: Path) -> None:
    """Prints a table for each list, for all that two months of history showed, and for each folder of examples."""
    hit: Counter[str] = Counter()
    for name in LISTS:
        hit += _table(name, (unwrap(item)[0] for item in seed(shared, name)))
    hit += _table("two months of history, each document once", history(shared))
    hit += _table("server.json in git repositories", _files(shared / "upstream" / "samples" / "git-repo-server-json"))
    for kind in EXAMPLES:
        hit += _table(f"examples, {kind}", _files(shared / "upstream" / "examples" / kind))
    hit += _table("names and descriptions, 2026-06-12", _latest(shared), OF_TEXTS)
    hit += _table("names and descriptions at other lists", _others(shared), OF_TEXTS - {"lint/name-form"})
    for rule in RULES:
        if not hit[rule.id]:
            _say(f"{rule.id} hits nothing in all of this")


def _table(name: str, records: Iterable[Any], asked: set[str] | None = None) -> Counter[str]:
    count = invalid = 0
    hit: Counter[str] = Counter()
    for record in records:
        count += 1
        found = problems(record) if asked is None else ()
        invalid += bool(found)
        said = {problem.rule for problem in lint(record)}
        hit.update({problem.rule for problem in found} | (said if asked is None else said & asked))
    verdicts = f", {invalid:,} invalid ({invalid / count:.1%})" if asked is None else ""
    _say(f"\n{name}: {count:,} records{verdicts}")
    for rule, hits in hit.most_common():
        _say(f"  {rule:32} {hits:6,} {hits / count:7.1%}{'  often' if hits / count > OFTEN else ''}")
    return hit


def _files(folder: Path) -> Iterator[Any]:
    for path in sorted(folder.rglob("*.json")):
        if path.name not in ("index.json", "_publish-pairs.json"):
            yield json.loads(path.read_text())


def _latest(shared: Path) -> Iterator[Json]:
    """The official registry's latest versions, without packages and remotes."""
    return (unwrap(item)[0] for item in seed(shared, "official-latest-lite-2026-06-12"))


def _others(shared: Path) -> Iterator[Json]:
    """What other lists say of their servers, in their own words."""
    for one in seed(shared, "toolsdk-packages-2025-10-29"):
        entry = one["entry"]
        yield {"name": entry.get("packageName"), "title": entry.get("name"), "description": entry.get("description")}
    for one in seed(shared, "docker-mcp-registry-2026-07-08"):
        yield {"name": one["server"]["name"], **(one["server"].get("about") or {})}
    for one in seed(shared, "toolhive-registry-specs-2025-08-30"):
        yield {"name": one["path"], "description": one["spec"].get("description")}


def _say(line: str) -> None:
    sys.stdout.write(line + "\n")


if __name__ == "__main__":
    main(Path(sys.argv[1] if len(sys.argv) > 1 else "../shared"))
