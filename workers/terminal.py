"""How anything is printed: data on stdout, progress and sentences on stderr.

Text that an upstream wrote is never passed to a terminal as it is: control characters are written as escapes.
"""

import json
import os
import re
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from itertools import repeat
from typing import Any, TextIO

from rich.cells import cell_len
from rich.console import Console
from rich.progress import Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.table import Table

from indexer.errors import OutputLost
from schemas.events import Counts

LINE_SECONDS = 5.0
"""Where there is no terminal, a crawl says so often how far it is."""

_GAP = 2
"""Columns of the terminal between two of a table."""
_FOLDED = 20
"""A table's last column may be folded, to so many."""

_CONTROL = re.compile("[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: object) -> str:
    """Text with its control and direction characters written as escapes."""
    return _CONTROL.sub(lambda found: f"\\u{ord(found[0]):04x}", str(text))


def open_closed() -> None:
    """Gives stdin, stdout and stderr that were closed a place: a database would else be opened in theirs."""
    for number, name in enumerate(("stdin", "stdout", "stderr")):
        if getattr(sys, name) is None:
            handle = os.open(os.devnull, os.O_RDWR)  # the lowest that is free
            setattr(sys, name, os.fdopen(handle, "w" if number else "r", encoding="utf-8"))


@contextmanager
def stdout() -> Iterator[TextIO]:
    """Where data goes. Raises OutputLost where it cannot be written; BrokenPipeError where its reader has enough."""
    try:
        yield sys.stdout
    except OSError as error:
        with suppress(OSError):  # what is left of it would be tried once more at the end
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        if isinstance(error, BrokenPipeError):
            raise
        raise OutputLost(f"What was to be printed cannot be written: {error.strerror}; print it elsewhere.") from error


def flush() -> None:
    """What was printed is to be read now."""
    with stdout() as out:
        out.flush()


def say(sentence: str) -> None:
    """A sentence for the person at the terminal, on stderr, after what was printed before."""
    flush()
    sys.stderr.write(printable(sentence) + "\n")
    sys.stderr.flush()


def json_out(value: Any) -> None:
    """One JSON value on one line of stdout."""
    with stdout() as out:
        out.write(json.dumps(value) + "\n")
        out.flush()


def line(*parts: object) -> None:
    """One line of data for people, on stdout."""
    with stdout() as out:
        out.write(" ".join(printable(part) for part in parts) + "\n")


def table(columns: list[str], rows: list[list[object]]) -> None:
    """Rows for people, on stdout; as a line for each value where the terminal is too narrow for a table of them."""
    texts = [["" if value is None else printable(value) for value in row] for row in rows]
    with stdout() as out:
        _table(out, columns, texts)


def _table(out: TextIO, columns: list[str], texts: list[list[str]]) -> None:
    console = Console(file=out, markup=False, highlight=False, width=None if out.isatty() else 200)
    *fixed, last = (max(map(cell_len, column)) for column in zip(columns, *texts, strict=True))
    if sum(fixed) + _GAP * len(fixed) + min(last, _FOLDED) > console.width:
        out.write("\n".join(map(_lines, repeat(columns), texts)))
        return
    shown = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        shown.add_column(column, overflow="fold", no_wrap=column != columns[-1])
    for row in texts:
        shown.add_row(*row)
    console.print(shown)


def _lines(columns: list[str], row: list[str]) -> str:
    return "".join(f"{column}: {value}\n" for column, value in zip(columns, row, strict=True) if value)


@contextmanager
def crawling(source: str) -> Iterator[Callable[[Counts], None]]:
    """Progress of a crawl: a live line on a terminal, a line every few seconds elsewhere."""
    console = Console(stderr=True, markup=False, highlight=False)
    began = time.monotonic()
    if not console.is_terminal:
        said = began

        def now_and_then(counts: Counts) -> None:
            nonlocal said
            if time.monotonic() - said >= LINE_SECONDS:
                said = time.monotonic()
                say(_progress(source, counts, said - began))

        yield now_and_then
        return
    columns = (SpinnerColumn(), TextColumn("{task.description}", markup=False), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        task = progress.add_task(source, total=None)
        yield lambda counts: progress.update(task, description=_progress(source, counts, time.monotonic() - began))


def progress(what: str) -> Callable[[int], None]:
    """Progress of a rebuild, by position."""
    if not sys.stderr.isatty():
        return lambda _: None

    def show(position: int) -> None:
        sys.stderr.write(f"\r{what}: position {position:,}")
        sys.stderr.flush()

    return show


def _progress(source: str, counts: Counts, seconds: float) -> str:
    news = counts.observed - counts.unchanged
    rate = counts.observed / seconds if seconds else 0.0
    return f"{source}: {counts.pages} pages, {counts.observed:,} versions ({rate:,.0f}/s), {news:,} new or changed"
