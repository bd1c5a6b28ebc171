"""`python -m tests.replay`: replays the history and prints the table; 1 where something is not as it should be."""

import sys
import tempfile
import time
from pathlib import Path

from rich import box
from rich.console import Console
from rich.table import Table

from tests.replay.replaying import Replayed, Row, replay

SHARED = Path(__file__).parents[3] / "shared"
PERIODS = {
    "a": "flat, snake_case",
    "b": "flat, camelCase",
    "bad week": "the bad week",
    "c": "server and _meta",
}
COLUMNS = ("snapshots", "completed", "failed", "audits", "requests", "changes", "withdrawn", "missed", "silent")


def main() -> int:
    """Replays, prints, and says what is wrong."""
    if not (SHARED / "upstream" / "history").is_dir():
        sys.stderr.write(f"The history is not beside the checkout ({SHARED}); put the folder of real data there.\n")
        return 2
    began = time.monotonic()
    with tempfile.TemporaryDirectory() as folder:
        done = replay(SHARED, Path(folder))
    Console(width=130).print(_table(done))
    for sentence in done.wrong:
        sys.stderr.write(f"{sentence}\n")
    sys.stderr.write(f"{time.monotonic() - began:.0f} seconds\n")
    return 1 if done.wrong else 0


def _table(done: Replayed) -> Table:
    table = Table("", *COLUMNS, "expected", box=box.SIMPLE)
    for column in table.columns:
        column.no_wrap = True
        column.justify = "left" if column.header == "" else "right"
    rows = [(PERIODS[name], row) for name, row in done.rows.items()]
    numbers = [_numbers(row) for _, row in rows]
    for (name, _), cells in zip(rows, numbers, strict=True):
        table.add_row(name, *map(str, cells))
    table.add_section()
    table.add_row("all", *map(str, map(sum, zip(*numbers, strict=True))))
    return table


def _numbers(row: Row) -> tuple[int, ...]:
    counts = row.counts
    of_crawls = row.snapshots, row.completed, row.failed, row.audits
    return *of_crawls, counts.requests, row.changes, counts.withdrawn, row.missed, row.silent, row.expected


if __name__ == "__main__":
    sys.exit(main())
