"""Commands that answer questions about servers."""

from typing import Annotated, Any

import typer

from indexer import past, queries
from indexer.errors import ConfigurationError, NotFound
from indexer.projections import runner
from schemas.cloud_events import cloud_event, event_schema
from schemas.documents import document_schema
from workers import report, terminal
from workers.searching import search_index
from workers.shell.parts import TIME, Json, moment, stored, unknown, wired

app = typer.Typer()


@app.command(epilog='Example: mcp-indexer search "pdf tools" --filter "has_remote = true" --facets registry_types')
def search(
    query: Annotated[str, typer.Argument(help="What to look for; may be empty.")],
    filter_by: Annotated[str | None, typer.Option("--filter", help="A Meilisearch filter.")] = None,
    facets: Annotated[str | None, typer.Option(help="Fields to count by, with commas between.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=1_000, help="How many hits.")] = 20,
    as_json: Json = False,
) -> None:
    """Ask the index."""
    options: dict[str, Any] = {"limit": limit}
    if filter_by is not None:
        options["filter"] = filter_by
    if facets is not None:
        options["facets"] = [facet.strip() for facet in facets.split(",") if facet.strip()]
    with wired() as wiring:
        answer = search_index(wiring.index(), stored(query), options)
    report.found(answer, as_json=as_json)


@app.command(epilog="Example: mcp-indexer show io.github.acme/pdf-tools")
def show(
    name: Annotated[str, typer.Argument(help="The server's name; case matters.")],
    version: Annotated[str | None, typer.Option(help="Only this version.")] = None,
    as_of: Annotated[str | None, typer.Option("--as-of", metavar="TIME", help=f"As it was then: {TIME}")] = None,
    as_json: Json = False,
) -> None:
    """An entry of the catalogue, with its versions."""
    known, then = stored(name), None if as_of is None else moment(as_of)
    with wired() as wiring:
        if then is not None:
            runner.catch_up(wiring.database)
        with wiring.database.read() as connection:
            if then is None:
                entry = queries.show(connection, known)
            else:
                entry = past.show(connection, known, past.position_at(connection, then))
            if entry is None and past.listed_ever(connection, known):
                raise NotFound(f"No source had listed {name!r} then; `mcp-indexer history {name}` tells when one did.")
            if entry is None:
                raise unknown(name, queries.similar(connection, known))
    if version is not None:
        entry["versions"] = [one for one in entry["versions"] if one["version"] == version]
        if not entry["versions"]:
            raise NotFound(f"{name} has no version {version!r}; `mcp-indexer show {name}` lists those it has.")
    report.entry(entry, as_json=as_json)


@app.command(epilog="Example: mcp-indexer history io.github.acme/pdf-tools --json")
def history(
    name: Annotated[str, typer.Argument(help="The server's name; case matters.")], as_json: Json = False
) -> None:
    """A server's events, over all sources, in order."""
    with wired() as wiring, wiring.database.read() as connection:
        known = stored(name)
        recorded = list(queries.history(connection, known))
        if not recorded:
            raise unknown(name, queries.similar(connection, known))
    for one in recorded:
        report.event(cloud_event(one), as_json=as_json)


@app.command(epilog="Example: mcp-indexer keys --json")
def keys(as_json: Json = False) -> None:
    """The index's address and a key that can search it and nothing else."""
    with wired() as wiring:
        index = wiring.index()
        report.keys({"url": index.url, "index": index.uid, "search_key": index.search_key()}, as_json=as_json)


@app.command(epilog="Example: mcp-indexer schema document > document.schema.json")
def schema(
    part: Annotated[str | None, typer.Argument(help="document or event; both by default.")] = None,
    as_json: Json = True,  # noqa: ARG001 - there is no other form; the option is every command's
) -> None:
    """The JSON Schema of the document, and of the events."""
    schemas = {"document": document_schema(), "event": event_schema()}
    if part is not None and part not in schemas:
        raise ConfigurationError(f"There is no schema of {part!r}; there are those of document and event.")
    terminal.json_out(schemas if part is None else schemas[part])
