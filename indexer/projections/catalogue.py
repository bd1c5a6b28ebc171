"""The catalogue: every version as its source last showed it, and every server, merged.

A build is one filling of the catalogue's tables. One build is live; another may be filled beside it. Rows are derived
from events alone, so any batching of the log gives the same rows, and a build from the beginning equals the one that
grew.
"""

import hashlib
import importlib.metadata
import json
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any, TypeVar

import orjson
from sqlalchemy import Column, Connection, Select, bindparam, delete, literal, select

import indexer
import schemas
from indexer.documents import document
from indexer.entry import SourceRules, merge
from indexer.lint.rules import differs_by_case
from indexer.sql import among, given, upsert
from indexer.store import RECORDS
from indexer.tables import CatalogueEntryRow, CatalogueSourceRow, CatalogueVersionRow, table
from indexer.text import read_json
from indexer.versions import FIELDS, Place, Version, fold, place, problems_text
from schemas.events import ListingEvent, Recorded, SourceConfigured, SourceRemoved, WithRecord
from schemas.names import Digest, ServerName, SourceName, document_id

SOURCES, VERSIONS, ENTRIES = table(CatalogueSourceRow), table(CatalogueVersionRow), table(CatalogueEntryRow)
NAMES_AT_ONCE = 200

_T = TypeVar("_T")

_RULES = (
    *("documents", "entry", "latest", "listing", "projections/catalogue", "text", "verdict", "versions"),
    *(f"lint/{name}" for name in ("rule", "rules", "links", "naming", "packages", "prose", "remotes")),
)
_SHARED_RULES = ("about", "definition", "documents", "events", "names", "server")
_VERSION_COLUMNS = [VERSIONS.c[name] for name in FIELDS]
_WITHOUT_PROBLEMS = [literal("[]") if name == "problems" else VERSIONS.c[name] for name in FIELDS]


@cache
def fingerprint() -> str:
    """What the catalogue's rows depend on besides the log: the code of its rules, and the validator's version."""
    hashed = hashlib.sha256(importlib.metadata.version("jsonschema-rs").encode())
    for package, names in ((indexer, _RULES), (schemas, _SHARED_RULES)):
        for name in names:
            hashed.update((Path(package.__path__[0]) / f"{name}.py").read_bytes())
    return hashed.hexdigest()[:32]


def apply(connection: Connection, build: int, events: Sequence[Recorded]) -> None:
    """Brings a build over the next events of the log, in the caller's transaction."""
    moved = _apply_sources(connection, build, events)
    rows, named = _apply_listings(connection, build, events)
    touched = _with_variants(connection, build, named)
    upsert(connection, VERSIONS, [{"build": build, **row.row()} for row in rows.values()])
    rules = read_rules(connection, build)
    known = {e.event.digest: e.event.record for e in events if isinstance(e.event, WithRecord)}
    for names in chunks(touched, NAMES_AT_ONCE):
        _derive(connection, build, names, touched, rules, known)
    for names in _names_of(connection, build, moved):
        _derive(connection, build, names, touched, rules, known)


def clear(connection: Connection, keep: Iterable[int]) -> None:
    """Drops every build but those to keep."""
    for rows in (SOURCES, VERSIONS, ENTRIES):
        connection.execute(delete(rows).where(rows.c.build.not_in(list(keep))))


def digest(connection: Connection, build: int) -> tuple[int, str]:
    """How many entries a build has, and a digest of them and of the versions that they were made of."""
    hashed = hashlib.sha256()
    versions = select(*_VERSION_COLUMNS).where(VERSIONS.c.build == build)
    entries = select(ENTRIES.c.id, ENTRIES.c.name, ENTRIES.c.position, ENTRIES.c.digest, ENTRIES.c.document)
    count = 0
    for row in _stream(connection, versions.order_by(VERSIONS.c.source, VERSIONS.c.key, VERSIONS.c.slot)):
        hashed.update(repr(tuple(row)).encode())
    for row in _stream(connection, entries.where(ENTRIES.c.build == build).order_by(ENTRIES.c.id)):
        hashed.update(repr(tuple(row)).encode())
        count += row.document is not None
    return count, hashed.hexdigest()


def read_rules(connection: Connection, build: int) -> dict[SourceName, SourceRules]:
    """The configured sources, as a build knows them."""
    rows = connection.execute(select(SOURCES).where(SOURCES.c.build == build))
    return {row.source: _rules(row.position, json.loads(row.config)) for row in rows}


def read_versions(
    connection: Connection, build: int, names: Sequence[ServerName], *, with_problems: bool = True
) -> dict[ServerName, list[Version]]:
    """Every version that any source ever showed of some servers; of thousands, better without their problems."""
    dialect = connection.dialect.name
    found: dict[ServerName, list[Version]] = {name: [] for name in names}
    query = _versions_named(dialect, with_problems=with_problems)
    for row in connection.execute(query, {"of": build, **given("names", [(name,) for name in names])}):
        version = Version(*row)
        found[version.name].append(version)
    return found


@cache
def _versions_named(dialect: str, *, with_problems: bool) -> Select[Any]:
    columns = _VERSION_COLUMNS if with_problems else _WITHOUT_PROBLEMS
    return select(*columns).where(VERSIONS.c.build == bindparam("of"), among(dialect, "names", VERSIONS.c.name))


@cache
def _versions_at(dialect: str, *columns: Column[Any]) -> Select[Any]:
    places = among(dialect, "places", VERSIONS.c.source, VERSIONS.c.key, VERSIONS.c.slot)
    return select(*columns).where(VERSIONS.c.build == bindparam("of"), places)


@cache
def _names_folded(dialect: str) -> Select[Any]:
    query = select(ENTRIES.c.name, ENTRIES.c.folded)
    return query.where(ENTRIES.c.build == bindparam("of"), among(dialect, "folded", ENTRIES.c.folded))


@cache
def _records_of(dialect: str) -> Select[Any]:
    return select(RECORDS).where(among(dialect, "digests", RECORDS.c.digest))


def chunks(values: Iterable[_T], size: int) -> Iterator[list[_T]]:
    """The values in lists of at most `size`."""
    chunk: list[_T] = []
    for value in values:
        chunk.append(value)
        if len(chunk) == size:
            yield chunk
            chunk = []
    if chunk:
        yield chunk


def _apply_sources(connection: Connection, build: int, events: Sequence[Recorded]) -> list[SourceName]:
    """Keeps how sources are configured; gives those of which something that deriving depends on changed."""
    said = [(e.position, e.event) for e in events if isinstance(e.event, SourceConfigured | SourceRemoved)]
    if not said:
        return []
    rows = connection.execute(
        select(SOURCES).where(SOURCES.c.build == build, SOURCES.c.source.in_({event.source for _, event in said}))
    )
    before = {row.source: (row.position, json.loads(row.config)) for row in rows}
    after = dict(before)
    for position, event in said:
        config = _config(event)
        if event.source not in after or after[event.source][1] != config:
            after[event.source] = (position, config)
    changed = [source for source in after if after[source] != before.get(source)]
    upsert(
        connection,
        SOURCES,
        [
            {"build": build, "source": source, "position": after[source][0], "config": json.dumps(after[source][1])}
            for source in changed
        ],
    )
    return changed


def _apply_listings(
    connection: Connection, build: int, events: Sequence[Recorded]
) -> tuple[dict[Place, Version], dict[ServerName, int]]:
    """The versions that events touch, after them, and the names that they touch, each with the last position."""
    of_listings = [(e, e.event) for e in events if isinstance(e.event, ListingEvent)]
    places = list({place(event) for _, event in of_listings})
    versions: dict[Place, Version] = {}
    dialect = connection.dialect.name
    query = _versions_at(dialect, *_VERSION_COLUMNS)
    for row in connection.execute(query, {"of": build, **given("places", places)}):
        version = Version(*row)
        versions[version.place] = version
    touched: dict[ServerName, int] = {}
    for recorded, event in of_listings:
        where = place(event)
        before = versions.get(where)
        after = fold(before, recorded)
        for touching in (before, after):
            if touching is not None:
                touched[touching.name] = recorded.position
        if after is not None:
            versions[where] = after
    return versions, touched


def _with_variants(connection: Connection, build: int, touched: dict[ServerName, int]) -> dict[ServerName, int]:
    """What is touched touches the names that differ by case only, too: each is told of the other."""
    groups: dict[str, dict[ServerName, int]] = {}
    for name, position in touched.items():
        groups.setdefault(name.casefold(), {})[name] = position
    for name, folded in _folded(connection, build, groups):
        groups[folded].setdefault(name, 0)
    return {name: max(group.values()) for group in groups.values() for name in group}


def _variants(
    connection: Connection, build: int, names: Sequence[ServerName], touched: Iterable[ServerName]
) -> dict[ServerName, set[ServerName]]:
    """The other names that differ from some names by case only, where there are any."""
    groups: dict[str, set[ServerName]] = {name.casefold(): set() for name in names}
    for name, folded in _folded(connection, build, groups):
        groups[folded].add(name)
    for name in touched:
        if (folded := name.casefold()) in groups:
            groups[folded].add(name)
    return {name: groups[name.casefold()] - {name} for name in names}


def _folded(connection: Connection, build: int, folded: Collection[str]) -> list[tuple[ServerName, str]]:
    if not folded:
        return []
    wanted = {"of": build, **given("folded", [(one,) for one in folded])}
    return [(name, one) for name, one in connection.execute(_names_folded(connection.dialect.name), wanted)]


def _derive(
    connection: Connection,
    build: int,
    names: Sequence[ServerName],
    touched: dict[ServerName, int],
    rules: dict[SourceName, SourceRules],
    known: dict[Digest, Any],
) -> None:
    """Merges some servers anew. `known` holds records that are at hand already."""
    held = read_versions(connection, build, names, with_problems=False)
    variants = _variants(connection, build, names, touched)
    entries = [merge(name, held[name], rules) for name in names]
    chosen = [entry.latest for entry in entries if entry.latest is not None]
    problems = _problems(connection, build, [latest.place for latest in chosen])
    records = _records(connection, {latest.digest for latest in chosen}, known)
    rows = []
    for entry in entries:
        latest, position = entry.latest, max(entry.position, touched.get(entry.name, 0))
        shown = None
        if latest is not None:
            told = _told_of(problems[latest.place], variants[entry.name])
            judged = replace(entry, position=position, latest=latest._replace(problems=told))
            shown = orjson.dumps(document(judged, records.get(latest.digest))).decode()
        rows.append(
            {
                "build": build,
                "id": document_id(entry.name),
                "name": entry.name,
                "folded": entry.name.casefold(),
                "position": position,
                "digest": None if latest is None else latest.digest,
                "document": shown,
            }
        )
    upsert(connection, ENTRIES, rows)


def _told_of(problems: str, variants: set[ServerName]) -> str:
    if not variants:
        return problems
    return json.dumps([*json.loads(problems), *json.loads(problems_text([differs_by_case(variants)]))])


def _problems(connection: Connection, build: int, places: Sequence[Place]) -> dict[Place, str]:
    """The problems of some versions, as JSON text."""
    dialect = connection.dialect.name
    query = _versions_at(dialect, VERSIONS.c.source, VERSIONS.c.key, VERSIONS.c.slot, VERSIONS.c.problems)
    found = connection.execute(query, {"of": build, **given("places", places)})
    return {(source, key, in_slot): problems for source, key, in_slot, problems in found}


def _records(connection: Connection, digests: set[Digest], known: dict[Digest, Any]) -> dict[Digest, Any]:
    found = {digest: known[digest] for digest in digests if digest in known}
    missing = [(digest,) for digest in digests - found.keys()]
    if missing:
        dialect = connection.dialect.name
        rows = connection.execute(_records_of(dialect), given("digests", missing))
        found.update((row.digest, read_json(row.text)) for row in rows)
    return found


def _names_of(connection: Connection, build: int, sources: list[SourceName]) -> Iterator[list[ServerName]]:
    """The names that some sources list, in pages."""
    last = ""
    while sources:
        query = (
            select(VERSIONS.c.name)
            .where(VERSIONS.c.build == build, VERSIONS.c.source.in_(sources), VERSIONS.c.name > last)
            .distinct()
            .order_by(VERSIONS.c.name)
            .limit(NAMES_AT_ONCE)
        )
        names = [ServerName(name) for name in connection.scalars(query)]
        if not names:
            return
        yield names
        last = names[-1]


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


def _stream(connection: Connection, query: Any) -> Iterator[Any]:
    with connection.execute(query.execution_options(yield_per=1_000)) as rows:
        yield from rows
