"""Commands about sources and their crawls."""

from typing import Annotated

import typer

from indexer import queries
from indexer.scheduling import pause as pause_source
from schemas.names import SourceName
from workers import source_report, terminal
from workers.approval import approve as approve_source
from workers.checking import check_sources
from workers.crawling import crawl_sources
from workers.shell.parts import FAILED, LARGEST, Json, wired
from workers.sources_file import chosen
from workers.up import run_up

app = typer.Typer()
sources_app = typer.Typer(
    help="The configured sources.", epilog="Example: mcp-indexer sources check", no_args_is_help=True
)
app.add_typer(sources_app, name="sources")


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
        result = crawl_sources(wiring, sources or [], audit=audit, max_pages=max_pages, crawling=terminal.crawling)
        source_report.crawled(result, as_json=as_json)
    raise typer.Exit(result.exit_status)


@app.command(epilog="Example: mcp-indexer crawls official --limit 10")
def crawls(
    source: Annotated[str | None, typer.Argument(help="A source's name; all by default.")] = None,
    limit: Annotated[int, typer.Option(min=1, max=LARGEST, help="At most so many, the last ones.")] = 100,
    as_json: Json = False,
) -> None:
    """Past crawls, in the order in which they began."""
    with wired() as wiring:
        named = chosen(wiring.configured, [] if source is None else [source], all_of_them=True)
        with wiring.database.read() as connection:
            found = queries.past_crawls(connection, [SourceName(one.name) for one in named], limit)
    source_report.past_crawls(found, as_json=as_json)


@app.command(epilog="Example: mcp-indexer pause official")
def pause(source: Annotated[str, typer.Argument(help="The source's name.")]) -> None:
    """No crawls of a source for now; one under way ends at its next page."""
    _set_paused(source, paused=True)
    terminal.say(f"{source} is paused; `mcp-indexer resume {source}` lets it be crawled again.")


@app.command(epilog="Example: mcp-indexer resume official")
def resume(source: Annotated[str, typer.Argument(help="The source's name.")]) -> None:
    """Let a paused source be crawled again, at once where it is due."""
    _set_paused(source, paused=False)
    terminal.say(f"{source} may be crawled again.")


def _set_paused(source: str, *, paused: bool) -> None:
    """Pauses a source, or resumes it. Raises ConfigurationError for a name that is not configured."""
    with wired() as wiring:
        (config,) = chosen(wiring.configured, [source])
        with wiring.database.write() as connection:
            pause_source(connection, SourceName(config.name), paused=paused)


@app.command(epilog="Example: mcp-indexer approve official")
def approve(source: Annotated[str, typer.Argument(help="The source's name.")], as_json: Json = False) -> None:
    """Let the withdrawals of a parked crawl go through."""
    with wired() as wiring:
        approved = approve_source(wiring, source)
    source_report.approved(approved, as_json=as_json)
    if approved.index_error is not None:
        raise typer.Exit(FAILED)


@app.command(epilog="Example: mcp-indexer up --concurrency 2")
def up(
    concurrency: Annotated[int, typer.Option(min=1, max=64, help="How many tasks the worker does at once.")] = 2,
) -> None:
    """Worker, schedule and embedded Meilisearch in one process tree, until interrupted."""
    with wired() as wiring:
        status = run_up(wiring, concurrency)
    raise typer.Exit(status)


@sources_app.command("list", epilog="Example: mcp-indexer sources list")
def sources_list(as_json: Json = False) -> None:
    """What is configured."""
    with wired() as wiring:
        source_report.configured(wiring.configured, as_json=as_json)


@sources_app.command("check", epilog="Example: mcp-indexer sources check official")
def sources_check(
    names: Annotated[
        list[str] | None, typer.Argument(help="Names of sources; all that are enabled by default.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Can each source be reached and read? Records nothing."""
    with wired() as wiring:
        checked = check_sources(wiring, names or [])
    source_report.checked(checked, as_json=as_json)
    if not all(one["ok"] for one in checked):
        raise typer.Exit(FAILED)
