"""A page that one record fills which is too large to be read: passed through in pieces, so that a walk steps over it.

A page is one as registries write it: a list under `servers`, with `metadata` before or after it, and nothing else.
Nothing of it is held but its edges. Between them lies the record: its beginning is kept, all of it is counted and
hashed. That it is one record is seen by its brackets: where an upstream ignores the limit, a page is no record.
"""

import hashlib
import re
from dataclasses import dataclass
from itertools import accumulate

from indexer.errors import SourceTooLarge
from workers.bodies import MEBIBYTE, Limits, Unpacking

LIMITS = Limits(sent=64 * MEBIBYTE, unpacked=64 * MEBIBYTE)
"""What is passed through of such a page; beyond it the crawl ends there."""
KEPT = 64 * 1024
"""Bytes of the record that are kept."""
EDGE = 64 * 1024
"""In so many bytes the page is to have begun its list, and to have ended it."""

_HEAD = re.compile(rb'\s*+\{\s*+(?:"metadata"\s*+:\s*+(\{[^{}]*+\})\s*+,\s*+)?"servers"\s*+:\s*+\[\s*+')
_TAIL = re.compile(rb'\]\s*+(?:,\s*+"metadata"\s*+:\s*+(\{[^{}]*+\})\s*+)?\}\s*+\Z')
_ESCAPE = re.compile(rb"\\.", re.DOTALL)
_OTHER = bytes(sorted(set(range(256)) - set(b"[]{},")))
_STEPS = {ord("["): 1, ord("{"): 1, ord("]"): -1, ord("}"): -1, ord(","): 0}


@dataclass(frozen=True, slots=True)
class Skimmed:
    """A record that was passed through: its beginning, its size and SHA-256, and what the page says beside it."""

    beginning: bytes
    size: int
    sha256: str
    metadata: bytes


class Skim:
    """One body, fed as it comes. Raises SourceTooLarge as soon as it can be no page of one record, or is too large."""

    def __init__(self, encoding: str, limits: Limits = LIMITS) -> None:
        self._limits, self._unpacking, self._shape = limits, Unpacking(encoding), _Shape()
        self._sent = self._unpacked = self._size = 0
        self._held, self._beginning, self._hash = bytearray(), b"", hashlib.sha256()
        self._metadata, self._begun = b"{}", False

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes as sent."""
        self._sent += len(chunk)
        for piece in self._unpacking.pieces(chunk):
            self._unpacked += len(piece)
            if self._sent > self._limits.sent or self._unpacked > self._limits.unpacked:
                raise SourceTooLarge("one record takes more than is passed through")
            self._shape.feed(piece)
            self._held += piece
            if len(self._held) >= 2 * EDGE:
                self._pass(len(self._held) - EDGE)

    def end(self) -> Skimmed:
        """The record, once all of the body was fed."""
        self._unpacking.end()
        self._pass(0)
        tail = _TAIL.search(self._held)
        if tail is None or not self._shape.one:
            raise SourceTooLarge("it is no page of one record")
        metadata = bytes(tail[1] or self._metadata)  # before what it matched is let go
        self._pass(len(self._held[: tail.start()].rstrip()))
        return Skimmed(self._beginning, self._size, self._hash.hexdigest(), metadata)

    def _pass(self, count: int) -> None:
        """Lets go of what is held, but for its end; of the first of it only what is the record's."""
        if not self._begun:
            head = _HEAD.match(self._held)
            if head is None:
                raise SourceTooLarge("it is no page of one record")
            self._begun, self._metadata = True, bytes(head[1] or self._metadata)
            del self._held[: head.end()]
            count = max(0, count - head.end())
        passed = bytes(self._held[:count])
        del self._held[:count]
        self._size += count
        self._hash.update(passed)
        self._beginning += passed[: max(0, KEPT - len(self._beginning))]


class _Shape:
    """Follows the brackets of a page: whether its list holds one record, and that is an object or a list."""

    def __init__(self) -> None:
        self._within_string, self._escape = False, b""
        self._depth = 0
        self._met, self._over = False, False
        self.one = False

    def feed(self, piece: bytes) -> None:
        """Takes the next bytes. Raises SourceTooLarge where there is a second record."""
        plain = _ESCAPE.sub(b"", self._escape + piece)
        self._escape = b"\\" if plain.endswith(b"\\") else b""
        parts = plain.split(b'"')
        brackets = b"".join(parts[self._within_string :: 2]).translate(None, _OTHER)
        self._within_string ^= len(parts) % 2 == 0
        while brackets and not self._over:
            brackets = self._within(brackets) if self._met else self._before(brackets)
        if brackets and not self.one:
            if brackets[:1] != b"]":
                raise SourceTooLarge("it is no page of one record")
            self.one = True

    def _before(self, brackets: bytes) -> bytes:
        """What is left once the record has begun, two brackets deep."""
        for number, bracket in enumerate(brackets, start=1):
            self._depth += _STEPS[bracket]
            if self._depth == 3:
                self._met = True
                return brackets[number:]
        return b""

    def _within(self, brackets: bytes) -> bytes:
        """What is left once the record has ended."""
        depths = list(accumulate(map(_STEPS.__getitem__, brackets), initial=self._depth))
        self._depth = depths[-1]
        if 2 not in depths:
            return b""
        self._over = True
        return brackets[depths.index(2) :]
