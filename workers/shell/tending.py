"""Commands for those who keep it running: how it stands, and how it is mended."""

from typing import Annotated

import typer

from indexer import queries
from indexer.errors import ConfigurationError
from indexer.projections import documents, runner
from indexer.quarantine import waiting
from indexer.verify import repair as mend
from indexer.verify import verify as check
from schemas.names import SourceName
from workers import report, source_report, terminal
from workers.doctor import examine
from workers.reexamination import reexamine
from workers.shell.parts import ATTENTION, FAILED, Json, wired
from workers.sources_file import chosen
from workers.standing import status_of

app = typer.Typer()


@app.command(epilog="Example: mcp-indexer status --fail-on-stale")
def status(
    fail_on_stale: Annotated[
        bool,
        typer.Option(
            "--fail-on-stale", help="Exit with 3 where a source is stale, failing, parked or was never crawled."
        ),
    ] = False,
    as_json: Json = False,
) -> None:
    """Where every source and every projection stands."""
    with wired() as wiring:
        found = status_of(wiring)
        source_report.standing(found, as_json=as_json)
    if fail_on_stale and any(one["state"] in ("stale", "failing", "parked", "never") for one in found["sources"]):
        raise typer.Exit(ATTENTION)


@app.command(epilog="Example: mcp-indexer quarantine official --json")
def quarantine(
    source: Annotated[str | None, typer.Argument(help="A source's name; all by default.")] = None, as_json: Json = False
) -> None:
    """Records that could not be identified, with reasons."""
    with wired() as wiring:
        named = None if source is None else SourceName(chosen(wiring.configured, [source])[0].name)
        with wiring.database.read() as connection:
            for one in waiting(connection, named):
                source_report.quarantined(one, as_json=as_json)


@app.command(epilog="Example: mcp-indexer rebuild search")
def rebuild(
    views: Annotated[list[str] | None, typer.Argument(help="catalogue, search; both by default.")] = None,
    as_json: Json = False,
) -> None:
    """Build the catalogue or the index anew from the log; each takes the old one's place when it is whole."""
    wanted = views or ["catalogue", "search"]
    unknown = sorted(set(wanted) - {"catalogue", "search"})
    if unknown:
        raise ConfigurationError(f"There is no view {unknown[0]!r} to rebuild; there are catalogue and search.")
    with wired() as wiring:
        if "catalogue" in wanted:
            reexamine(wiring)
            runner.rebuild(wiring.database, terminal.progress("catalogue"))
        if "search" in wanted:
            runner.catch_up(wiring.database)
            documents.rebuild(wiring.database, wiring.index())
        with wiring.database.read() as connection:
            report.rebuilt({"rebuilt": wanted, "projections": queries.projections(connection)}, as_json=as_json)


@app.command(epilog="Example: mcp-indexer verify --repair")
def verify(
    repair: Annotated[bool, typer.Option("--repair", help="Mend catalogue and index from the log.")] = False,
    as_json: Json = False,
) -> None:
    """Do log, catalogue and index agree?"""
    with wired() as wiring:
        index = wiring.index()
        found = check(wiring.database, index)
        repaired = False
        if repair and not found.ok:
            mend(wiring.database, index, found)
            repaired = check(wiring.database, index).ok
        report.verified(found, repaired=repaired, as_json=as_json)
    if not found.ok and not repaired:
        raise typer.Exit(ATTENTION)


@app.command(epilog="Example: mcp-indexer doctor")
def doctor(as_json: Json = False) -> None:
    """Every part: reachable, version, settings; what to do where not."""
    with wired() as wiring:
        parts = examine(wiring)
    report.examined(parts, as_json=as_json)
    if not all(part["ok"] for part in parts):
        raise typer.Exit(FAILED)
