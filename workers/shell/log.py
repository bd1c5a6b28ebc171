"""Commands that read the log."""

import time
from contextlib import closing
from typing import Annotated

import typer

from indexer import past
from indexer.errors import ConfigurationError, Interrupted, NotFound
from indexer.exported import Exporting, Reading
from indexer.following import read_all
from indexer.importing import import_log
from indexer.projections import runner
from indexer.store import last_position
from schemas.cloud_events import cloud_event
from schemas.names import Position
from workers import archive, report, terminal
from workers.shell.parts import LARGEST, TIME, Json, moment, wired

app = typer.Typer()


@app.command(epilog="Example: mcp-indexer events --after 1200 --limit 50 --json")
def events(
    after: Annotated[int, typer.Option(min=0, max=LARGEST, help="Only events after this position.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, max=LARGEST, help="At most so many.")] = None,
    follow: Annotated[bool, typer.Option("--follow", help="Wait for new ones, until interrupted.")] = False,
    as_json: Json = False,
) -> None:
    """The log."""
    seen = after
    with wired() as wiring:
        try:
            for one in read_all(wiring.database, after, limit=limit, wait=time.sleep if follow else None):
                report.event(cloud_event(one), as_json=as_json)
                seen = one.position
                if follow:
                    terminal.flush()
        except KeyboardInterrupt as error:
            again = f"mcp-indexer events --after {seen}{' --follow' if follow else ''}"
            raise Interrupted(f"Interrupted; `{again}` goes on from there.") from error


@app.command(epilog="Example: mcp-indexer diff --from 2026-08-21 --to 2026-08-22")
def diff(
    since: Annotated[str, typer.Option("--from", metavar="TIME", help=f"What was before: {TIME}")],
    until: Annotated[
        str | None, typer.Option("--to", metavar="TIME", help="What was after; by default what is now.")
    ] = None,
    as_json: Json = False,
) -> None:
    """What changed between two times: servers that were added, removed or changed."""
    begin, end = moment(since), None if until is None else moment(until)
    if end is not None and end < begin:
        raise ConfigurationError(f"--to {until} is before --from {since}; turn them round.")
    with wired() as wiring:
        runner.catch_up(wiring.database)
        with wiring.database.read() as connection:
            last = last_position(connection) if end is None else past.position_at(connection, end)
            try:
                first = past.position_at(connection, begin)
            except NotFound as error:
                terminal.say(f"{error} All that came later counts as added.")
                first = Position(0)
            for one in past.differences(connection, first, last):
                report.difference(one, as_json=as_json)


@app.command("export", epilog="Example: mcp-indexer export log.ndjson.zst")
def export_log(
    file: Annotated[str, typer.Argument(help="Where to; - is stdout.")] = archive.STANDARD,
    zstd: Annotated[
        bool | None, typer.Option("--zstd/--no-zstd", help="Compress; by default where the name ends in .zst.")
    ] = None,
    as_json: Json = False,
) -> None:
    """The whole log as lines of JSON: a backup, a move to another database, a snapshot for others."""
    with wired() as wiring:
        exporting = Exporting(wiring.database)
        compressed = file.endswith(".zst") if zstd is None else zstd
        with archive.writing(file, compressed=compressed) as write:
            for line in exporting:
                write(line)
    report.exported(file, exporting.exported, as_json=as_json)


@app.command("import", epilog="Example: mcp-indexer import log.ndjson.zst")
def import_exported(
    file: Annotated[str, typer.Argument(help="What `export` wrote, compressed or not; - is stdin.")],
    as_json: Json = False,
) -> None:
    """Take over an exported log, into an empty database or on from where an import ended."""
    with wired() as wiring, closing(wiring.open_database()) as database:
        if not archive.is_stream(file):
            Reading(archive.lines(file), file).check()  # before anything is done
        reading = Reading(archive.lines(file), archive.named(file))
        found = import_log(database, reading, terminal.progress("import"))
        runner.catch_up(database, terminal.progress("catalogue"))
    report.imported(file, found, as_json=as_json)
