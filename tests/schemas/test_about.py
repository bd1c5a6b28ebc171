import copy
from datetime import UTC, datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.about import OFFICIAL, About, _read_micros, read_about, read_micros, read_time, unwrap
from tests.schemas.generated import json_values
from tests.schemas.upstream import seed, snapshots

PUBLISHERS = "io.modelcontextprotocol.registry/publisher-provided"
AT = datetime(2025, 9, 10, 14, 30, 1, 500_000, tzinfo=UTC)
PUBLISHED, UPDATED = 1_757_514_601_500_000, 1_757_577_600_000_000
SERVER = {"name": "com.example/a", "description": "A server", "version": "1"}
SILENT = About("active", None, None, None, None, None)


def test_flat_items_in_snake_case() -> None:
    official = {
        "id": "5b4f",
        "published_at": "2025-09-10T14:30:01.500000000Z",
        "updated_at": "2025-09-11T08:00:00Z",
        "is_latest": True,
    }
    record, meta = unwrap({**SERVER, "status": "deprecated", "_meta": {OFFICIAL: official}})
    assert record == SERVER
    assert meta == {OFFICIAL: {**official, "status": "deprecated"}}
    assert read_about(meta) == About("deprecated", None, PUBLISHED, UPDATED, PUBLISHED, True)


def test_flat_items_in_camel_case() -> None:
    official = {
        "serverId": "a",
        "versionId": "b",
        "publishedAt": "2025-09-10T14:30:01.5Z",
        "updatedAt": "2025-09-11T08:00:00Z",
    }
    record, meta = unwrap({**SERVER, "_meta": {OFFICIAL: official, PUBLISHERS: {"tool": "x"}}})
    assert record == {**SERVER, "_meta": {PUBLISHERS: {"tool": "x"}}}
    assert meta == {OFFICIAL: official}
    assert read_about(meta) == About("active", None, PUBLISHED, UPDATED, PUBLISHED, None)


def test_wrapped_items() -> None:
    item = {
        "server": {**SERVER, "status": "mine", "_meta": {OFFICIAL: {"status": "mine too"}}},
        "_meta": {
            OFFICIAL: {
                "status": "deleted",
                "publishedAt": "2025-09-10T14:30:01.5Z",
                "updatedAt": "2025-09-11T08:00:00Z",
                "isLatest": False,
            }
        },
    }
    record, meta = unwrap(item)
    assert record is item["server"]
    assert meta is item["_meta"]
    assert read_about(meta) == About("deleted", None, PUBLISHED, UPDATED, PUBLISHED, False)


def test_wrapped_items_that_tell_when_and_why_the_status_changed() -> None:
    official = {
        "status": "deprecated",
        "statusChangedAt": "2026-03-08T01:02:03.4+02:00",
        "statusMessage": "Use b",
        "publishedAt": "2025-09-10T14:30:01.5Z",
        "updatedAt": "2025-09-11T08:00:00Z",
        "isLatest": True,
    }
    changed = 1_772_924_523_400_000
    assert read_about({OFFICIAL: official}) == About("deprecated", "Use b", PUBLISHED, UPDATED, changed, True)


def test_items_wrapped_under_the_key_of_august_2025() -> None:
    said = {
        "id": "5b4f",
        "published_at": "2025-09-10T14:30:01.5Z",
        "updated_at": "2025-09-11T08:00:00Z",
        "is_latest": True,
    }
    server = {"name": "com.example/a", "status": "deleted", "version_detail": {"version": "1"}}
    record, meta = unwrap({"server": server, "x-io.modelcontextprotocol.registry": said})
    assert record == {"name": "com.example/a", "version_detail": {"version": "1"}}
    assert meta == {"x-io.modelcontextprotocol.registry": {**said, "status": "deleted"}}
    assert read_about(meta) == About("deleted", None, PUBLISHED, UPDATED, PUBLISHED, True)


def test_flat_items_under_the_key_of_september_2025() -> None:
    said = {"published_at": "2025-09-10T14:30:01.5Z", "updated_at": "2025-09-11T08:00:00Z", "is_latest": False}
    record, meta = unwrap({**SERVER, "_meta": {"io.modelcontextprotocol.registry": said}, "status": "active"})
    assert record == SERVER
    assert meta == {OFFICIAL: {**said, "status": "active"}}
    assert read_about(meta) == About("active", None, PUBLISHED, UPDATED, PUBLISHED, False)


def test_items_of_the_first_months_tell_of_the_version_in_its_detail() -> None:
    detail = {"version": "1", "release_date": "2025-09-10T14:30:01.5Z", "is_latest": True}
    record, meta = unwrap({"name": "com.example/a", "version_detail": detail})
    assert record == {"name": "com.example/a", "version_detail": {"version": "1"}}
    assert read_about(meta) == About("active", None, PUBLISHED, None, PUBLISHED, True)


def test_where_the_registry_said_nothing_there_is_no_meta() -> None:
    for record in (SERVER, {**SERVER, "_meta": {}}, {**SERVER, "_meta": {PUBLISHERS: {}}}, {**SERVER, "_meta": 5}):
        assert unwrap(record) == (record, None)
        assert unwrap({"server": record}) == (record, None)
    assert read_about(None) == SILENT


@pytest.mark.parametrize("item", [None, [], [SERVER], "a", 5, True])
def test_what_is_no_object_is_left_alone(item: Any) -> None:
    assert unwrap(item) == (item, None)


def test_a_document_with_a_name_is_not_a_wrapper() -> None:
    assert unwrap({**SERVER, "server": {"name": "other"}}) == ({**SERVER, "server": {"name": "other"}}, None)
    assert unwrap({"server": None, "_meta": {}}) == (None, {})


def test_both_forms_of_one_server_give_one_record() -> None:
    official = {"publishedAt": "2025-09-10T14:30:01.5Z"}
    flat = {**SERVER, "status": "active", "_meta": {OFFICIAL: official}}
    assert unwrap(flat) == unwrap({"server": SERVER, "_meta": {OFFICIAL: {**official, "status": "active"}}})


@pytest.mark.parametrize("status", ["ACTIVE", "removed", "", None, 5, ["deleted"], {}])
def test_an_unknown_status_is_read_as_active(status: Any) -> None:
    assert read_about({OFFICIAL: {"status": status}}) == SILENT


def test_a_status_that_changed_when_1970_began_has_a_time_of_its_own() -> None:
    block = {"publishedAt": "2025-09-10T14:30:01.5Z", "statusChangedAt": "1970-01-01T00:00:00Z"}
    assert read_about({OFFICIAL: block}) == About("active", None, PUBLISHED, None, 0, None)


def test_of_several_blocks_the_official_one_tells() -> None:
    other = {"status": "deleted", "publishedAt": "2025-09-10T14:30:01.5Z"}
    assert read_about({"com.example/a": other, OFFICIAL: {}}) == SILENT
    assert read_about({"com.example/a": {"score": 5}, "com.pulsemcp/server-version": other}).status == "deleted"
    assert read_about({PUBLISHERS: other}) == SILENT
    second = {"published_at": "2025-09-11T08:00:00Z"}
    assert read_about({"b": second, "a": other}) == read_about({"a": other, "b": second}) == read_about({"a": other})


def test_wrong_types_are_read_as_absent() -> None:
    block = dict.fromkeys(["statusMessage", "publishedAt", "updatedAt", "statusChangedAt", "isLatest"], 1)
    assert read_about({OFFICIAL: block}) == SILENT
    assert read_about({OFFICIAL: 5}) == read_about([OFFICIAL]) == read_about("deleted") == SILENT


@pytest.mark.parametrize(
    ("text", "time"),
    [
        ("2025-09-10T14:30:01Z", datetime(2025, 9, 10, 14, 30, 1, tzinfo=UTC)),
        ("2025-09-10T14:30:01.5Z", AT),
        ("2025-09-10t14:30:01.500z", AT),
        ("2025-09-10 14:30:01.50000+00:00", AT),
        ("2025-09-10T14:30:01.500000499Z", AT),
        ("2025-09-10T14:30:01.4999995-00:00", AT),
        ("2025-09-10T14:30:01.5000005Z", AT),
        ("2025-09-10T14:30:01.500000501Z", AT.replace(microsecond=500_001)),
        ("2025-09-10T14:30:00.999999999Z", datetime(2025, 9, 10, 14, 30, 1, tzinfo=UTC)),
        ("2025-09-11T00:00:01.5+09:30", AT),
        ("2025-09-10T00:30:01.5-14:00", AT),
        ("0001-01-01T00:00:00Z", datetime(1, 1, 1, tzinfo=UTC)),
        ("1969-12-31T23:59:59.9999994Z", datetime(1969, 12, 31, 23, 59, 59, 999_999, tzinfo=UTC)),
        ("1969-12-31T23:59:59.9999985Z", datetime(1969, 12, 31, 23, 59, 59, 999_998, tzinfo=UTC)),
        ("1969-12-31T23:59:59.9999995Z", datetime(1970, 1, 1, tzinfo=UTC)),
    ],
)
def test_times_are_read(text: str, time: datetime) -> None:
    assert read_time(text) == time
    assert read_time(text).tzinfo is UTC  # type: ignore[union-attr]
    assert read_micros(text) == (time - datetime(1970, 1, 1, tzinfo=UTC)) // timedelta(microseconds=1)


@pytest.mark.parametrize(
    "text",
    [
        *("", "2025-09-10", "2025-09-10T14:30:01", "2025-09-10T14:30Z", "20250910T143001Z", "2025-W37-3T14:30:01Z"),
        *("2025-02-30T00:00:00Z", "2025-13-01T00:00:00Z", "2025-09-10T24:00:00Z", "2025-09-10T14:30:01,5Z"),
        *("2025-09-10T14:30:01.Z", "2025-09-10T14:30:01+2:00", "2025-09-10T14:30:01+0200", "2025-09-10T14:30:01+24:00"),
        *("0000-01-01T00:00:00Z", "10000-01-01T00:00:00Z", "9999-12-31T23:59:59-01:00", "0001-01-01T00:00:00+01:00"),
        *(
            "9999-12-31T23:59:59.9999999Z",
            "٢٠٢٥-09-10T14:30:01Z",
            " 2025-09-10T14:30:01Z",
            "2025-09-10T14:30:01Z\n",
            "2025-09-10T14:30:61Z",
            "\ud800",
        ),
    ],
)
def test_what_is_no_time_is_none(text: str) -> None:
    assert read_time(text) is None
    assert read_micros(text) is None


def test_what_is_too_long_for_a_time_is_not_remembered() -> None:
    longest = "2025-09-10T14:30:01.123456789+00:00"
    assert read_micros(longest) == 1_757_514_601_123_457
    before = _read_micros.cache_info()
    assert read_micros(longest + "0") is None
    assert _read_micros.cache_info() == before


@given(
    st.datetimes(min_value=datetime(1, 1, 3), max_value=datetime(9999, 12, 29)),  # noqa: DTZ001 - the zone is drawn apart
    st.integers(-23 * 60 - 59, 23 * 60 + 59),
)
def test_a_time_written_is_the_time_read(local: datetime, minutes: int) -> None:
    time = local.replace(tzinfo=timezone(timedelta(minutes=minutes)))
    assert read_time(time.isoformat()) == time


@given(
    st.tuples(
        st.sampled_from(["2025-09-10", "2024-02-29", "2025-02-29", "0000-01-01", "9999-12-31", "2025-W37-3"]),
        st.sampled_from("Tt _"),
        st.sampled_from(["00", "19", "23", "24", "29", "1", "١٢", "-1"]),
        st.sampled_from([":", ".", ""]),
        st.sampled_from(["00", "59", "60", "Z\x00", "5Z"]),
        st.sampled_from([":", ""]),
        st.sampled_from(["00", "59", "60", "Z\x00"]),
        st.sampled_from(["", ".", ",", ".5", ".500000", ".4999995", ".5Z\x000", ".٥", ".5+00", ".5\ud800"]),
    ).map("".join)
)
def test_it_is_the_same_time_whichever_way_its_zone_is_written(local: str) -> None:
    assert read_micros(local + "Z") == read_micros(local + "+00:00")


@given(json_values())
@settings(deadline=None)
def test_any_json_value_can_be_unwrapped_and_read(value: Any) -> None:
    for item in (
        value,
        {"server": value, "_meta": value},
        {"server": value, "x-io.modelcontextprotocol.registry": value},
        {**SERVER, "status": value, "_meta": value},
        {**SERVER, "_meta": {OFFICIAL: value, PUBLISHERS: value}, "version_detail": value},
        {"status": value, "_meta": {OFFICIAL: {"publishedAt": value, "status": value, "isLatest": value}}},
    ):
        before = copy.deepcopy(item)
        _, meta = unwrap(item)
        assert repr(item) == repr(before)
        assert isinstance(read_about(meta), About)
    assert isinstance(read_about(value), About)
    assert read_time(value) is None


@given(st.dictionaries(st.sampled_from(["name", "version", "title", "_meta", "packages"]), json_values()))
@settings(deadline=None)
def test_nothing_but_the_registrys_words_is_taken_from_a_document(document: dict[str, Any]) -> None:
    record, meta = unwrap({**document, "status": "deleted"})
    if OFFICIAL not in str(document):
        assert repr(record) == repr(document)
    assert read_about(meta).status == "deleted"


WITH_TIMES = (
    *("registry-seed-2025-08-23", "registry-seed-2025-08-30", "registry-seed-2025-09-05", "registry-seed-2025-09-08"),
    *("registry-seed-2025-09-21", "official-wire-2025-09-15", "official-wire-2025-09-22"),
    *("official-wire-2025-09-26-flat", "official-wire-2025-09-30-broken-crawl", "official-full-2025-11-14"),
    "official-latest-lite-2026-06-12",
)


@pytest.mark.upstream
@pytest.mark.parametrize("name", WITH_TIMES)
def test_every_recorded_item_tells_its_times(shared: Path, name: str) -> None:
    for item in seed(shared, name):
        assert_told(item)


@pytest.mark.upstream
@pytest.mark.parametrize("name", ["registry-seed-2025-05-16", "registry-seed-2025-08-06"])
def test_every_item_of_the_first_months_tells_its_release(shared: Path, name: str) -> None:
    for item in seed(shared, name):
        about = read_about(unwrap(item)[1])
        released = item["version_detail"]["version"] != ""
        assert (about.published_at is not None) is released
        assert about.is_latest is released


@pytest.mark.upstream
def test_every_item_of_two_months_tells_its_times(shared: Path) -> None:
    for item in snapshots(shared):
        assert_told(item)


def assert_told(item: Any) -> None:
    record, meta = unwrap(item)
    about = read_about(meta)
    assert None not in (about.published_at, about.updated_at, about.status_changed_at, about.is_latest), item
    assert "status" not in record
    assert OFFICIAL not in record.get("_meta", {})
