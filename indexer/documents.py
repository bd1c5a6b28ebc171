"""An entry as the document that the index holds. Pure."""

import re
from collections.abc import Sequence
from typing import Any
from urllib.parse import urlsplit

import orjson

from indexer.entry import Entry
from indexer.verdict import Problem
from schemas.documents import EntryDocument, IconDocument, PackageDocument, RemoteDocument, RepositoryDocument
from schemas.names import displayable, document_id
from schemas.server import Server, read_server

_WORDS = re.compile(r"[^\W_]+")
_PLAIN = re.compile(r"https?://([a-z0-9.-]+)(?:[/?#]|\Z)")
_HOSTING = ("io.github.", "io.gitlab.", "com.github.", "com.gitlab.")


def document(entry: Entry, record: Any, problems: Sequence[Problem]) -> EntryDocument:
    """The document of an entry but for `server_json`, given the raw record of its latest version and what is said
    against it.
    """
    latest = entry.latest
    assert latest is not None, "an entry without a listed version has no document"
    server = read_server(record)
    namespace, _, label = entry.name.rpartition("/")
    identifiers = distinct([package.identifier for package in server.packages])
    transports = [one.transport for one in server.packages] + [one.type for one in server.remotes]
    return {
        "id": document_id(entry.name),
        "name": entry.name,
        "namespace": namespace,
        "label": words(label),
        "publisher": publisher(namespace),
        "title": shown(server.title),
        "description": shown(server.description),
        "version": latest.version,
        "version_count": entry.version_count,
        "status": latest.status,
        "status_message": latest.status_message,
        "website_url": shown(server.website_url),
        "repository": _repository(server),
        "icons": _icons(server),
        "packages": _packages(server),
        "remotes": _remotes(server),
        "registry_types": distinct([package.registry_type for package in server.packages]),
        "transports": distinct(transports),
        "package_identifiers": identifiers,
        "remote_hosts": distinct([host(remote.url) for remote in server.remotes]),
        "requires_secrets": any(package.requires_secrets for package in server.packages)
        or any(remote.requires_secrets for remote in server.remotes),
        "has_remote": bool(server.remotes),
        "has_package": bool(server.packages),
        "sources": list(entry.sources),
        "source_count": len(entry.sources),
        "aliases": [],
        "valid": latest.valid,
        "problems": list(dict.fromkeys([problem.rule for problem in problems])),
        "problem_count": len(problems),
        "topics": [],
        "license": None,
        "stars": None,
        "archived": None,
        "pushed_at": None,
        "published_at": seconds(latest.published_at),
        "updated_at": seconds(latest.updated_at),
        "first_seen_at": entry.first_seen_at // 1_000_000,
        "position": entry.position,
    }


def with_server_json(document_text: str, record_text: str | None) -> str:
    """A whole document as JSON text, from the text of its other fields and the record that the log keeps (None where
    it was lost).
    """
    return f'{document_text[:-1]},"server_json":{orjson.dumps((record_text or "null").strip()).decode()}}}'


def words(text: str) -> str:
    """The words of a name's part, as people search for them: pdf-tools is pdf tools."""
    return " ".join(_WORDS.findall(text))


def publisher(namespace: str) -> str:
    """The owner of a namespace: io.github.acme is acme, com.example.tools is example tools."""
    if namespace.lower().startswith(_HOSTING):
        return words(namespace.split(".", 2)[2])
    _, _, owner = namespace.partition(".")
    return words(owner or namespace)


def host(url: str | None) -> str | None:
    """The host of an address, in lower case; None where there is none to be read."""
    if url is None:
        return None
    if plain := _PLAIN.match(url):  # most are, and urlsplit takes ten times as long
        return plain[1]
    try:
        return urlsplit(url).hostname
    except ValueError:
        return None


def seconds(micros: int | None) -> int | None:
    """Microseconds as Unix seconds."""
    return None if micros is None else micros // 1_000_000


def shown(text: str | None) -> str | None:
    """Upstream's text as the index can hold it."""
    return None if text is None else displayable(text)


def distinct(values: Sequence[str | None]) -> list[str]:
    """The values that are there, each once, in their order."""
    return [] if not values else list(dict.fromkeys([displayable(value) for value in values if value]))


def _repository(server: Server) -> RepositoryDocument:
    found = server.repository
    if found is None:
        return {"url": None, "source": None, "subfolder": None, "id": None}
    return {
        "url": shown(found.url),
        "source": shown(found.source),
        "subfolder": shown(found.subfolder),
        "id": shown(found.id),
    }


def _icons(server: Server) -> list[IconDocument]:
    return [
        {
            "src": displayable(icon.src),
            "mime_type": shown(icon.mime_type),
            "sizes": distinct(icon.sizes),
            "theme": shown(icon.theme),
        }
        for icon in server.icons
    ]


def _packages(server: Server) -> list[PackageDocument]:
    return [
        {
            "registry_type": shown(package.registry_type),
            "identifier": shown(package.identifier),
            "version": shown(package.version),
            "transport": shown(package.transport),
            "runtime_hint": shown(package.runtime_hint),
        }
        for package in server.packages
    ]


def _remotes(server: Server) -> list[RemoteDocument]:
    return [{"type": shown(remote.type), "url": shown(remote.url)} for remote in server.remotes]
