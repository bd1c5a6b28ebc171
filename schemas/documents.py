"""The document: the contract with the services that query the index. Fields are added, never changed.

Times are Unix seconds. No object has keys that an upstream chose: the index counts all keys of all documents together.
"""

from typing import Annotated, Any

from pydantic import Field, TypeAdapter
from typing_extensions import TypedDict


class RepositoryDocument(TypedDict):
    """Where a server's source code is."""

    url: str | None
    source: str | None
    subfolder: str | None
    id: str | None


class IconDocument(TypedDict):
    """A picture of a server."""

    src: str
    mime_type: str | None
    sizes: list[str]
    theme: str | None


class PackageDocument(TypedDict):
    """A package that runs a server."""

    registry_type: str | None
    identifier: str | None
    version: str | None
    transport: str | None
    runtime_hint: str | None


class RemoteDocument(TypedDict):
    """An address where a server runs."""

    type: str | None
    url: str | None


class EntryDocument(TypedDict):
    """One server, as the index holds it, but for its server.json."""

    id: Annotated[str, Field(description="First 32 hex digits of the SHA-256 of the name.")]
    name: Annotated[str, Field(description="The server's name; case matters.")]
    namespace: Annotated[str, Field(description="The part of the name before the slash.")]
    label: Annotated[str, Field(description="The part of the name after the slash, split into words, for searching.")]
    publisher: Annotated[str, Field(description="The owner of the namespace, split into words, for searching.")]
    title: Annotated[str | None, Field(description="Its name for people; often there is none.")]
    description: Annotated[str | None, Field(description="What it does, as its authors say.")]
    version: Annotated[str | None, Field(description="The latest version, derived from all that are held.")]
    version_count: Annotated[int, Field(description="How many versions are listed and not deleted.")]
    status: Annotated[str, Field(description="Of the latest version: active or deprecated.")]
    status_message: Annotated[str | None, Field(description="Why it is deprecated, as its registry says.")]
    website_url: Annotated[str | None, Field(description="Its home page.")]
    repository: Annotated[RepositoryDocument, Field(description="Where its source code is.")]
    icons: Annotated[list[IconDocument], Field(description="Pictures of it.")]
    packages: Annotated[list[PackageDocument], Field(description="Of the latest version.")]
    remotes: Annotated[list[RemoteDocument], Field(description="Of the latest version.")]
    registry_types: Annotated[list[str], Field(description="Distinct registry_type of the packages.")]
    transports: Annotated[list[str], Field(description="Distinct transports of packages and remotes.")]
    package_identifiers: Annotated[list[str], Field(description="Distinct identifiers of the packages.")]
    remote_hosts: Annotated[list[str], Field(description="Distinct hosts of the remotes.")]
    requires_secrets: Annotated[bool, Field(description="Whether a package or remote asks for a secret.")]
    has_remote: Annotated[bool, Field(description="Whether it can be reached at an address.")]
    has_package: Annotated[bool, Field(description="Whether it can be installed.")]
    sources: Annotated[list[str], Field(description="The sources that list it.")]
    source_count: Annotated[int, Field(description="How many sources list it.")]
    aliases: Annotated[list[str], Field(description="Other names under which it is listed.")]
    valid: Annotated[bool, Field(description="Whether the latest version fulfils the schema that it declares.")]
    problems: Annotated[list[str], Field(description="Ids of the rules that it breaks.")]
    problem_count: Annotated[int, Field(description="How many problems were found, each place counted.")]
    topics: Annotated[list[str], Field(description="Where a source knows them.")]
    license: Annotated[str | None, Field(description="Where a source knows it.")]
    stars: Annotated[int | None, Field(description="Where a source knows them.")]
    archived: Annotated[bool | None, Field(description="Whether its repository is archived, where a source knows.")]
    pushed_at: Annotated[
        int | None, Field(description="When its repository was last pushed to, where a source knows; Unix seconds.")
    ]
    published_at: Annotated[int | None, Field(description="When the latest version was published; Unix seconds.")]
    updated_at: Annotated[int | None, Field(description="When the latest version was last updated; Unix seconds.")]
    first_seen_at: Annotated[int, Field(description="When a source was first seen to list it; Unix seconds.")]
    position: Annotated[int, Field(description="Position of the last event that touches it: poll for greater ones.")]


class ServerDocument(EntryDocument):
    """One server, as the index holds it."""

    server_json: Annotated[str, Field(description="The latest version's server.json, whole, as one string.")]


DOCUMENT: TypeAdapter[ServerDocument] = TypeAdapter(ServerDocument)


def document_schema() -> dict[str, Any]:
    """The JSON Schema of the document."""
    return DOCUMENT.json_schema()
