"""What a source is to the crawl loop, and the table of kinds.

An adapter is one file under `workers/sources` and one line in `KINDS`. It maps; it neither stores nor schedules. It is
built from a `SourceConfig` and a `Fetcher`, the one thing through which it may reach its upstream.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Protocol

from pydantic import BaseModel

from schemas.names import Cursor
from schemas.observations import Page
from workers.fetch import Fetcher


@dataclass(frozen=True, slots=True)
class Walk:
    """What a walk asks for: everything (`since` is None, deleted ones included), or what changed after `since`."""

    since: datetime | None = None


class Source(Protocol):
    """One configured upstream."""

    def fetch(self, walk: Walk, cursor: Cursor | None) -> Page:
        """The page that starts at `cursor`, the first one for None.

        Raises SourceUnavailable (try later), SourceRefused or SourceMalformed (a person has to look).
        """
        ...


class Kind(Protocol):
    """An adapter's class: its options, what it can do, and how one is built.

    A class states these as ClassVars; mypy matches a class object with plain attributes only.
    """

    Options: type[BaseModel]
    supports_since: bool
    listing_is_complete: bool
    ordered: bool
    """Whether a walk meets the listings in one order: what lies between two cursors and was not seen is not listed."""
    licence: str

    def headers(self, options: Any, token: str | None) -> Mapping[str, str]:
        """What each request to such a source carries; `token` is the value of its token_env."""
        ...

    def __call__(self, url: str, options: Any, fetcher: Fetcher) -> Source: ...
