"""JSON as the log keeps it, and the digest by which two records are the same.

The digest is the SHA-256 of a record's canonical form: JSON in UTF-8, keys sorted, nothing between the tokens. What
orjson cannot write (lone surrogates, integers beyond 64 bits, very deep nesting) is written by the standard library,
in ASCII. Text in the database is ASCII, with the keys in the upstream's order: no database refuses it, none changes
it.
"""

import hashlib
import json
import re
from typing import Any

import orjson

from schemas.names import Digest

_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")


def digest(record: Any) -> Digest:
    """The digest of a JSON value; equal values have equal digests."""
    return digest_of(canonical(record))


def digest_of(spelt: bytes) -> Digest:
    """The digest of a JSON value that is spelt as `canonical` does."""
    return Digest(hashlib.sha256(spelt).hexdigest())


def canonical(record: Any) -> bytes:
    """A JSON value's one spelling."""
    try:
        return orjson.dumps(record, option=orjson.OPT_SORT_KEYS)
    except TypeError:
        return json.dumps(record, sort_keys=True, separators=(",", ":")).encode()


def ascii_json(value: Any) -> str:
    """A JSON value as ASCII text. A leading space says that only the standard library reads it back unchanged."""
    try:
        text = orjson.dumps(value)
    except TypeError:
        return " " + json.dumps(value, separators=(",", ":"))
    return text.decode("ascii") if text.isascii() else _NOT_ASCII.sub(_escaped, text.decode())


def read_json(text: str) -> Any:
    """The value that `ascii_json` wrote."""
    return json.loads(text) if text.startswith(" ") else orjson.loads(text)


def _escaped(found: re.Match[str]) -> str:
    """Characters as JSON escapes them; only strings hold such, and whole texts are written in them."""
    return json.dumps(found[0])[1:-1]
