"""What a source is to the crawl loop, and what a kind of source is.

An adapter is one file under `workers/sources` and one line in `workers.kinds`. It maps; it neither stores nor
schedules. It is built from a url, the options of its kind, and a `Fetcher`: the one thing through which it may reach
its upstream.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic import BaseModel

from schemas.names import Cursor
from schemas.observations import Observation, Page, Unidentified
from workers.fetch import Fetcher


class Source(Protocol):
    """One configured upstream."""

    def fetch(self, since: datetime | None, cursor: Cursor | None) -> Page:
        """The page that starts at `cursor`, the first one for None; of what changed after `since`, of everything for
        None: what is deleted included, where `Kind.lists_deleted` says so.

        Raises SourceUnavailable (try later), SourceRefused or SourceMalformed (a person has to look).
        """
        ...

    def look(self, key: str, version: Any) -> Observation | Unidentified:
        """One version asked for by itself, whether deleted or not; `key` and `version` as the source wrote them.

        Raises SourceGone where the source has it no more, another SourceRefused where it cannot be asked for by itself;
        else as `fetch` does.
        """
        ...


@dataclass(frozen=True, slots=True)
class Traits:
    """What the crawl loop has to know of a source: which upstream it asks, and what it can be relied on for."""

    address: str
    supports_since: bool
    listing_is_complete: bool
    ordered: bool
    lists_deleted: bool = True


def traits(kind: "Kind", url: str, options: Any) -> Traits:
    """The traits of a source of a kind."""
    return Traits(
        address=kind.address(url, options),
        supports_since=kind.supports_since(options),
        listing_is_complete=kind.listing_is_complete,
        ordered=kind.ordered,
        lists_deleted=kind.lists_deleted(options),
    )


class Kind(Protocol):
    """An adapter's class: its options, what it can do, how it maps a record, and how one is built.

    A class states these as ClassVars; mypy matches a class object with plain attributes only.
    """

    Options: type[BaseModel]
    """What a source of this kind may set in the sources file, each field with a description."""
    listing_is_complete: bool
    """Whether a walk to its end saw all that the source lists, so that absence can mean removal."""
    ordered: bool
    """Whether a walk meets the versions in the byte order of key and version, so that what lies between two cursors and
    was not seen is not listed. A source that does otherwise is found out, and asked in the other way from then on.
    """
    licence: str
    """Under which terms the upstream gives its data."""

    def headers(self, options: Any, token: str | None) -> Mapping[str, str]:
        """What each request to such a source carries; `token` is the value of its token_env."""
        ...

    def address(self, url: str, options: Any) -> str:
        """Which upstream such a source asks: another one is walked anew, whatever was known of the last."""
        ...

    def observe(self, item: Any, options: Any) -> Observation | Unidentified:
        """One record as the source writes it, mapped: what was in quarantine is looked at again."""
        ...

    def supports_since(self, options: Any) -> bool:
        """Whether a source with these options can be asked for what changed since a time."""
        ...

    def lists_deleted(self, options: Any) -> bool:
        """Whether a complete walk of a source with these options meets deleted versions too: else what is known to be
        deleted is not expected on it.
        """
        ...

    def __call__(self, url: str, options: Any, fetcher: Fetcher) -> Source: ...
