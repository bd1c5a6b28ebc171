"""What an adapter hands over: pages of observations, in the order its source gives them."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, NamedTuple

from schemas.about import About
from schemas.names import Cursor, Digest, ListingKey


class Observation(NamedTuple):
    """One version of a server, as one source showed it.

    `name`, `version`, `record` and `meta` are as the upstream wrote them; `about` is `meta`, read; `digest` is the
    record's, by which it is the same again.
    """

    key: ListingKey
    name: Any
    version: Any
    record: Any
    meta: Any
    about: About
    digest: Digest


class Whole(NamedTuple):
    """How much a source wrote of which only the beginning was kept: its bytes, and the SHA-256 of them."""

    size: int
    digest: Digest


class Unidentified(NamedTuple):
    """A record that no listing can be found for, with the reason.

    `item` is all that the source wrote, to be kept; `record` the part by which it is the same record again, without
    what the source says about it. Where `whole` is told, `item` is only the beginning, as ASCII text. `version_of` is
    the listing and the version that it says it is, where it says so and cannot be kept as such: that one is listed,
    whatever is wrong with it.
    """

    item: Any
    reason: str
    record: Any
    whole: Whole | None = None
    version_of: tuple[ListingKey, Any] | None = None


@dataclass(frozen=True, slots=True)
class Page:
    """One answer, mapped. `next_cursor` is None on the last page; `served_at` is the upstream's clock, where it has
    one.
    """

    records: tuple[Observation | Unidentified, ...]
    next_cursor: Cursor | None
    served_at: datetime | None = None
