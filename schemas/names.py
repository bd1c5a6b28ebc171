"""The names by which things are known, and what streams are called.

Text that an upstream chose may hold what a database refuses (NUL, lone surrogates): `storable` escapes just those,
reversibly, with the sign ␛ (U+241B), and leaves all other text as it is.
"""

import hashlib
import json
import re
from typing import Any, NewType

SourceName = NewType("SourceName", str)
ServerName = NewType("ServerName", str)
ListingKey = NewType("ListingKey", str)
StreamId = NewType("StreamId", str)
Cursor = NewType("Cursor", str)
Position = NewType("Position", int)
Revision = NewType("Revision", int)
Digest = NewType("Digest", str)
CrawlId = NewType("CrawlId", str)
RecordId = NewType("RecordId", str)
"""By what a raw record is kept; see `record_id`."""
Slot = NewType("Slot", str)
"""Where a version is kept among those of its listing; see `slot`."""

LONGEST_NAME = 1024
"""Bytes of UTF-8 that a key or a version may take; what is longer cannot be identified."""

_REFUSED = re.compile("[\u241b\x00\ud800-\udfff]")
_ESCAPED = re.compile("\u241b([0-9a-f]{4})")


def storable(text: str) -> str:
    """The same text with NUL, lone surrogates and ␛ written as ␛0000, ␛d800 and ␛241b."""
    if _is_plain(text) or _REFUSED.search(text) is None:
        return text
    return _REFUSED.sub(lambda found: f"\u241b{ord(found[0]):04x}", text)


def displayable(text: str) -> str:
    """The same text with lone surrogates replaced and NUL removed, for people and for the search index."""
    if _is_plain(text) or _REFUSED.search(text) is None:
        return text
    return re.sub("[\ud800-\udfff]", "\ufffd", text).replace("\x00", "")


def _is_plain(text: str) -> bool:
    """Whether a text holds nothing that is refused; says so of most texts, and faster than a regular expression."""
    return text.isascii() and "\x00" not in text


def slot(version: Any) -> Slot:
    """Where a version is kept: its text, ␛- for none, ␛= and JSON for what is not text."""
    if isinstance(version, str):
        return Slot(storable(version))
    return Slot("\u241b-" if version is None else "\u241b=" + json.dumps(version, sort_keys=True))


def unstored(text: str) -> str:
    """The text that `storable` was given."""
    return _ESCAPED.sub(lambda found: chr(int(found[1], 16)), text) if "\u241b" in text else text


def read_slot(slot: Slot) -> Any:
    """The version that `slot` was given."""
    if slot == "\u241b-":
        return None
    return json.loads(slot[2:]) if slot.startswith("\u241b=") else unstored(slot)


def fits(text: str) -> bool:
    """Whether a key or a version is short enough for every database's index."""
    return 4 * len(text) <= LONGEST_NAME or len(text.encode("utf-8", "surrogatepass")) <= LONGEST_NAME


def listing_stream(source: SourceName, key: ListingKey) -> StreamId:
    """The stream of one server at one source."""
    return StreamId(f"listing/{source}/{key}")


def crawls_stream(source: SourceName) -> StreamId:
    """The stream of a source's crawls, its configuration and the records that could not be identified."""
    return StreamId(f"crawls/{source}")


def decisions_stream() -> StreamId:
    """The stream of what persons decided."""
    return StreamId("decisions")


def record_id(name: ServerName, digest: Digest) -> RecordId:
    """By what a raw record is kept, given the name of its server: the name's beginning and the record's digest. Digests
    alone come in no order; so the records of a page, which does, lie side by side.
    """
    return RecordId(f"{name[:24]}#{digest}" if _is_plain(name) else f"#{digest}")


def document_id(name: ServerName) -> str:
    """The primary key of a server's document: 32 hex digits; case matters."""
    return hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
