"""Commands that read the log."""

from typing import Annotated

import typer

from indexer.store import read_all
from schemas.events import cloud_event
from workers import report
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
