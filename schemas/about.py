"""What a registry says about a version, beside its server.json, in every form it has had on the wire.

To August 2025 it stood in the document (`status`, `version_detail.release_date`) or beside it under its own key; then
in the document's `_meta`, snake_case to 2025-09-20 and camelCase for nine days; since then in a `_meta` beside it.
"""

import re
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any, Literal, NamedTuple

OFFICIAL = "io.modelcontextprotocol.registry/official"

Status = Literal["active", "deprecated", "deleted"]

_OLD_WRAPPER = "x-io.modelcontextprotocol.registry"
_OLD_BLOCK = "io.modelcontextprotocol.registry"
_PUBLISHERS = "/publisher-provided"
_TELLING = ("status", "publishedAt", "published_at")
_STATUSES: dict[Any, Status] = {"active": "active", "deprecated": "deprecated", "deleted": "deleted"}
_RFC_3339 = re.compile(
    r"\d{4}-\d\d-\d\d[Tt ](?:[01]\d|2[0-3]):\d\d:\d\d(?:\.\d{1,6}(\d{0,3}))?(?:[Zz]|[+-](?:[01]\d|2[0-3]):[0-5]\d)",
    re.ASCII,
)
_DIGITS_AS_ZEROS = bytes(ord("0") if chr(byte).isdecimal() else byte for byte in range(128)) + bytes(range(128, 256))
_USUAL = {b"0000-00-00T00:00:00Z", *(b"0000-00-00T00:00:00.%sZ" % (b"0" * places) for places in range(1, 7))}
"""How registries write times, digits as zeros: a text's form is found here in a third of what a pattern takes."""
_LONGEST = len("0000-00-00T00:00:00.000000000+00:00")
"""No time is longer; what is, is not to be kept in memory for having been asked about."""
_EPOCH, _MICROSECOND = datetime(1970, 1, 1, tzinfo=UTC), timedelta(microseconds=1)
_FIRST = (datetime(1, 1, 1, tzinfo=UTC) - _EPOCH) // _MICROSECOND
_LAST = (datetime(9999, 12, 31, 23, 59, 59, 999_999, UTC) - _EPOCH) // _MICROSECOND


class About(NamedTuple):
    """A version's status and times, as its registry tells them; None for what it does not tell. Times in microseconds
    since 1970.

    All but the last is what a version is compared by: with one more field each differs from what is held, once.
    """

    status: Status
    status_message: str | None
    published_at: int | None
    updated_at: int | None
    status_changed_at: int | None
    is_latest: bool | None
    """Stands last, for it flips by itself."""


def read_about(meta: Any) -> About:
    """What the `_meta` beside a server tells, whatever JSON value it is."""
    block = _block(meta)
    status = block.get("status")
    message = _either(block, "statusMessage", "status_message")
    latest = _either(block, "isLatest", "is_latest")
    published_at = read_micros(_either(block, "publishedAt", "published_at") or block.get("release_date"))
    changed_at = read_micros(_either(block, "statusChangedAt", "status_changed_at"))
    return About(
        _STATUSES.get(status, "active") if isinstance(status, str) else "active",
        message if isinstance(message, str) else None,
        published_at,
        read_micros(_either(block, "updatedAt", "updated_at")),
        published_at if changed_at is None else changed_at,  # so the official registry filled what it had not kept
        latest if isinstance(latest, bool) else None,
    )


def read_time(text: Any) -> datetime | None:
    """An RFC 3339 time, as `read_micros` reads it, in UTC."""
    micros = read_micros(text)
    return None if micros is None else _EPOCH + timedelta(microseconds=micros)


def read_micros(text: Any) -> int | None:
    """An RFC 3339 time in microseconds since 1970; None for what is none, or no year from 1 to 9999 holds.

    Rounded, halves to even, as the official registry's database did when it kept nanoseconds no longer: so what it
    said before and what it says now is the same time.
    """
    return _read_micros(text) if isinstance(text, str) and len(text) <= _LONGEST else None


@lru_cache(maxsize=4096)  # a version is often published, updated and given its status at one time
def _read_micros(text: str) -> int | None:
    try:
        usual = text.encode().translate(_DIGITS_AS_ZEROS) in _USUAL and text[11:13] < "24"
        return (datetime.fromisoformat(text) - _EPOCH) // _MICROSECOND if usual else _read_any(text)
    except ValueError:
        return None


def _read_any(text: str) -> int | None:
    """A time in any form, in microseconds; None for what has none. Raises ValueError for what is no time."""
    found = _RFC_3339.fullmatch(text)
    if found is None:
        return None
    micros = (datetime.fromisoformat(text.upper()) - _EPOCH) // _MICROSECOND
    if found[1]:
        nanoseconds = found[1].ljust(3, "0")
        micros += nanoseconds > "500" or (nanoseconds == "500" and micros % 2 == 1)
    return micros if _FIRST <= micros <= _LAST else None


def unwrap(item: Any) -> tuple[Any, Any]:
    """An item of a list as (record, meta): the server.json, and what the registry says about it, or None."""
    if not isinstance(item, dict):
        return item, None
    if "server" not in item or isinstance(item.get("name"), str):
        return _unwrap_flat(item)
    if "_meta" in item or _OLD_WRAPPER not in item:
        return item["server"], item.get("_meta")
    record, said = _without_own_words(item["server"])
    block = item[_OLD_WRAPPER]
    return record, {_OLD_WRAPPER: {**block, **said} if isinstance(block, dict) else said or block}


def _unwrap_flat(item: dict[str, Any]) -> tuple[Any, Any]:
    record, said = _without_own_words(item)
    inside = record.get("_meta")
    key = next((key for key in (OFFICIAL, _OLD_BLOCK) if key in inside), None) if isinstance(inside, dict) else None
    if key is None:
        return record, {OFFICIAL: said} if said else None
    block = inside[key]
    kept = {name: value for name, value in inside.items() if name != key}
    record = {name: value for name, value in record.items() if name != "_meta" or kept}
    if kept:
        record["_meta"] = kept
    return record, {OFFICIAL: {**block, **said} if isinstance(block, dict) else said or block}


def _without_own_words(record: Any) -> tuple[Any, dict[str, Any]]:
    """A record of the generations that told status and release inside it, without them; and what they told."""
    if not isinstance(record, dict):
        return record, {}
    said: dict[str, Any] = {}
    detail = record.get("version_detail")
    if isinstance(detail, dict):
        said |= {name: detail[name] for name in ("release_date", "is_latest") if name in detail}
        if said:
            record = {**record, "version_detail": {name: detail[name] for name in detail if name not in said}}
    if "status" in record:
        said["status"] = record["status"]
        record = {name: value for name, value in record.items() if name != "status"}
    return record, said


def _block(meta: Any) -> dict[str, Any]:
    """The block of a `_meta` that tells of the version: the official one, else the first other by name."""
    if not isinstance(meta, dict):
        return {}
    official = meta.get(OFFICIAL)
    if isinstance(official, dict):
        return official
    for name in sorted(meta):
        block = meta[name]
        if isinstance(block, dict) and not name.endswith(_PUBLISHERS) and any(key in block for key in _TELLING):
            return block
    return {}


def _either(block: dict[str, Any], camel: str, snake: str) -> Any:
    found = block.get(camel)
    return block.get(snake) if found is None else found
