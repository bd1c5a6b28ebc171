"""JSON as the log keeps it, and the digest by which two records are the same."""

import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.text import ascii_json, canonical, digest, read_json
from tests.schemas.generated import json_values

FINITE = json_values().filter(lambda value: not {"nan", "inf"} & set(json_words(value)))


def json_words(value: Any) -> list[str]:
    """The numbers of a value that JSON has no word for."""
    if isinstance(value, float):
        return [] if math.isfinite(value) else ["nan" if math.isnan(value) else "inf"]
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    return [word for item in inner for word in json_words(item)]


@given(FINITE)
def test_a_value_is_read_back_as_it_was_written(value: Any) -> None:
    text = ascii_json(value)
    assert text.isascii()
    assert repr(read_json(text)) == repr(value)
    assert digest(read_json(text)) == digest(value)


@given(json_values())
def test_whatever_is_written_can_be_read_and_has_the_same_digest(value: Any) -> None:
    assert digest(read_json(ascii_json(value))) == digest(value)


@pytest.mark.parametrize("beside", ["", "é", "\ud800", 2**70])
@pytest.mark.parametrize("number", [math.inf, -math.inf, math.nan])
def test_what_json_has_no_word_for_does_not_make_the_log_unreadable(number: float, beside: Any) -> None:
    text = ascii_json([number, beside])
    assert read_json(text)[1] == beside
    assert digest(read_json(text)) == digest([number, beside])


@given(st.dictionaries(st.text(), FINITE), st.randoms(use_true_random=False))
def test_the_order_of_keys_does_not_change_a_digest(value: dict[str, Any], rng: Any) -> None:
    keys = list(value)
    rng.shuffle(keys)
    assert digest({key: value[key] for key in keys}) == digest(value)


def test_the_order_of_keys_is_kept() -> None:
    assert list(read_json(ascii_json({"b": 1, "a": 2, "é": 3}))) == ["b", "a", "é"]
    assert list(read_json(ascii_json({"b": 1, "a": "\ud800"}))) == ["b", "a"]


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, 1.0),
        (1, True),
        (0, False),
        ("1", 1),
        (None, "null"),
        ({}, []),
        ([1, 2], [2, 1]),
        ("é", "e\u0301"),
        (2**64, float(2**64)),
    ],
)
def test_values_that_differ_have_different_digests(a: Any, b: Any) -> None:
    assert digest(a) != digest(b)


def test_a_digest_is_that_of_sorted_utf_8() -> None:
    assert canonical({"b": [1, {"d": None, "c": "é"}], "a": 0.5}) == '{"a":0.5,"b":[1,{"c":"é","d":null}]}'.encode()


def test_deep_nesting_is_kept() -> None:
    value: Any = 1
    for _ in range(254):
        value = [value]
    assert read_json(ascii_json(value)) == value
    assert read_json(ascii_json([value])) == [value]
    assert digest([value]) != digest(value)


def test_text_is_what_the_standard_library_reads_too() -> None:
    value = {"a": "é\u2028\x00", "b": [1.5, 10**20], "c": "\ud800"}
    assert json.loads(ascii_json(value)) == value
