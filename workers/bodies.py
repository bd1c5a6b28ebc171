"""How a body comes in: never larger than the limits, as sent, unpacked or in values; whatever it says of itself."""

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Protocol

from indexer.errors import SourceMalformed, SourceTooLarge

MEBIBYTE = 1 << 20
PIECE = 256 * 1024
"""Bytes that are unpacked at once."""
ENCODINGS = "gzip, deflate"
"""What an upstream may pack its answers with: what can be unpacked a bounded piece at a time."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What is taken of one answer: bytes as sent, bytes unpacked, `[`, `{` and `,` in it, seconds until its end."""

    sent: int = 8 * MEBIBYTE
    unpacked: int = 16 * MEBIBYTE
    values: int = 500_000
    seconds: float = 120.0


class _Packing(Protocol):
    """The part of zlib's decompressor that is used; its type has no name of its own."""

    @property
    def eof(self) -> bool: ...

    @property
    def unconsumed_tail(self) -> bytes: ...

    def decompress(self, data: bytes, max_length: int, /) -> bytes: ...


class Unpacking:
    """Unpacks a body a bounded piece at a time, so that a bomb costs no more memory than a piece."""

    def __init__(self, encoding: str) -> None:
        self._encoding = encoding.strip().lower()
        if self._encoding not in ("", "identity", "gzip", "x-gzip", "deflate"):
            raise SourceMalformed(f"the body is packed as {self._encoding[:40]!r}, and only {ENCODINGS} were asked for")
        self._head = b""
        self._packing: _Packing | None = None

    def pieces(self, chunk: bytes) -> Iterator[bytes]:
        """What the next bytes as sent hold."""
        if self._encoding in ("", "identity"):
            yield chunk
            return
        if self._packing is None:
            self._head += chunk
            if len(self._head) < 2:
                return
            self._packing, chunk, self._head = zlib.decompressobj(self._window()), self._head, b""
        while chunk and not self._packing.eof:
            try:
                piece = self._packing.decompress(chunk, PIECE)
            except zlib.error as error:
                raise SourceMalformed(f"the body cannot be unpacked as {self._encoding} ({error})") from error
            yield piece
            chunk = self._packing.unconsumed_tail

    def end(self) -> None:
        """Raises SourceMalformed where the body has not ended."""
        if self._head or (self._packing is not None and not self._packing.eof):
            raise SourceMalformed(f"the body's {self._encoding} ends too early")

    def _window(self) -> int:
        """zlib's word for the packing; some servers send deflate without the zlib header that belongs to it."""
        if self._encoding != "deflate":
            return 16 + zlib.MAX_WBITS
        has_header = self._head[0] & 0x0F == 8 and int.from_bytes(self._head[:2], "big") % 31 == 0
        return zlib.MAX_WBITS if has_header else -zlib.MAX_WBITS


class Body:
    """One body, fed as it comes, and kept up to the limits."""

    def __init__(self, encoding: str, limits: Limits) -> None:
        self._limits, self._unpacking = limits, Unpacking(encoding)
        self._sent = 0
        self._unpacked = bytearray()

    def feed(self, chunk: bytes) -> None:
        """Takes the next bytes as sent."""
        self._sent += len(chunk)
        if self._sent > self._limits.sent:
            raise SourceTooLarge(f"the body is larger than {self._limits.sent:,} bytes as sent")
        for piece in self._unpacking.pieces(chunk):
            self._unpacked += piece
            if len(self._unpacked) > self._limits.unpacked:
                raise SourceTooLarge(f"the body is larger than {self._limits.unpacked:,} bytes unpacked")

    def end(self) -> bytes:
        """The whole body, once all of it was fed."""
        self._unpacking.end()
        body = bytes(self._unpacked)
        if len(body) <= self._limits.values:  # it cannot hold more than its bytes: what most pages are spared
            return body
        values = body.count(b"[") + body.count(b"{") + body.count(b",")
        if values > self._limits.values:
            raise SourceTooLarge(f"the body holds {values:,} of '[', '{{' and ',', more than {self._limits.values:,}")
        return body

    def so_far(self) -> bytes:
        """What came in until now."""
        return bytes(self._unpacked)
