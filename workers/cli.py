"""The commands. Each is a few calls of what the rest of the project does; what it prints is in `workers.report`.

Data goes to stdout, everything else to stderr. Exit status: 0 done; 1 failed; 2 wrong usage or configuration; 3 done,
but something needs a person; 130 interrupted.
"""

import importlib.metadata
import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, NoReturn

import typer

from indexer import queries
from indexer.errors import ConfigurationError, Interrupted, McpIndexerError, NotFound
from indexer.projections import documents, runner
from indexer.quarantine import waiting
from indexer.store import read_all
from indexer.verify import repair as mend
from indexer.verify import verify as check
from schemas.documents import document_schema
from schemas.events import cloud_event, event_schema
from schemas.names import ServerName, SourceName, storable
from workers import report
from workers.client import spare_loopback
from workers.commands import check_sources, chosen, crawl_sources, pause_source, search_index
from workers.doctor import examine
from workers.reexamination import reexamine
from workers.settings import read_settings
from workers.standing import status_of
from workers.up import run_up
from workers.wiring import Wiring

FAILED, USAGE, ATTENTION, INTERRUPTED = 1, 2, 3, 130

app = typer.Typer(
    name="mcp-indexer",
    help="Watches the places where MCP servers are listed and feeds one search index.",
    epilog="Example: mcp-indexer crawl && mcp-indexer search pdf",
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
sources_app = typer.Typer(
    help="The configured sources.", epilog="Example: mcp-indexer sources check", no_args_is_help=True
)
app.add_typer(sources_app, name="sources")

Json = Annotated[bool, typer.Option("--json", help="Print JSON and nothing else on stdout.")]


@contextmanager
def wired() -> Iterator[Wiring]:
    """The parts that a command works with, closed when it ends."""
    wiring = Wiring(read_settings(), report.say)
    try:
        yield wiring
    except KeyboardInterrupt as error:
        raise Interrupted("Interrupted; what was recorded is kept, and the same command goes on from there.") from error
    finally:
        wiring.close()


@app.command(epilog="Example: mcp-indexer crawl official --max-pages 10")
def crawl(
    sources: Annotated[
        list[str] | None, typer.Argument(help="Names of sources; all that are enabled by default.")
    ] = None,
    audit: Annotated[bool, typer.Option("--audit", help="Walk everything, whatever the schedule says.")] = False,
    max_pages: Annotated[
        int | None, typer.Option(min=1, help="Stop after so many pages; the next crawl goes on.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Crawl now, through to the index."""
    with wired() as wiring:
        result = crawl_sources(wiring, sources or [], audit=audit, max_pages=max_pages, crawling=report.crawling)
        report.crawled(result, as_json=as_json)
    raise typer.Exit(result.exit_status)


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
        answer = search_index(wiring.index(), query, options)
    report.found(answer, as_json=as_json)


@app.command(epilog="Example: mcp-indexer show io.github.acme/pdf-tools")
def show(
    name: Annotated[str, typer.Argument(help="The server's name; case matters.")],
    version: Annotated[str | None, typer.Option(help="Only this version.")] = None,
    as_json: Json = False,
) -> None:
    """An entry of the catalogue, with its versions."""
    with wired() as wiring, wiring.database.read() as connection:
        known = _stored(name)
        entry = queries.show(connection, known)
        if entry is None:
            raise _unknown(name, queries.similar(connection, known))
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
        known = _stored(name)
        recorded = list(queries.history(connection, known))
        if not recorded:
            raise _unknown(name, queries.similar(connection, known))
    for one in recorded:
        report.event(cloud_event(one), as_json=as_json)


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


def _version(wanted: bool) -> None:
    if wanted:
        report.line("mcp-indexer", importlib.metadata.version("mcp-indexer"))
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: mcp-indexer status --fail-on-stale")
def status(
    fail_on_stale: Annotated[
        bool, typer.Option("--fail-on-stale", help="Exit with 3 where a source is stale, failing or was never crawled.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Where every source and every projection stands."""
    with wired() as wiring:
        found = status_of(wiring)
        report.standing(found, as_json=as_json)
    if fail_on_stale and any(one["state"] in ("stale", "failing", "never") for one in found["sources"]):
        raise typer.Exit(ATTENTION)


@sources_app.command("list", epilog="Example: mcp-indexer sources list")
def sources_list(as_json: Json = False) -> None:
    """What is configured."""
    with wired() as wiring:
        report.configured(wiring.sources, as_json=as_json)


@sources_app.command("check", epilog="Example: mcp-indexer sources check official")
def sources_check(
    names: Annotated[list[str] | None, typer.Argument(help="Names of sources; all by default.")] = None,
    as_json: Json = False,
) -> None:
    """Can each source be reached and read? Records nothing."""
    with wired() as wiring:
        checked = check_sources(wiring, names or [])
    report.checked(checked, as_json=as_json)
    if not all(one["ok"] for one in checked):
        raise typer.Exit(FAILED)


@app.command(epilog="Example: mcp-indexer crawls official --limit 10")
def crawls(
    source: Annotated[str | None, typer.Argument(help="A source's name; all by default.")] = None,
    limit: Annotated[int, typer.Option(min=1, help="At most so many, the last ones.")] = 100,
    as_json: Json = False,
) -> None:
    """Past crawls, in the order in which they began."""
    with wired() as wiring:
        named = chosen(wiring.sources, [] if source is None else [source], all_of_them=True)
        with wiring.database.read() as connection:
            found = queries.past_crawls(connection, [SourceName(one.name) for one in named], limit)
    report.past_crawls(found, as_json=as_json)


@app.command(epilog="Example: mcp-indexer pause official")
def pause(source: Annotated[str, typer.Argument(help="The source's name.")]) -> None:
    """No crawls of a source for now; one under way ends at its next page."""
    with wired() as wiring:
        pause_source(wiring, source, paused=True)
    report.say(f"{source} is paused; `mcp-indexer resume {source}` lets it be crawled again.")


@app.command(epilog="Example: mcp-indexer resume official")
def resume(source: Annotated[str, typer.Argument(help="The source's name.")]) -> None:
    """Let a paused source be crawled again, at once where it is due."""
    with wired() as wiring:
        pause_source(wiring, source, paused=False)
    report.say(f"{source} may be crawled again.")


@app.command(epilog="Example: mcp-indexer up --concurrency 2")
def up(
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="How many tasks the worker does at once.")] = 2,
) -> None:
    """Worker, schedule and embedded Meilisearch in one process tree, until interrupted."""
    with wired() as wiring:
        status = run_up(wiring, concurrency)
    raise typer.Exit(status)


@app.command(epilog="Example: mcp-indexer quarantine official --json")
def quarantine(
    source: Annotated[str | None, typer.Argument(help="A source's name; all by default.")] = None, as_json: Json = False
) -> None:
    """Records that could not be identified, with reasons."""
    with wired() as wiring:
        named = None if source is None else SourceName(chosen(wiring.sources, [source])[0].name)
        with wiring.database.read() as connection:
            for one in waiting(connection, named):
                report.quarantined(one, as_json=as_json)


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
            runner.rebuild(wiring.database, report.progress("catalogue"))
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
    report.json_out(schemas if part is None else schemas[part])


@app.command(epilog="Example: mcp-indexer doctor")
def doctor(as_json: Json = False) -> None:
    """Every part: reachable, version, settings; what to do where not."""
    with wired() as wiring:
        parts = examine(wiring)
    report.examined(parts, as_json=as_json)
    if not all(part["ok"] for part in parts):
        raise typer.Exit(FAILED)


def main() -> None:
    """Runs a command; what was foreseen ends as one sentence on stderr and an exit status."""
    signal.signal(signal.SIGTERM, _terminated)
    spare_loopback()
    try:
        app(prog_name="mcp-indexer")
    except ConfigurationError as error:
        _end(error, USAGE)
    except Interrupted as error:
        _end(error, INTERRUPTED)
    except McpIndexerError as error:
        _end(error, FAILED)


def _end(error: McpIndexerError, exit_status: int) -> NoReturn:
    report.say(str(error))
    sys.exit(exit_status)


def _terminated(*_: object) -> None:
    raise KeyboardInterrupt


def _stored(name: str) -> ServerName:
    """A name as the log and the index have it, in whose escapes (see `storable`) it may be given already."""
    return ServerName("\u241b".join(map(storable, name.split("\u241b"))))


def _unknown(name: str, similar: list[str]) -> NotFound:
    meant = f" Did you mean {', '.join(similar)}?" if similar else " `mcp-indexer search` finds names by words."
    return NotFound(f"No source ever listed a server named {name!r}.{meant}")


if __name__ == "__main__":
    main()
