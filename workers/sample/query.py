"""The query parameters of a listing, read as the real server reads them: an empty one counts as not given."""

import re
from datetime import datetime
from typing import NamedTuple
from urllib.parse import parse_qsl

from workers.sample.problems import Refused, invalid, problem
from workers.sample.times import moment, read

DEFAULT_LIMIT = 30
LARGEST_LIMIT = 100

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")
_BOOLEANS = {"1": True, "t": True, "T": True, "true": True, "TRUE": True, "True": True} | {
    "0": False, "f": False, "F": False, "false": False, "FALSE": False, "False": False,
}  # fmt: skip


class Listing(NamedTuple):
    """The parameters of GET /servers, by the names of `SampleRegistry.page`."""

    cursor: str
    limit: int
    updated_since: datetime | None
    search: str
    version: str
    include_deleted: bool


def parameters(query: str) -> dict[str, str]:
    """The parameters of a query string; of one given twice, the first."""
    return dict(reversed(parse_qsl(query)))


def listing(query: str) -> Listing:
    """The parameters of a listing; 422 for what is malformed, 400 for what does not go together."""
    given = parameters(query)
    since = given.get("updated_since")
    asked_deleted = deleted_asked(given)
    if since and asked_deleted is False:
        raise Refused(problem(400, "include_deleted=false cannot be combined with updated_since"))
    return Listing(
        cursor=given.get("cursor", ""),
        limit=_limit(given.get("limit", "")),
        updated_since=_since(since) if since else None,
        search=given.get("search", ""),
        version=given.get("version", ""),
        include_deleted=bool(asked_deleted),
    )


def deleted_asked(given: dict[str, str]) -> bool | None:
    """What include_deleted says; None where it is not given."""
    text = given.get("include_deleted", "")
    if text and text not in _BOOLEANS:
        raise invalid("include_deleted", "invalid boolean", text)
    return _BOOLEANS.get(text)


def _limit(text: str) -> int:
    if not text:
        return DEFAULT_LIMIT
    if _INTEGER.fullmatch(text) is None:
        raise invalid("limit", "invalid integer", text)
    limit = int(text)
    if limit < 1:
        raise invalid("limit", "expected number >= 1", limit)
    if limit > LARGEST_LIMIT:
        raise invalid("limit", f"expected number <= {LARGEST_LIMIT}", limit)
    return limit


def _since(text: str) -> datetime:
    instant = read(text)
    if instant is None:
        raise Refused(problem(400, "Invalid updated_since format: expected RFC3339, as in 2026-01-31T08:30:00Z"))
    return moment(instant)
