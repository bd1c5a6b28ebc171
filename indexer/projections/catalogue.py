"""The catalogue: every version as its source last showed it, and every server, merged.

A build is one filling of the catalogue's tables. One build is live; another may be filled beside it. Rows are derived
from events alone, so any batching of the log gives the same rows, and a build from the beginning equals the one that
grew.

What the rows hold before some events is read first, and what they hold after them is derived in memory (`changes`);
then it is written (`apply`). So whoever writes keeps others from writing for as short as can be, and nothing that was
just written is read back.
"""

import hashlib
import importlib.metadata
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import orjson
from sqlalchemy import Connection, select

import indexer
import schemas
from indexer.documents import document
from indexer.entry import SourceRules, merge
from indexer.lint.rules import differs_by_case
from indexer.projections.rows import (
    ENTRIES,
    LISTINGS,
    NAMES_AT_ONCE,
    SOURCES,
    VERSIONS,
    chunks,
    names_folded,
    names_listed,
    read_versions,
    records_of,
    versions_at,
    versions_of,
)
from indexer.sql import Row, insert_missing_whole, upsert_whole
from indexer.verdict import Problem
from indexer.versions import Place, Version, all_problems, fold, place, without_record
from schemas.events import DecisionRedacted, ListingEvent, Recorded, SourceConfigured, SourceRemoved, WithRecord
from schemas.names import Digest, ListingKey, ServerName, SourceName, document_id

RULES = (
    *("clock", "documents", "entry", "latest", "projections/catalogue", "projections/rows"),
    *("text", "verdict", "versions"),
    *(f"lint/{name}" for name in ("rule", "rules", "links", "naming", "packages", "prose", "remotes")),
)
SHARED_RULES = ("about", "definition", "documents", "events", "names", "server")
"""The modules of `indexer` and of `schemas` by which rows are derived: where one changes, the catalogue is rebuilt."""


@cache
def fingerprint() -> str:
    """What the catalogue's rows depend on besides the log: the code of its rules, and the validator's version."""
    hashed = hashlib.sha256(importlib.metadata.version("jsonschema-rs").encode())
    for package, names in ((indexer, RULES), (schemas, SHARED_RULES)):
        for name in names:
            hashed.update((Path(package.__path__[0]) / f"{name}.py").read_bytes())
    return hashed.hexdigest()[:32]


_Listed = tuple[ServerName, SourceName, ListingKey]
"""A name, and a listing that has it."""


@dataclass(frozen=True, slots=True)
class _News:
    """What some events bring: the versions that they touch, after them, by place and by name; their raw records; the
    names that their listings have now; and the names to derive, each with the last position that touches it, and with
    those that differ from it by case only.
    """

    after: Mapping[Place, Version]
    by_name: Mapping[ServerName, Sequence[Version]]
    records: Mapping[Digest, Any]
    listed: Collection[_Listed]
    touched: Mapping[ServerName, int]
    variants: Mapping[str, set[ServerName]]


@dataclass(frozen=True, slots=True)
class Changes:
    """What some events make of a build: the rows of its tables, and the sources that are configured otherwise now: all
    their entries are derived anew, with the last positions that `touched` them, where these are written.
    """

    sources: list[Row]
    versions: list[Row]
    listings: list[Row]
    entries: list[Row]
    reconfigured: list[SourceName]
    touched: Mapping[ServerName, int]


def changes(connection: Connection, build: int, events: Sequence[Recorded]) -> Changes:
    """What the next events of the log make of a build. Writes nothing."""
    configured = _configured(connection, build, events)
    rules = read_rules(connection, build) | {source: _rules(*said) for source, said in configured.items()}
    news = _news(connection, build, events)
    entries: list[Row] = []
    for names in chunks(news.touched, NAMES_AT_ONCE):
        entries += _derived(connection, build, names, rules, news)
    return Changes(
        sources=[(build, source, at, orjson.dumps(said).decode()) for source, (at, said) in configured.items()],
        versions=[(build, *version) for version in news.after.values()],
        listings=[(build, *one) for one in news.listed],
        entries=entries,
        reconfigured=list(configured),
        touched=news.touched if configured else {},
    )


def apply(connection: Connection, build: int, found: Changes) -> None:
    """Brings a build over the events that changes were made of, in the caller's transaction. It has to be as it was
    then.
    """
    upsert_whole(connection, SOURCES, found.sources)
    upsert_whole(connection, ENTRIES, found.entries)
    upsert_whole(connection, VERSIONS, found.versions)
    insert_missing_whole(connection, LISTINGS, found.listings)
    rules = read_rules(connection, build) if found.reconfigured else {}
    for names in names_listed(connection, build, found.reconfigured):
        nothing_new = _News({}, {}, {}, (), found.touched, _variants(connection, build, names))
        upsert_whole(connection, ENTRIES, _derived(connection, build, names, rules, nothing_new))


def read_rules(connection: Connection, build: int) -> dict[SourceName, SourceRules]:
    """The configured sources, as a build knows them."""
    rows = connection.execute(select(SOURCES).where(SOURCES.c.build == build))
    return {row.source: _rules(row.position, orjson.loads(row.config)) for row in rows}


def _configured(
    connection: Connection, build: int, events: Sequence[Recorded]
) -> dict[SourceName, tuple[int, dict[str, Any]]]:
    """The sources of which something changed that deriving depends on: by which event, and how they are configured."""
    said = [(e.position, e.event) for e in events if isinstance(e.event, SourceConfigured | SourceRemoved)]
    if not said:
        return {}
    rows = connection.execute(
        select(SOURCES).where(SOURCES.c.build == build, SOURCES.c.source.in_({event.source for _, event in said}))
    )
    before = {row.source: (row.position, orjson.loads(row.config)) for row in rows}
    after = dict(before)
    for position, event in said:
        config = _config(event)
        if event.source not in after or after[event.source][1] != config:
            after[event.source] = (position, config)
    return {source: said for source, said in after.items() if said != before.get(source)}


def _news(connection: Connection, build: int, events: Sequence[Recorded]) -> _News:
    """What events bring, given what the rows hold before them."""
    of_listings = [e.event for e in events if isinstance(e.event, ListingEvent)]
    redacted = {e.event.digest for e in events if isinstance(e.event, DecisionRedacted)}
    versions = versions_at(connection, build, {place(event) for event in of_listings})
    versions |= versions_of(connection, build, redacted)
    after: dict[Place, Version] = {}
    named: dict[ServerName, int] = {}
    listed: set[_Listed] = set()
    for recorded in events:
        for where, version in _moved(versions, recorded):
            before = versions.get(where)
            if before is not None:
                named[before.name] = recorded.position
            if before is None or before.name != version.name:
                listed.add((version.name, version.source, version.key))
            named[version.name] = recorded.position
            versions[where] = after[where] = version
    records = {event.digest: event.record for event in of_listings if isinstance(event, WithRecord)}
    variants = _variants(connection, build, named)
    touched = {
        name: max(named.get(one, 0) for one in group) if len(group) > 1 else named[name]
        for group in variants.values()
        for name in group
    }
    by_name: dict[ServerName, list[Version]] = {}
    for version in after.values():
        by_name.setdefault(version.name, []).append(version)
    return _News(after, by_name, records, listed, touched, variants)


def _moved(versions: Mapping[Place, Version], recorded: Recorded) -> list[tuple[Place, Version]]:
    """The versions that an event touches, after it."""
    event = recorded.event
    if isinstance(event, ListingEvent):
        where = place(event)
        version = fold(versions.get(where), recorded)
        return [] if version is None else [(where, version)]
    if isinstance(event, DecisionRedacted):
        blank = [one for one in versions.values() if one.digest == event.digest]
        return [(one.place, without_record(one, recorded.position)) for one in blank]
    return []


def _variants(connection: Connection, build: int, names: Iterable[ServerName]) -> dict[str, set[ServerName]]:
    """Some names and those that differ from them by case only, by what they are without it: each is told of the
    others.
    """
    groups: dict[str, set[ServerName]] = {}
    for name in names:
        groups.setdefault(name.casefold(), set()).add(name)
    for name, folded in names_folded(connection, build, groups):
        groups[folded].add(name)
    return groups


def _derived(
    connection: Connection,
    build: int,
    names: Sequence[ServerName],
    rules: Mapping[SourceName, SourceRules],
    news: _News,
) -> list[Row]:
    """The rows of some servers, merged anew."""
    entries = [merge(name, held, rules) for name, held in _held(connection, build, names, news).items()]
    chosen = [entry.latest for entry in entries if entry.latest is not None]
    records = records_of(connection, {latest.record_id for latest in chosen if latest.digest not in news.records})
    rows: list[Row] = []
    for entry in entries:
        latest, position = entry.latest, max(entry.position, news.touched.get(entry.name, 0))
        folded, kept, shown = entry.name.casefold(), None, None
        if latest is not None:
            kept, record = latest.record_id, news.records.get(latest.digest) or records.get(latest.record_id)
            problems = (*all_problems(record, valid=latest.valid), *_told_of(news.variants[folded] - {entry.name}))
            shown = orjson.dumps(document(entry._replace(position=position), record, problems)).decode()
        rows.append((build, document_id(entry.name), entry.name, folded, position, kept, shown))
    return rows


def _held(
    connection: Connection, build: int, names: Sequence[ServerName], news: _News
) -> dict[ServerName, list[Version]]:
    """All versions of some servers after the news."""
    held = read_versions(connection, build, names)
    return {
        name: [
            *(version for version in held[name] if version.place not in news.after),
            *news.by_name.get(name, ()),
        ]
        for name in names
    }


def _told_of(variants: Collection[ServerName]) -> tuple[Problem, ...]:
    return (differs_by_case(variants),) if variants else ()


def _config(event: SourceConfigured | SourceRemoved) -> dict[str, Any]:
    if isinstance(event, SourceConfigured):
        return {
            "trust": event.trust,
            "include": list(event.include),
            "exclude": list(event.exclude),
            "enabled": event.enabled,
        }
    return {"trust": 0, "include": [], "exclude": [], "enabled": False}


def _rules(position: int, config: dict[str, Any]) -> SourceRules:
    return SourceRules(
        position=position,
        trust=config["trust"],
        include=tuple(config["include"]),
        exclude=tuple(config["exclude"]),
        enabled=config["enabled"],
    )
