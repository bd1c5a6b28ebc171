"""Names, and the text that a database would refuse."""

import hashlib
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.names import (
    LONGEST_NAME,
    ListingKey,
    ServerName,
    SourceName,
    crawls_stream,
    displayable,
    document_id,
    fits,
    listing_stream,
    slot,
    storable,
)
from tests.schemas.generated import json_values

TEXT = st.text(st.characters() | st.sampled_from("\x00\u241b\ud800\udfff-=d8"))


@given(TEXT)
def test_storable_text_can_be_stored(text: str) -> None:
    stored = storable(text)
    assert "\x00" not in stored
    assert stored.encode().decode() == stored


@given(TEXT, TEXT)
def test_texts_that_differ_are_stored_differently(a: str, b: str) -> None:
    assert (storable(a) == storable(b)) is (a == b)


@given(st.text(st.characters(exclude_characters="\x00\u241b", exclude_categories=["Cs"])))
def test_ordinary_text_is_stored_as_it_is(text: str) -> None:
    assert storable(text) == text
    assert displayable(text) == text


def test_what_is_refused_is_written_with_a_sign() -> None:
    assert storable("a\x00b\ud800c\u241bd") == "a\u241b0000b\u241bd800c\u241b241bd"
    assert storable("\udfff") != storable(storable("\udfff"))


@given(TEXT)
def test_displayable_text_can_be_shown(text: str) -> None:
    shown = displayable(text)
    assert "\x00" not in shown
    assert shown.encode().decode() == shown


def test_for_people_surrogates_are_replaced_and_nul_is_left_out() -> None:
    assert displayable("a\x00b\ud800c") == "ab\ufffdc"


def test_a_version_is_kept_by_its_text() -> None:
    assert slot("1.0.0") == "1.0.0"
    assert slot("") == ""
    assert slot(None) == "\u241b-"
    assert slot(5) == "\u241b=5"
    assert slot("a\x00") == "a\u241b0000"


@given(json_values(), json_values())
def test_only_the_same_version_is_kept_in_the_same_place(a: Any, b: Any) -> None:
    if slot(a) == slot(b):
        assert repr(a) == repr(b) or isinstance(a, dict | list)  # the order of keys is none


@given(json_values())
def test_any_version_has_a_place(version: Any) -> None:
    slot(version).encode()


def test_names_fit_by_their_bytes() -> None:
    assert fits("a" * LONGEST_NAME)
    assert not fits("a" * (LONGEST_NAME + 1))
    assert fits("é" * (LONGEST_NAME // 2))
    assert not fits("é" * (LONGEST_NAME // 2 + 1))
    assert fits("\ud800" * (LONGEST_NAME // 3))
    assert not fits("\ud800" * (LONGEST_NAME // 3 + 1))
    assert fits("")


def test_streams_have_names() -> None:
    assert listing_stream(SourceName("official"), ListingKey("a/b")) == "listing/official/a/b"
    assert crawls_stream(SourceName("official")) == "crawls/official"


@pytest.mark.parametrize("name", ["com.example/a", "com.example/A", "日本/é", "a\ud800"])
def test_a_documents_id_is_the_beginning_of_a_hash(name: str) -> None:
    found = document_id(ServerName(name))
    assert found == hashlib.sha256(name.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    assert len(found) == 32


def test_case_matters_in_a_name() -> None:
    assert document_id(ServerName("com.example/a")) != document_id(ServerName("com.example/A"))
