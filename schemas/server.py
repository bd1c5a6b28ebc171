"""server.json, read leniently: any generation, any JSON value, nothing refused.

What has the wrong type is read as absent, text is left as it was written. Whether a record is valid is another question
(`indexer.verdict`); this one is asked of invalid records too, and tens of thousands of times a second in a rebuild.
"""

from typing import Any, NamedTuple

MOST_LISTED = 100
"""Packages, remotes and icons read of one record; likewise sizes of an icon."""
_DEEPEST = 8  # a secret variable of an argument of a package lies 5 deep


class ServerPackage(NamedTuple):
    """A way to install a server and run it here."""

    registry_type: str | None
    identifier: str | None
    version: str | None
    transport: str | None
    transport_url: str | None
    runtime_hint: str | None
    requires_secrets: bool


class ServerRemote(NamedTuple):
    """A place where a server already runs."""

    type: str | None
    url: str | None
    requires_secrets: bool


class ServerRepository(NamedTuple):
    """Where a server's source code is."""

    url: str | None
    source: str | None
    subfolder: str | None
    id: str | None


class ServerIcon(NamedTuple):
    """A picture of a server."""

    src: str
    mime_type: str | None
    sizes: tuple[str, ...]
    theme: str | None


class Server(NamedTuple):
    """What a server.json says."""

    name: str | None
    title: str | None
    description: str | None
    version: str | None
    website_url: str | None
    repository: ServerRepository | None
    icons: tuple[ServerIcon, ...]
    packages: tuple[ServerPackage, ...]
    remotes: tuple[ServerRemote, ...]
    schema: str | None


def read_server(record: Any) -> Server:
    """What a raw server.json of any generation says; never raises for a JSON value."""
    if not isinstance(record, dict):
        record = {}
    version, detail = _text(record, "version"), record.get("version_detail")
    if version is None and isinstance(detail, dict):
        version = _text(detail, "version")
    return Server(
        name=_text(record, "name"),
        title=_text(record, "title"),
        description=_text(record, "description"),
        version=version,
        website_url=_text(record, "websiteUrl", "website_url"),
        repository=_repository(record.get("repository")),
        icons=tuple([icon for one in _objects(record, "icons") if (icon := _icon(one)) is not None]),
        packages=tuple(map(_package, _objects(record, "packages"))),
        remotes=tuple(map(_remote, _objects(record, "remotes"))),
        schema=_text(record, "$schema"),
    )


def _package(package: dict[str, Any]) -> ServerPackage:
    transport, url = _transport(package)
    return ServerPackage(
        registry_type=_text(package, "registryType", "registry_type", "registry_name"),
        identifier=_text(package, "identifier", "name"),
        version=_text(package, "version"),
        transport=transport,
        transport_url=url,
        runtime_hint=_text(package, "runtimeHint", "runtime_hint"),
        requires_secrets=_has_secret(package, _DEEPEST),
    )


def _remote(remote: dict[str, Any]) -> ServerRemote:
    kind, url = _text(remote, "type", "transport_type"), _text(remote, "url")
    transport = _transport(remote)
    return ServerRemote(
        type=transport[0] if kind is None else kind,
        url=transport[1] if url is None else url,
        requires_secrets=_has_secret(remote, _DEEPEST),
    )


def _transport(holder: dict[str, Any]) -> tuple[str | None, str | None]:
    """A transport's type and URL, written as an object or as a word."""
    transport = holder.get("transport")
    if isinstance(transport, dict):
        return _text(transport, "type"), _text(transport, "url")
    return (transport if isinstance(transport, str) else None), None


def _repository(repository: Any) -> ServerRepository | None:
    """A repository, written as an object or as its URL; None where it says nothing."""
    if isinstance(repository, str):
        repository = {"url": repository}
    if not isinstance(repository, dict):
        return None
    read = ServerRepository(
        url=_text(repository, "url"),
        source=_text(repository, "source"),
        subfolder=_text(repository, "subfolder"),
        id=_text(repository, "id"),
    )
    return read if read.url or read.source or read.subfolder or read.id else None


def _icon(icon: dict[str, Any]) -> ServerIcon | None:
    src = _text(icon, "src")
    if src is None:
        return None
    sizes = icon.get("sizes")
    if isinstance(sizes, str):
        sizes = sizes.split(maxsplit=MOST_LISTED)
    return ServerIcon(
        src=src,
        mime_type=_text(icon, "mimeType", "mime_type"),
        sizes=tuple(s for s in sizes[:MOST_LISTED] if isinstance(s, str)) if isinstance(sizes, list) else (),
        theme=_text(icon, "theme"),
    )


def _has_secret(value: dict[str, Any], depth: int) -> bool:
    """Whether an environment variable, a header, an argument or a variable of theirs is marked as a secret."""
    if value.get("isSecret") is True or value.get("is_secret") is True:
        return True
    for inner in value.values():
        if type(inner) is list:
            for item in inner if depth else ():
                if type(item) is dict and _has_secret(item, depth - 1):
                    return True
        elif type(inner) is dict and depth and _has_secret(inner, depth - 1):
            return True
    return False


def _objects(record: dict[str, Any], name: str) -> list[dict[str, Any]]:
    """The objects among the first items of a list."""
    items = record.get(name)
    return [item for item in items[:MOST_LISTED] if isinstance(item, dict)] if isinstance(items, list) else []


def _text(record: dict[str, Any], name: str, *older: str) -> str | None:
    """The text under a name, or under the first of its older names that holds text."""
    value = record.get(name)
    if type(value) is str:
        return value
    for one in older:
        value = record.get(one)
        if type(value) is str:
            return value
    return None
