"""A record that is too large to be read: passed through, counted and hashed, and stepped over."""

import gzip
import hashlib
import json
import random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from indexer.errors import SourceMalformed, SourceTooLarge
from workers.bodies import Limits
from workers.skimming import EDGE, KEPT, Skim, Skimmed

METADATA = b'{"count":1,"nextCursor":"a/b:1"}'
RECORD = b'{"server":{"name":"a/b","version":"1","description":"' + b"x" * (5 * EDGE) + b'"},"_meta":{}}'


def skimmed(body: bytes, *, piece: int = 65_536, encoding: str = "", limits: Limits | None = None) -> Skimmed:
    skim = Skim(encoding) if limits is None else Skim(encoding, limits)
    for at in range(0, len(body), piece):
        skim.feed(body[at : at + piece])
    return skim.end()


BEFORE, AFTER = b'{"servers":[', b'],"metadata":' + METADATA + b"}"


def listing(record: bytes, *, before: bytes = BEFORE, after: bytes = AFTER) -> bytes:
    return before + record + after


def of(record: bytes, metadata: bytes = METADATA) -> Skimmed:
    return Skimmed(record[:KEPT], len(record), hashlib.sha256(record).hexdigest(), metadata)


@pytest.mark.parametrize("piece", [1_000, 65_536, 10_000_000])
def test_the_record_between_the_edges_is_counted_and_hashed_and_its_beginning_is_kept(piece: int) -> None:
    assert skimmed(listing(RECORD), piece=piece) == of(RECORD)


@pytest.mark.parametrize(
    "body",
    [
        listing(RECORD, before=b' {\n "servers" : [ ', after=b' ] ,\n "metadata" : ' + METADATA + b" }\n"),
        listing(RECORD, before=b'{"metadata":' + METADATA + b',"servers":[', after=b"]}"),
    ],
)
def test_blanks_and_the_order_of_the_page_do_not_matter(body: bytes) -> None:
    assert skimmed(body) == of(RECORD)


def test_blanks_at_the_end_take_no_longer_than_others() -> None:
    """Not the square of their number."""
    record = b'{"a":"' + b"] " * EDGE + b'"}'
    for blanks in (b" " * (EDGE - 100), b"\n" * (EDGE // 2)):
        assert skimmed(listing(record, after=blanks + AFTER)) == of(record)


def test_a_page_may_say_nothing_beside_its_record() -> None:
    assert skimmed(listing(RECORD, after=b"]}")) == of(RECORD, b"{}")


def test_what_is_packed_is_unpacked() -> None:
    assert skimmed(gzip.compress(listing(RECORD)), encoding="gzip") == of(RECORD)


@pytest.mark.parametrize(
    "text", [b'\\"', b"\\\\", b'\\\\\\"]},{', b"]}],{[", b"\\ud800", "é]}".encode(), b'\\"' * EDGE, b"{" * 3 * EDGE]
)
@pytest.mark.parametrize("piece", [7, 4_096])
def test_brackets_in_texts_are_none(text: bytes, piece: int) -> None:
    record = b'{"server":{"name":"' + text + b'","more":[{},[[]]]}}'
    assert skimmed(listing(record), piece=piece) == of(record)


@pytest.mark.parametrize(
    "body",
    [
        listing(RECORD + b"," + RECORD),
        listing(RECORD + b",7"),
        listing(b""),
        listing(b"7"),
        listing(b'"' + b"x" * 4 * EDGE + b'"'),
        RECORD,
        b"[" + RECORD + b"]",
        b" " * 5 * EDGE,
        listing(RECORD, before=b'{"count":1,"servers":['),
        listing(RECORD, after=b'],"more":1}'),
        listing(RECORD, after=b'],"metadata":{"nextCursor":{}}}'),
        listing(RECORD)[:-1],
        listing(RECORD, before=b'{"metadata":{},"other":[', after=b"]}"),
    ],
)
def test_what_is_no_page_of_one_record_is_never_stepped_over(body: bytes) -> None:
    with pytest.raises(SourceTooLarge):
        skimmed(body)


def test_a_page_of_two_records_is_left_at_the_second() -> None:
    skim = Skim("")
    skim.feed(b'{"servers":[{"server":{}}')
    with pytest.raises(SourceTooLarge):
        skim.feed(b",{")


def test_blanks_without_end_are_left_soon() -> None:
    skim = Skim("")
    skim.feed(b" " * EDGE)
    with pytest.raises(SourceTooLarge):
        skim.feed(b" " * EDGE)


@pytest.mark.parametrize("limits", [Limits(sent=100_000, unpacked=10**9), Limits(sent=10**9, unpacked=100_000)])
def test_no_more_is_passed_through_than_the_limits(limits: Limits) -> None:
    with pytest.raises(SourceTooLarge, match="more than is passed through"):
        skimmed(listing(RECORD), limits=limits)


def test_a_packed_body_that_ends_too_early_is_malformed() -> None:
    with pytest.raises(SourceMalformed, match="ends too early"):
        skimmed(gzip.compress(listing(RECORD))[:-9], encoding="gzip")


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


@settings(deadline=None)
@given(st.lists(st.dictionaries(st.text(), JSON, max_size=4) | st.lists(JSON, max_size=3), max_size=3), st.integers(0))
def test_any_one_record_is_stepped_over_and_any_other_count_is_not(items: list[Any], seed: int) -> None:
    body = json.dumps({"servers": items, "metadata": {"nextCursor": "c"}}).encode()
    skim, drawn = Skim(""), random.Random(seed)

    def passed() -> Skimmed:
        at = 0
        while at < len(body):
            size = drawn.randrange(1, 40)
            skim.feed(body[at : at + size])
            at += size
        return skim.end()

    if len(items) == 1:
        assert passed() == of(json.dumps(items[0]).encode(), b'{"nextCursor": "c"}')
    else:
        with pytest.raises(SourceTooLarge):
            passed()
