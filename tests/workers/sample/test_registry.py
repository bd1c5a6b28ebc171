"""The official registry's rules, one at a time, and the walk through its pages as a property."""

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from workers.sample.latest import precedence
from workers.sample.registry import Page, RegistryRefused, SampleRegistry
from workers.sample.row import OFFICIAL
from workers.sample.times import micros, read, written

START = datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)


class Clock:
    """A clock, an hour after the start, that goes on by a second whenever it is read."""

    def __init__(self) -> None:
        self.time = START + timedelta(hours=1)

    def __call__(self) -> datetime:
        self.time += timedelta(seconds=1)
        return self.time


def server(name: str = "com.acme/tool", version: str = "1.0.0", **fields: Any) -> dict[str, Any]:
    return {"name": name, "description": "A tool", "version": version, **fields}


def registry(*versions: str, name: str = "com.acme/tool") -> SampleRegistry:
    """The versions of one name, published a second apart from the start on."""
    made = SampleRegistry(now=Clock())
    for seconds, version in enumerate(versions):
        made.publish(server(name, version), at=START + timedelta(seconds=seconds))
    return made


def official(made: SampleRegistry, version: str, name: str = "com.acme/tool") -> dict[str, Any]:
    found = [i for i in made.items() if (i["server"]["name"], i["server"]["version"]) == (name, version)]
    block: dict[str, Any] = found[0]["_meta"][OFFICIAL]
    return block


def latest(made: SampleRegistry) -> list[str]:
    return [item["server"]["version"] for item in made.items() if item["_meta"][OFFICIAL]["isLatest"]]


def listed(made: SampleRegistry, **asked: Any) -> list[tuple[str, str]]:
    by_item = {bytes_of: key for key, bytes_of in encoded(made).items()}
    return [by_item[item] for item in made.page(limit=100, **asked).items]


def encoded(made: SampleRegistry) -> dict[tuple[str, str], bytes]:
    keys = [(item["server"]["name"], item["server"]["version"]) for item in made.items()]
    found = {key: made.version(*key, include_deleted=True) for key in keys}
    return {key: item for key, item in found.items() if item is not None}


# ------------------------------------------------------------------ publishing and the latest


def test_what_is_published_is_active_and_has_one_time() -> None:
    block = official(registry("1.0.0"), "1.0.0")
    assert block["status"] == "active"
    assert block["publishedAt"] == block["updatedAt"] == block["statusChangedAt"] == "2026-03-01T12:00:00.123456Z"
    assert "statusMessage" not in block


@pytest.mark.parametrize(
    ("published", "expected"),
    [
        (["1.9.0", "1.10.0"], "1.10.0"),
        (["1.10.0", "1.9.0"], "1.10.0"),
        (["1.0.0", "1.0.0.post1", "1.0.0.post2"], "1.0.0"),
        (["snapshot", "0.0.1-alpha"], "0.0.1-alpha"),
        (["snapshot", "nightly"], "nightly"),
        (["nightly", "snapshot"], "snapshot"),
        (["3.3.0", "3.3.0.1"], "3.3.0"),
        (["v1.0.0", "v1.1.0"], "v1.1.0"),
        (["1.0.0+a", "1.0.0+b"], "1.0.0+a"),
        (["1.2.3", "1.2.3-1"], "1.2.3"),
        (["1.0.0-alpha.10", "1.0.0-alpha.2", "1.0.0-alpha"], "1.0.0-alpha.10"),
        (["2025.6.18", "2025.06.19"], "2025.6.18"),
        (["1.0.0", "1.0.1º"], "1.0.0"),
    ],
)
def test_the_latest_is_the_highest_semver_else_the_last_published(published: list[str], expected: str) -> None:
    assert latest(registry(*published)) == [expected]


@pytest.mark.parametrize("version", ["", "1", "1.0", "1.0.0.0", "1.0.0-", "01.0.0", "1.0.0-01", "1.0.0-a@1", "٣.0.0"])
def test_what_is_not_exactly_semver_has_no_precedence(version: str) -> None:
    assert precedence(version) is None


def test_the_row_that_stops_being_latest_keeps_its_updated_at() -> None:
    made = registry("1.0.0")
    before = official(made, "1.0.0")
    made.publish(server(version="2.0.0"))
    assert official(made, "1.0.0") == {**before, "isLatest": False}
    assert listed(made, updated_since=START) == [("com.acme/tool", "2.0.0")]


def test_a_version_is_published_once_even_where_it_was_deleted() -> None:
    made = registry("1.0.0")
    made.set_status("com.acme/tool", "1.0.0", "deleted")
    with pytest.raises(RegistryRefused, match="published before"):
        made.publish(server())


# ------------------------------------------------------------------ edits and status


def test_an_edit_bumps_updated_at_only() -> None:
    made = registry("1.0.0")
    made.edit("com.acme/tool", "1.0.0", server(description="Better"))
    block = official(made, "1.0.0")
    assert next(made.items())["server"]["description"] == "Better"
    assert block["updatedAt"] > block["publishedAt"] == block["statusChangedAt"]


def test_a_silent_edit_changes_the_content_and_no_time() -> None:
    made = registry("1.0.0")
    before = official(made, "1.0.0")
    made.edit_silently("com.acme/tool", "1.0.0", server(repository={}))
    assert next(made.items())["server"]["repository"] == {}
    assert official(made, "1.0.0") == before


def test_an_edit_keeps_name_and_version() -> None:
    with pytest.raises(RegistryRefused, match="must keep"):
        registry("1.0.0").edit("com.acme/tool", "1.0.0", server(version="1.0.1"))


def test_a_status_has_its_time_and_message_and_a_new_message_moves_updated_at_alone() -> None:
    made = registry("1.0.0")
    made.set_status("com.acme/tool", "1.0.0", "deprecated", "Use another")
    first = official(made, "1.0.0")
    assert (first["status"], first["statusMessage"]) == ("deprecated", "Use another")
    assert first["statusChangedAt"] == first["updatedAt"] > first["publishedAt"]
    made.set_status("com.acme/tool", "1.0.0", "deprecated", "Use com.acme/other")
    second = official(made, "1.0.0")
    assert second["statusChangedAt"] == first["statusChangedAt"]
    assert second["updatedAt"] > first["updatedAt"]
    made.set_status("com.acme/tool", "1.0.0", "active")
    assert "statusMessage" not in official(made, "1.0.0")


def test_a_status_change_that_changes_nothing_is_refused() -> None:
    with pytest.raises(RegistryRefused, match="already"):
        registry("1.0.0").set_status("com.acme/tool", "1.0.0", "active")


def test_an_active_version_carries_no_message_and_none_is_longer_than_500() -> None:
    made = registry("1.0.0")
    with pytest.raises(RegistryRefused, match="message"):
        made.set_status("com.acme/tool", "1.0.0", "active", "Hello")
    with pytest.raises(RegistryRefused, match="message"):
        made.set_status("com.acme/tool", "1.0.0", "deprecated", "x" * 501)
    made.set_status("com.acme/tool", "1.0.0", "deprecated", "x" * 500)


def test_a_status_for_all_versions_gives_them_one_updated_at() -> None:
    made = registry("1.0.0", "1.1.0", "2.0.0")
    made.set_status_all("com.acme/tool", "deprecated", "Gone elsewhere")
    assert len({item["_meta"][OFFICIAL]["updatedAt"] for item in made.items()}) == 1
    with pytest.raises(RegistryRefused, match="already"):
        made.set_status_all("com.acme/tool", "deprecated", "Gone elsewhere")


def test_deleting_the_latest_promotes_the_next_without_bumping_it() -> None:
    made = registry("1.0.0", "1.10.0", "1.9.0")
    before = official(made, "1.9.0")
    made.set_status("com.acme/tool", "1.10.0", "deleted")
    assert latest(made) == ["1.9.0"]
    assert official(made, "1.9.0") == {**before, "isLatest": True}
    made.set_status("com.acme/tool", "1.10.0", "active")
    assert latest(made) == ["1.10.0"]


def test_where_all_versions_are_deleted_the_highest_stays_latest_and_is_not_shown() -> None:
    made = registry("1.0.0", "2.0.0")
    made.set_status_all("com.acme/tool", "deleted")
    assert latest(made) == ["2.0.0"]
    assert made.version("com.acme/tool", "latest") is None
    assert made.version("com.acme/tool", "latest", include_deleted=True) is not None
    assert listed(made, version="latest") == []


def test_a_removed_version_leaves_no_trace_and_the_next_becomes_latest() -> None:
    made = registry("1.0.0", "2.0.0")
    made.remove("com.acme/tool", "2.0.0")
    assert latest(made) == ["1.0.0"]
    made.remove("com.acme/tool", "1.0.0")
    assert (len(made), made.page().items, made.versions("com.acme/tool", include_deleted=True)) == (0, [], [])
    with pytest.raises(RegistryRefused, match="never published"):
        made.remove("com.acme/tool", "1.0.0")


# ------------------------------------------------------------------ listings


def test_deleted_versions_are_listed_when_asked_for_and_always_with_updated_since() -> None:
    made = registry("1.0.0", "2.0.0")
    made.set_status("com.acme/tool", "1.0.0", "deleted")
    both = [("com.acme/tool", "1.0.0"), ("com.acme/tool", "2.0.0")]
    assert listed(made) == both[1:]
    assert listed(made, include_deleted=True) == both
    assert listed(made, updated_since=START - timedelta(days=1)) == both


def test_updated_since_is_strict() -> None:
    made = SampleRegistry(now=Clock())
    made.publish(server(), at=START)
    assert listed(made, updated_since=START) == []
    assert listed(made, updated_since=START - timedelta(microseconds=1)) == [("com.acme/tool", "1.0.0")]


def test_a_version_filter_is_exact_over_all_names_and_latest_is_a_word_of_its_own() -> None:
    made = registry("1.0.0", "1.0.00", "2.0.0")
    made.publish(server("com.other/tool", "1.0.0"))
    assert listed(made, version="1.0.0") == [("com.acme/tool", "1.0.0"), ("com.other/tool", "1.0.0")]
    assert listed(made, version="latest") == [("com.acme/tool", "2.0.0"), ("com.other/tool", "1.0.0")]


@pytest.mark.parametrize("search", ["TOOL", "acme/", "PAGES of", "straße", 'so-called "pages"'])
def test_search_finds_a_part_of_name_or_description_whatever_the_case(search: str) -> None:
    made = SampleRegistry(now=Clock())
    made.publish(server(description='All pages of the Straße, so-called "pages"', websiteUrl="https://wiki.example"))
    assert listed(made, search=search) == [("com.acme/tool", "1.0.0")]


@pytest.mark.parametrize("search", ["t_ol", "%", "wiki", "updatedAt"])
def test_search_knows_no_wildcards_and_looks_at_nothing_else(search: str) -> None:
    made = SampleRegistry(now=Clock())
    made.publish(server(websiteUrl="https://wiki.example"))
    assert listed(made, search=search) == []


def test_conditions_are_joined_by_and() -> None:
    made = registry("1.0.0", "2.0.0", "3.0.0-rc.1")
    made.publish(server("com.acme/other", "2.0.0"), at=START)
    made.publish(server("com.other/tool", "2.0.0"))
    assert listed(made, search="acme", version="latest", updated_since=START) == [("com.acme/tool", "3.0.0-rc.1")]


def test_rows_come_in_byte_order_with_versions_as_text() -> None:
    made = SampleRegistry(now=Clock())
    names = ["io.github.b/x", "io.github.B/x", "io.github.b/é", "io.github.b/\U0001f600", "io.github.b/\uffee"]
    for name in names:
        made.publish(server(name, "0.9"))
        made.publish(server(name, "0.10"))
    keys = listed(made)
    assert keys == sorted(keys, key=lambda key: tuple(part.encode() for part in key))
    assert keys[:2] == [("io.github.B/x", "0.10"), ("io.github.B/x", "0.9")]


def test_versions_come_last_published_first() -> None:
    made = registry("1.9.0", "1.10.0", "1.2.0")
    items = encoded(made)
    assert made.versions("com.acme/tool") == [items["com.acme/tool", v] for v in ("1.2.0", "1.10.0", "1.9.0")]


# ------------------------------------------------------------------ cursors


def test_a_full_page_names_a_next_one_even_where_it_is_empty() -> None:
    made = registry("1.0.0", "2.0.0")
    assert made.page(limit=2).next_cursor == "com.acme/tool:2.0.0"
    assert made.page(cursor="com.acme/tool:2.0.0", limit=2) == Page([], None)
    assert made.page(limit=3).next_cursor is None


@pytest.mark.parametrize(
    ("cursor", "left"),
    [
        ("", ["1.0.0", "1.0.0:rc"]),
        ("com.acme/tool:", ["1.0.0", "1.0.0:rc"]),
        ("com.acme/tool:1.0.0", ["1.0.0:rc"]),
        ("com.acme/tool:1.0.0:rc", []),
        ("com.acme/tool", []),
        ("com.acme/too", ["1.0.0", "1.0.0:rc"]),
        (":", ["1.0.0", "1.0.0:rc"]),
        ("zzz", []),
        ("\U0001f600:::", []),
    ],
)
def test_a_cursor_is_a_place_and_splits_at_its_first_colon(cursor: str, left: list[str]) -> None:
    made = registry("1.0.0", "1.0.0:rc")
    assert listed(made, cursor=cursor) == [("com.acme/tool", version) for version in left]


def test_a_row_published_behind_the_cursor_is_missed_and_one_before_it_is_met() -> None:
    made = registry("1.0.0", name="m.m/m")
    cursor = made.page(limit=1).next_cursor or ""
    made.publish(server("a.a/a"))
    made.publish(server("z.z/z"))
    assert listed(made, cursor=cursor) == [("z.z/z", "1.0.0")]


PARTS = st.text(st.sampled_from("abAB09.:-+é\U0001f600"), max_size=4)


@given(
    st.dictionaries(st.tuples(PARTS.map(lambda part: part.replace(":", "")), PARTS), st.booleans(), max_size=25),
    st.integers(1, 100),
)
def test_walking_by_cursor_meets_every_visible_row_once_in_byte_order(
    rows: dict[tuple[str, str], bool], limit: int
) -> None:
    made = SampleRegistry(now=Clock())
    for name, version in rows:
        made.publish(server(f"n{name}", version))
    for (name, version), deleted in rows.items():
        if deleted:
            made.set_status(f"n{name}", version, "deleted")
    items = encoded(made)
    visible = [(f"n{name}", version) for (name, version), deleted in rows.items() if not deleted]
    expected = sorted(visible, key=lambda key: (key[0].encode(), key[1].encode()))
    assert walk(made, limit) == [items[key] for key in expected]


def walk(made: SampleRegistry, limit: int) -> list[bytes]:
    met: list[bytes] = []
    cursor: str | None = ""
    while cursor is not None:
        page = made.page(cursor=cursor, limit=limit)
        met += page.items
        cursor = page.next_cursor
    return met


@given(st.lists(st.sampled_from(["1.0.0", "1.1.0", "1.1.0-rc.1", "1.1.0+b", "nightly", "1.0"]), unique=True))
def test_loading_gives_the_same_latest_as_publishing_one_by_one(versions: list[str]) -> None:
    published = registry(*versions)
    assert list(SampleRegistry(published.items()).items()) == list(published.items())


def test_loading_the_same_version_twice_is_refused() -> None:
    with pytest.raises(RegistryRefused, match="twice"):
        SampleRegistry([{"server": server()}, {"server": server()}])


# ------------------------------------------------------------------ times


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-03-01T12:00:00.123456Z", "2026-03-01T12:00:00.123456Z"),
        ("2026-03-01T12:00:00.120000Z", "2026-03-01T12:00:00.12Z"),
        ("2026-03-01T14:00:00+02:00", "2026-03-01T12:00:00Z"),
        ("2026-03-01T12:00:00.123456789Z", "2026-03-01T12:00:00.123456Z"),
    ],
)
def test_times_are_written_in_utc_without_trailing_zeros(text: str, expected: str) -> None:
    instant = read(text)
    assert instant is not None
    assert written(instant) == expected


@pytest.mark.parametrize(
    "text", ["", "2026-03-01", "2026-03-01T12:00:00", "2026-03-01 12:00:00Z", "2026-02-30T00:00:00Z"]
)
def test_what_is_not_rfc_3339_with_a_zone_is_no_time(text: str) -> None:
    assert read(text) is None


@given(st.datetimes(timezones=st.just(UTC)))
def test_a_time_written_and_read_is_the_same(moment: datetime) -> None:
    assert read(written(micros(moment))) == micros(moment)
