"""What an upstream's JSON means, whichever parser reads it."""

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.text import digest
from workers.parsing import DEEPEST, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)


def nested(depth: int, core: str = "") -> str:
    return "[" * depth + core + "]" * depth


def innermost(value: Any) -> tuple[int, Any]:
    depth = 0
    while isinstance(value, list) and value:
        value, depth = value[0], depth + 1
    return depth, value


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("18446744073709551615", 2**64 - 1),
        ("18446744073709551616", 2**64),
        ("-9223372036854775809", -(2**63) - 1),
        ("1" * 4300, int("1" * 4300)),
        ("1" * 4301, "1" * 4301),
        ("1e400", "1e400"),
        ("-1e400", "-1e400"),
        ('"\\ud800"', "\ud800"),
        ('"1234567890123456789012"', "1234567890123456789012"),
    ],
)
def test_what_orjson_cannot_hold_is_kept_as_written(text: str, value: Any) -> None:
    (found, neighbour) = parse(f"[{text}, 1.5]".encode())
    assert found == value
    assert type(found) is type(value)
    assert neighbour == 1.5


@pytest.mark.parametrize("text", ["NaN", "Infinity", "-Infinity"])
def test_what_is_no_number_is_nothing_and_stops_no_page(text: str) -> None:
    assert parse(f'{{"name": {text}, "other": 1.5}}'.encode()) == {"name": None, "other": 1.5}


def test_a_byte_order_mark_is_passed_over() -> None:
    assert parse(b"\xef\xbb\xbf[1]") == [1]


def test_as_deep_as_can_be_written_stays_a_value() -> None:
    assert innermost(parse(nested(DEEPEST).encode())) == (DEEPEST - 1, [])


@pytest.mark.parametrize("deeper", [1, 2, 700, 800, 2_000, 9_000])
def test_what_lies_deeper_is_kept_as_its_own_json(deeper: int) -> None:
    depth, text = innermost(parse(nested(DEEPEST + deeper, '{"a]":"\\"["}').encode()))
    assert depth == DEEPEST
    assert text == nested(deeper, '{"a]":"\\"["}')


def test_deep_neighbours_are_each_kept_and_the_rest_is_whole() -> None:
    deep = nested(DEEPEST + 5)
    value = parse(f'{{"a": {deep}, "b": [{deep}, 1], "c": "[[["}}'.encode())
    assert value["b"][1] == 1
    assert value["c"] == "[[["
    assert innermost(value["a"])[1] == nested(6)


@pytest.mark.parametrize("depth", [DEEPEST - 1, DEEPEST, DEEPEST + 1, 600])
def test_a_value_is_the_same_beside_what_orjson_refuses(depth: int) -> None:
    alone = parse(f"[{nested(depth - 1)}, 1]".encode())[0]
    beside = parse(f"[{nested(depth - 1)}, 1e400]".encode())[0]
    assert alone == beside


@given(JSON, st.sampled_from(["", " ", "\n"]))
def test_what_is_written_as_it_came_is_read_without_loss_as_well(value: Any, after: str) -> None:
    compact = json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode(errors="replace")
    assert digest(parse(compact + after.encode())) == digest(parse(b"[1e400, " + compact + b"]")[1])


@given(JSON)
def test_both_parsers_give_the_same_digest(value: Any) -> None:
    text = json.dumps(value)
    quick = parse(f"[{text}, 1]".encode())[0]
    careful = parse(f"[{text}, 1e400]".encode())[0]
    assert digest(quick) == digest(careful)
    assert careful == value
