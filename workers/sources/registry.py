"""The `registry` kind: the official MCP registry, and every registry that speaks its API.

It lists versions, not servers: one item for each name and version, ordered by name and version, bytewise. The cursor is
the last row's `name:version` (elsewhere anything: opaque), a position and no snapshot, and does not carry the filter:
every parameter is repeated on every page. `updated_since` is strictly "after" and always includes deleted versions;
without it they are listed only when asked for. There is no total, no ETag and no change feed.

What it gets wrong. The key of the next cursor was renamed once (`next_cursor` to `nextCursor`), and who did not notice
took the first page for the whole registry for a week: so a full page without a cursor that we know is an error, never
the end. A page that comes out exactly full has a cursor, and an empty page behind it. Items have had four shapes
(`schemas.about` reads them); private registries still speak the oldest, and leave out `_meta`. Names, versions and
whole documents change or vanish silently. The official one refuses a `limit` over 100 with 422; others cap it silently.
"""

import json
import re
from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any, ClassVar, Literal
from urllib.parse import quote, urlsplit, urlunsplit

from pydantic import BaseModel, ConfigDict, Field

from indexer.errors import SourceGone, SourceMalformed, SourceRefused, SourceTooLarge, WalkLost
from schemas.about import unwrap
from schemas.names import Cursor, Digest, ListingKey, slot, storable
from schemas.observations import Observation, Page, Unidentified, Whole
from workers.answers import Answer
from workers.fetch import Fetcher
from workers.identifying import identified
from workers.parsing import parse
from workers.skimming import Skimmed

MOST_ENTRIES = 20_000
"""In one page, whatever was asked for: twice of what the official registry gives at most, at any of its addresses."""
LONGEST_CURSOR = 4096

_NO_LIMIT = 1 << 31
_UNSENDABLE = re.compile("[\x00\ud800-\udfff]")
_NOT_PRINTED = re.compile("[^ -~]")
_POSITION = re.compile(r"([\w.-]+/[\w.-]+):(.+)", re.ASCII | re.DOTALL)
"""A cursor as the official registry writes it: the last version's name and version."""
_CURSORS = ("nextCursor", "next_cursor")


class RegistryOptions(BaseModel):
    """What a `[[source]]` of kind `registry` may set beyond what every source does."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    path: str = Field(
        default="/v0.1/servers",
        pattern=r"^/[^\s?#]*$",
        description="Where the list is below the source's url; older registries have it at /v0/servers.",
    )
    page_size: int = Field(
        default=100, ge=1, le=1000, description="Versions asked for a page; the official registry takes at most 100."
    )
    auth_header: str = Field(
        default="Authorization",
        pattern=r"^[A-Za-z0-9-]{1,100}$",
        description="The header that carries the token of token_env: as 'Bearer TOKEN' in Authorization, else bare.",
    )
    since: bool = Field(
        default=True, description="Whether the registry knows updated_since; without it every crawl is a full walk."
    )
    include_deleted: bool = Field(
        default=True, description="Whether full walks ask for deleted versions too; false where that is refused."
    )
    paging: Literal["cursor", "none"] = Field(
        default="cursor", description="none: the registry sends everything at once and has no cursor."
    )


class Registry:
    """A registry that speaks the official one's API."""

    Options: ClassVar[type[BaseModel]] = RegistryOptions
    listing_is_complete: ClassVar[bool] = True
    ordered: ClassVar[bool] = True
    licence: ClassVar[str] = "CC0-1.0 at the official registry, else as its operator says"

    def __init__(self, url: str, options: RegistryOptions, fetcher: Fetcher) -> None:
        self._url = list_address(url, options.path)
        self._options, self._fetcher = options, fetcher
        self._limit = options.page_size

    @staticmethod
    def headers(options: RegistryOptions, token: str | None) -> Mapping[str, str]:
        """The header that carries the token, where there is one."""
        return auth_headers(options, token)

    @staticmethod
    def address(url: str, options: RegistryOptions) -> str:
        """The host and the path of its list; scheme and port may change where a registry stays the same."""
        listed = urlsplit(list_address(url, options.path))
        return f"{listed.hostname}{listed.path}"

    @staticmethod
    def observe(item: Any, options: RegistryOptions) -> Observation | Unidentified:  # noqa: ARG004 - other kinds ask
        """One item of its list, mapped."""
        return observe(item)

    @staticmethod
    def supports_since(options: RegistryOptions) -> bool:
        """Whether the registry knows updated_since."""
        return options.since

    @staticmethod
    def lists_deleted(options: RegistryOptions) -> bool:
        """Whether the registry is asked for deleted versions too."""
        return options.include_deleted

    def fetch(self, since: datetime | None, cursor: Cursor | None) -> Page:
        """The page that starts at a cursor, asked for in halves while it is too large; one record that is, alone, is
        stepped over.
        """
        try:
            answer, limit = self._ask(since, cursor)
        except SourceTooLarge as error:
            return self._step_over(since, cursor, error)
        page = parse_page(answer.value, limit, cursor, paging=self._options.paging, where=answer.url)
        return Page(page.records, page.next_cursor, answer.served_at)

    def look(self, key: str, version: Any) -> Observation | Unidentified:
        """One version, asked for at its own address, or found among all of its server where it can have none. Raises
        SourceGone where the registry has it no more.
        """
        if not _addressable(key):
            raise SourceRefused(f"{self._url}: there is no address for {key!r} by itself")
        versions = f"{self._url}/{quote(key, safe='')}/versions"
        params = {"include_deleted": "true"} if self._options.include_deleted else {}
        if isinstance(version, str) and version != "latest" and _addressable(version):
            return observe(self._fetcher.get_json(f"{versions}/{quote(version, safe='')}", params).value)
        answer = self._fetcher.get_json(versions, params)
        page = parse_page(answer.value, _NO_LIMIT, None, where=answer.url)
        for one in page.records:
            if isinstance(one, Observation) and slot(one.version) == slot(version):
                return one
        if page.next_cursor is not None:
            raise SourceRefused(f"{answer.url}: not all versions are there, so none is known to be missing")
        raise SourceGone(f"{answer.url}: version {version!r} is not among them")

    def _ask(self, since: datetime | None, cursor: Cursor | None) -> tuple[Answer, int]:
        """An answer and the limit that it was asked with; after large pages the limit grows back page by page."""
        while True:
            limit = self._limit
            try:
                answer = self._fetcher.get_json(self._url, self._params(since, cursor, limit))
            except SourceTooLarge:
                if limit == 1:
                    raise
                self._limit = limit // 2
            else:
                self._limit = min(self._options.page_size, limit * 2)
                return answer, limit

    def _step_over(self, since: datetime | None, cursor: Cursor | None, error: SourceTooLarge) -> Page:
        """The page of one record that is too large to be read. Raises the error where it is no such page."""
        if self._options.paging == "none":
            raise error
        try:
            skimmed = self._fetcher.skim(self._url, self._params(since, cursor, 1))
        except SourceTooLarge:
            raise error from None
        self._limit = min(2, self._options.page_size)
        return parse_skimmed(skimmed, cursor, where=self._url)

    def _params(self, since: datetime | None, cursor: Cursor | None, limit: int) -> dict[str, str]:
        params = {"limit": str(limit)}
        if since is not None and self._options.since:
            params["updated_since"] = since.astimezone(UTC).isoformat().replace("+00:00", "Z")
        elif self._options.include_deleted:
            params["include_deleted"] = "true"
        if cursor is not None:
            params["cursor"] = cursor
        return params


def _addressable(part: str) -> bool:
    """Whether a name or a version can be a segment of an address."""
    return part not in ("", ".", "..") and _UNSENDABLE.search(part) is None


def auth_headers(options: RegistryOptions, token: str | None) -> dict[str, str]:
    """A token in its header: after "Bearer" in Authorization, bare in any other."""
    if not token:
        return {}
    bearer = options.auth_header.lower() == "authorization"
    return {options.auth_header: f"Bearer {token}" if bearer else token}


def list_address(url: str, path: str) -> str:
    """Where a registry's list is: its url and the path, unless the url ends in it already."""
    parts = urlsplit(url)
    base = parts.path.rstrip("/").removesuffix(path.rstrip("/"))
    return urlunsplit(parts._replace(path=base + path))


def identify(record: Mapping[str, Any]) -> str | None:
    """What a registry's listings are known by: the server's name; None where a record has none."""
    name = record.get("name")
    return name if isinstance(name, str) and name else None


def parse_page(
    value: Any,
    page_size: int,
    cursor: Cursor | None,
    *,
    paging: Literal["cursor", "none"] = "cursor",
    where: str = "the registry",
) -> Page:
    """A list body, mapped; `page_size` and `cursor` are what it was asked with. Raises SourceMalformed."""
    if not isinstance(value, dict) or "servers" not in value:
        raise SourceMalformed(
            f"{where}: this is no registry's list (no 'servers' in it); check the source's url and path"
        )
    items = [] if value["servers"] is None else value["servers"]
    if not isinstance(items, list):
        raise SourceMalformed(
            f"{where}: this is no registry's list ('servers' is no list); check the source's url and path"
        )
    if len(items) > MOST_ENTRIES:
        raise SourceMalformed(
            f"{where}: a page of {len(items):,} entries, more than {MOST_ENTRIES:,}; tell its operator to page it"
        )
    following = None if paging == "none" else _next_cursor(value, len(items) >= page_size, cursor, where)
    return Page(tuple(map(observe, items)), following)


def parse_skimmed(skimmed: Skimmed, cursor: Cursor | None, *, where: str = "the registry") -> Page:
    """A page of one record that was passed through and not read. Raises SourceMalformed."""
    metadata = {"metadata": parse(skimmed.metadata)}
    beginning = _NOT_PRINTED.sub(lambda found: json.dumps(found[0])[1:-1], skimmed.beginning.decode(errors="replace"))
    reason = f"the record takes {skimmed.size:,} bytes, more than is read of any"
    following = _next_cursor(metadata, True, cursor, where)
    whole = Whole(skimmed.size, Digest(skimmed.sha256))
    return Page((Unidentified(beginning, reason, beginning, whole, _version_before(following)),), following)


def _version_before(cursor: Cursor | None) -> tuple[ListingKey, str] | None:
    """The version that a page ended with, where its cursor says so."""
    found = None if cursor is None else _POSITION.fullmatch(cursor)
    return None if found is None else (ListingKey(storable(found[1])), found[2])


def _next_cursor(value: dict[str, Any], full: bool, asked: Cursor | None, where: str) -> Cursor | None:
    metadata = value.get("metadata")
    metadata = metadata if isinstance(metadata, dict) else {}
    known = [metadata[key] for key in _CURSORS if key in metadata]
    if not known:
        _refuse_unknown_cursor({**value, **metadata}, full, where)
    found = next((cursor for cursor in known if cursor is not None and cursor != ""), None)
    if found is None:
        return None
    if not isinstance(found, str) or len(found) > LONGEST_CURSOR or _UNSENDABLE.search(found):
        raise SourceMalformed(f"{where}: its next cursor is no text that can be sent back; tell its operator")
    if found == asked:
        raise WalkLost(f"{where}: the page names itself as the next one, so the walk would not end; tell its operator")
    return Cursor(found)


def _refuse_unknown_cursor(said: dict[str, Any], full: bool, where: str) -> None:
    """Without a cursor that we know a page is the last one only if nothing speaks of a next one."""
    if full:
        raise SourceMalformed(
            f"{where}: a full page without a cursor that we know; where this registry sends everything at once, set "
            'paging = "none", else its API has changed'
        )
    odd = next((key for key in said if re.search("(?i)cursor|next", key) and isinstance(said[key], str | int)), None)
    if odd is not None and said[odd]:
        raise SourceMalformed(
            f"{where}: it names its next page by {odd[:40]!r}, which we do not know; has its API changed?"
        )


def observe(item: Any) -> Observation | Unidentified:
    """One item of a list, mapped."""
    record, meta = unwrap(item)
    if not isinstance(record, dict):
        return Unidentified(item, "the record is no object", item)
    name, version = identify(record), _version(record)
    if name is None:
        return Unidentified(item, "the record has no name", record)
    return identified(item, record, meta, key=name, name=name, version=version)


def _version(record: Mapping[str, Any]) -> Any:
    """A record's version, to August 2025 in its version_detail."""
    detail = record.get("version_detail")
    if record.get("version") is None and isinstance(detail, dict):
        return detail.get("version")
    return record.get("version")
