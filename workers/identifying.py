"""How every adapter's `observe` ends: with an observation, unless the record is too large to be kept as one."""

from typing import Any

import orjson

from indexer.text import canonical, digest_of
from schemas.about import read_about
from schemas.names import ListingKey, fits, slot, storable
from schemas.observations import Observation, Unidentified

LARGEST_RECORD = 256 * 1024
"""Bytes of compact JSON that a server.json, or what the source says about it, may take."""


def identified(item: Any, record: Any, meta: Any, *, key: str, name: Any, version: Any) -> Observation | Unidentified:
    """A record of a version, by the source's own `key` of its listing; `item` is all that the source wrote of it."""
    stored = ListingKey(storable(key))
    if not fits(stored):
        return Unidentified(item, "the record's name is too long", record)
    if not fits(slot(version)):
        return Unidentified(item, "the record's version is too long", record)
    spelt = canonical(record)
    if len(spelt) > LARGEST_RECORD:
        return Unidentified(item, _too_large("the record", len(spelt)), record, version_of=(stored, version))
    size = _size(meta)
    if size > LARGEST_RECORD:
        reason = _too_large("what the registry says about the record", size)
        return Unidentified(item, reason, record, version_of=(stored, version))
    return Observation(stored, name, version, record, meta, read_about(meta), digest_of(spelt))


def _too_large(what: str, size: int) -> str:
    return f"{what} takes {size:,} bytes, more than {LARGEST_RECORD:,}"


def _size(value: Any) -> int:
    """The bytes of a value's compact JSON; orjson's 0.3 microseconds a record need no cheaper estimate before."""
    try:
        return len(orjson.dumps(value))
    except TypeError:
        return len(canonical(value))
