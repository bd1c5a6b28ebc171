"""What an upstream's JSON means: orjson's answer, and where orjson refuses or rounds, what the upstream wrote.

A value is the same however it was parsed:

- integers beyond 64 bits, which orjson turns into floats, stay integers, and beyond 4,300 digits text;
- numbers that no double holds (1e400) stay as written, as text; lone surrogates stay;
- NaN and Infinity, which are no JSON, are null: Python writes them for what is not there, and one record that holds one
  must not stop its page; as text they would pass for a name or a description;
- what lies deeper than `DEEPEST` arrays and objects is kept as text, its own JSON: one publisher's nesting must not
  stop the page of a hundred others, and all that handles records later may recurse.
"""

import json
import math
import re
from collections.abc import Iterator
from typing import Any

import orjson

from indexer.errors import SourceMalformed

DEEPEST = 254
"""Arrays and objects within one another, the outermost counted: as many as orjson writes."""

_DIGITS_AS_ZEROS = bytes(ord("0") if chr(byte).isdecimal() else byte for byte in range(128)) + bytes(range(128, 256))
_LONG_INTEGER = b"0" * 19
_STRING_OR_BRACKET = re.compile(r'"(?:[^"\\]++|\\.)*+"?|[\[\]{}]', re.DOTALL)


def parse(body: bytes) -> Any:
    """The value of a JSON text in UTF-8. SourceMalformed where it is none, with the reason."""
    try:
        value = orjson.loads(body)
        written = orjson.dumps(value)  # refuses what nests deeper than DEEPEST
    except (orjson.JSONDecodeError, orjson.JSONEncodeError):
        return _parse_carefully(body)
    # Written as it came, it was read without loss; so it is with compact JSON, whose digits need not be looked at.
    lossless = written == body.rstrip() or not _may_hold_long_integer(body)
    return value if lossless else _parse_carefully(body)


def _may_hold_long_integer(body: bytes) -> bool:
    """Whether 19 digits stand in a row; a regular expression takes ten times as long to say so."""
    return _LONG_INTEGER in body.translate(_DIGITS_AS_ZEROS)


def _parse_carefully(body: bytes) -> Any:
    try:
        text = body.decode("utf-8-sig")
        return json.loads(_flattened(text), parse_int=_integer, parse_float=_float, parse_constant=_nothing)
    except UnicodeDecodeError as error:
        raise SourceMalformed(f"the body is not UTF-8 (byte {error.start})") from error
    except json.JSONDecodeError as error:
        raise SourceMalformed(f"the body is not JSON ({error})") from error
    except RecursionError as error:
        raise SourceMalformed("the body nests too deeply") from error


def _integer(digits: str) -> int | str:
    try:
        return int(digits)
    except ValueError:  # more digits than Python converts
        return digits


def _float(digits: str) -> float | str:
    number = float(digits)
    return number if math.isfinite(number) else digits


def _nothing(_: str) -> None:
    """What NaN and Infinity mean."""


def _flattened(text: str) -> str:
    """The same JSON with what lies deeper than DEEPEST written as strings."""
    kept = 0
    pieces: list[str] = []
    for start, end in _deep_parts(text):
        pieces += (text[kept:start], json.dumps(text[start:end]))
        kept = end
    return "".join((*pieces, text[kept:])) if pieces else text


def _deep_parts(text: str) -> Iterator[tuple[int, int]]:
    """Where the arrays and objects start and end that lie deeper than DEEPEST."""
    depth = start = 0
    for found in _STRING_OR_BRACKET.finditer(text):
        if found[0] in ("[", "{"):
            depth += 1
            if depth == DEEPEST + 1:
                start = found.start()
        elif found[0] in ("]", "}"):
            if depth == DEEPEST + 1:
                yield start, found.end()
            depth -= 1
