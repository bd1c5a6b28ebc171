"""What the commands print of sources and their crawls: data on stdout, as JSON or for people; sentences on stderr."""

from datetime import timedelta
from typing import Any

from schemas.events import Recorded, RecordQuarantined, rfc3339
from workers.approval import Approved
from workers.crawling import Crawled
from workers.kinds import KINDS
from workers.outcome import Outcome
from workers.sources_file import SourceConfig, interval_text
from workers.terminal import json_out, line, say, table

Json = dict[str, Any]
SHOWN_OF_QUARANTINED = 200
"""Characters of a record in quarantine that people are shown; with --json they get what the log keeps."""
_INTERVALS = ("every", "slowest", "audit_every")
CLOCKS_APART_SECONDS = 300
"""A source's clock that is further from ours than that is told of."""


def past_crawls(crawls: list[Json], *, as_json: bool) -> None:
    """Past crawls, one a line."""
    if as_json:
        for crawl in crawls:
            json_out(crawl)
        return
    columns = ["started_at", "source", "mode", "status", "pages", "requests", "observed", "new", "changed"]
    columns += ["status_changed", "unchanged", "missed", "seconds", "error"]
    table(columns, [[crawl[column] for column in columns] for crawl in crawls])


def quarantined(recorded: Recorded, *, as_json: bool) -> None:
    """A record that could not be identified: the reason, its size in bytes, and its first 64 KiB as ASCII JSON."""
    event = recorded.event
    assert isinstance(event, RecordQuarantined)
    if as_json:
        where = {"position": recorded.position, "recorded_at": rfc3339(recorded.recorded_at)}
        json_out({"source": event.source, **where, **event.model_dump(include={"digest", "reason", "size", "text"})})
        return
    shown = event.text if len(event.text) <= SHOWN_OF_QUARANTINED else f"{event.text[:SHOWN_OF_QUARANTINED]}…"
    line(f"{recorded.position:>8}", event.source, event.digest[:12], f"{event.reason}:", shown)


def crawled(result: Crawled, *, as_json: bool) -> None:
    """The summary of `crawl`."""
    for crawl in result.crawls:
        if crawl.error is not None:
            say(crawl.error)
        if crawl.status == "parked":
            say(_parked(crawl.source, crawl.candidates, needs_approval=crawl.needs_approval))
    if result.index_error is not None:
        say(result.index_error)
    if result.exchange_error is not None:
        say(result.exchange_error)
    if result.interrupted:
        say("Interrupted; what was recorded is kept, and the next crawl goes on from there.")
    if as_json:
        index = {"uid": result.index_uid, "documents": result.documents, "lag": result.lag}
        json_out(
            {"crawls": [crawl_json(one) for one in result.crawls], "log": {"position": result.position}, "index": index}
        )
        return
    rows = [crawl_json(one) for one in result.crawls]
    seldom = ("status_changed", "returned", "withdrawn", "missed", "silent")
    columns = ["source", "mode", "status", "pages", "observed", "new", "changed"]
    columns += [name for name in seldom if any(row.get(name) for row in rows)]
    columns += ["unchanged", "invalid", "quarantined", "seconds"]
    table(columns, [[row[column] for column in columns] for row in rows])
    held = "an unknown number of" if result.documents is None else result.documents
    line(f"log at {result.position}, index {result.index_uid!r} holds {held} documents, lag {result.lag}")


def approved(result: Approved, *, as_json: bool) -> None:
    """What `approve` came to."""
    if result.index_error is not None:
        say(result.index_error)
    if as_json:
        json_out({"source": result.source, "withdrawn": result.withdrawn})
    else:
        line(f"{result.source}: {result.withdrawn} versions withdrawn")


def _parked(source: str, candidates: int, *, needs_approval: bool) -> str:
    """What a person has to know of a parked crawl."""
    until = "until you approve" if needs_approval else "until the next complete walk does not see them either"
    return (
        f"{source}: {candidates} versions were not seen any more, too many to believe at once; they stay {until}. Look "
        f"at the source; `mcp-indexer approve {source}` withdraws them now."
    )


def crawl_json(crawl: Outcome) -> Json:
    """A crawl as `crawl --json` has it."""
    found: Json = {"source": crawl.source, "mode": crawl.mode, "status": crawl.status, **crawl.counts.model_dump()}
    found |= {"missed": crawl.missed, "silent": crawl.silent, "seconds": round(crawl.seconds, 3)}
    return found if crawl.error is None else {**found, "error": crawl.error}


def standing(status: Json, *, as_json: bool) -> None:
    """Where everything stands."""
    if as_json:
        json_out(status)
        return
    columns = ["name", "kind", "state", "last_completed", "next_due", "listings", "versions", "invalid", "quarantined"]
    columns += ["due_because"]
    rows = [source if source["enabled"] else {**source, "state": "disabled"} for source in status["sources"]]
    table(columns, [[row[column] for column in columns] for row in rows])
    for source in status["sources"]:
        if source["holder"]:
            line(f"{source['name']}: being crawled by {source['holder']}")
        if source["error"]:
            line(f"{source['name']}: {source['error']}")
        if source["parked"]:
            parked = source["parked"]
            line(_parked(source["name"], parked["candidates"], needs_approval=parked["needs_approval"]))
        if abs(source["clock_ahead_seconds"] or 0) > CLOCKS_APART_SECONDS:
            line(f"{source['name']}: its clock and ours are {abs(source['clock_ahead_seconds']):.0f} seconds apart")
        if source["last_audit"] and source["last_audit"]["missed"]:
            line(f"{source['name']}: the last audit found {source['last_audit']['missed']} changes that were missed")
    for one in status["projections"]:
        line(f"{one['name']}: checkpoint {one['checkpoint']} of {status['log']['position']}, lag {one['lag']}")
    index = status["index"]
    line(index["error"] or f"index {index['uid']!r} at {index['url']}: {index['documents']} documents")


def configured(sources: list[SourceConfig], *, as_json: bool) -> None:
    """The configured sources."""
    rows = [
        {
            **one.model_dump(mode="json", exclude={"options", *_INTERVALS}),
            **{name: _seconds(getattr(one, name)) for name in _INTERVALS},
            "options": one.options,
            "licence": KINDS[one.kind].licence,
        }
        for one in sources
    ]
    if as_json:
        for row in rows:
            json_out(row)
        return
    columns = ["name", "kind", "url", "every", "audit_every", "trust", "enabled", "licence"]
    for row, one in zip(rows, sources, strict=True):
        row |= {"every": interval_text(one.every), "audit_every": interval_text(one.audit_every)}
    table(columns, [[row[column] for column in columns] for row in rows])


def _seconds(time: timedelta | None) -> float | None:
    return None if time is None else time.total_seconds()


def checked(results: list[Json], *, as_json: bool) -> None:
    """Whether sources can be reached and read."""
    for one in results:
        if as_json:
            json_out(one)
        elif one["ok"]:
            line(f"{one['name']}: reached and read, {one['records']} records on its first page")
        else:
            say(f"{one['name']}: {one['error']}")
