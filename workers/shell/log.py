"""Commands that read the log."""

from contextlib import closing
from typing import Annotated

import typer

from indexer.exported import Exporting, Reading
from indexer.importing import import_log
from indexer.projections import runner
from indexer.store import read_all
from schemas.events import cloud_event
from workers import archive, report
from workers.shell.parts import Json, wired

app = typer.Typer()


@app.command(epilog="Example: mcp-indexer events --after 1200 --limit 50 --json")
def events(
    after: Annotated[int, typer.Option(min=0, help="Only events after this position.")] = 0,
    limit: Annotated[int | None, typer.Option(min=1, help="At most so many.")] = None,
    as_json: Json = False,
) -> None:
    """The log."""
    with wired() as wiring, wiring.database.read() as connection:
        for one in read_all(connection, after, limit=limit):
            report.event(cloud_event(one), as_json=as_json)


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
        if file != archive.STANDARD:
            Reading(archive.lines(file), file).check()  # before anything is done
        reading = Reading(archive.lines(file), archive.named(file))
        found = import_log(database, reading, report.progress("import"))
        runner.catch_up(database, report.progress("catalogue"))
    report.imported(file, found, as_json=as_json)
