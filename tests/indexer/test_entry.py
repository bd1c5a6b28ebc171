"""How the listings of a server are merged."""

from itertools import permutations
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.entry import Entry, SourceRules, merge
from indexer.versions import Version
from schemas.names import Digest, ListingKey, ServerName, SourceName, slot
from tests.indexer.made import NAME

SERVER = ServerName(NAME)


def version(number: Any = "1.0.0", source: str = "official", **more: Any) -> Version:
    """A version as one source shows it; told apart by its digest."""
    fields: dict[str, Any] = {
        "source": SourceName(source),
        "key": ListingKey(NAME),
        "slot": slot(number),
        "name": SERVER,
        "version": number if isinstance(number, str) else None,
        "digest": Digest(f"{source} {number}"),
        "status": "active",
        "status_message": None,
        "published_at": 1,
        "updated_at": 1,
        "first_seen_at": 5,
        "position": 10,
        "withdrawn": False,
        "valid": True,
    }
    return Version(**(fields | more))


def rules(trust: int = 100, position: int = 1, **more: Any) -> SourceRules:
    filters: dict[str, Any] = {"include": (), "exclude": (), "enabled": True}
    return SourceRules(**(filters | more), trust=trust, position=position)


def merged(*versions: Version, **sources: SourceRules) -> Entry:
    """The entry, the same in whatever order the versions come."""
    of = {SourceName(name): one for name, one in (sources or {"official": rules()}).items()}
    entries = [merge(SERVER, some, of) for some in permutations(versions)]
    assert all(entry == entries[0] for entry in entries)
    return entries[0]


def latest(entry: Entry) -> str | None:
    return None if entry.latest is None else entry.latest.digest


def test_the_latest_version_is_derived() -> None:
    entry = merged(version("1.9.0"), version("1.10.0"), version("x"), version("1.10.0-rc.1"))
    assert latest(entry) == "official 1.10.0"
    assert [one.version for one in entry.versions] == ["1.10.0", "1.10.0-rc.1", "1.9.0", "x"]
    assert entry.version_count == 4
    assert entry.sources == ("official",)
    assert entry.name == NAME


def test_a_deleted_version_is_never_the_latest() -> None:
    entry = merged(version("1.0.0"), version("2.0.0", status="deleted"))
    assert latest(entry) == "official 1.0.0"
    assert [one.version for one in entry.versions] == ["2.0.0", "1.0.0"]
    assert entry.version_count == 1


def test_a_deprecated_version_may_be_the_latest() -> None:
    assert latest(merged(version("1.0.0"), version("2.0.0", status="deprecated"))) == "official 2.0.0"


def test_a_server_whose_versions_are_all_deleted_has_no_latest() -> None:
    entry = merged(version("1.0.0", status="deleted"), version("2.0.0", status="deleted"))
    assert entry.latest is None
    assert len(entry.versions) == 2
    assert entry.version_count == 0
    assert entry.sources == ()


def test_a_version_is_taken_from_the_source_that_is_trusted_most() -> None:
    here, there = version(source="a"), version(source="b")
    assert latest(merged(here, there, a=rules(1), b=rules(2))) == "b 1.0.0"
    assert latest(merged(here, there, a=rules(2), b=rules(1))) == "a 1.0.0"
    assert latest(merged(here, there, a=rules(-2), b=rules(-1))) == "b 1.0.0"


def test_of_sources_trusted_alike_the_name_decides() -> None:
    assert latest(merged(version(source="b"), version(source="a"), a=rules(), b=rules())) == "a 1.0.0"


def test_a_newer_version_of_a_source_trusted_less_is_the_latest() -> None:
    entry = merged(version("1.0.0", "a"), version("2.0.0", "b"), a=rules(9), b=rules(1))
    assert latest(entry) == "b 2.0.0"
    assert entry.sources == ("a", "b")


def test_a_mirror_does_not_raise_a_deleted_version_from_the_dead() -> None:
    deleted, copy = version(source="official", status="deleted"), version(source="mirror")
    assert merged(deleted, copy, official=rules(100), mirror=rules(1)).latest is None
    entry = merged(deleted, copy, version("0.9.0"), official=rules(100), mirror=rules(1))
    assert latest(entry) == "official 0.9.0"


def test_a_withdrawn_version_is_not_listed() -> None:
    entry = merged(version("1.0.0"), version("2.0.0", withdrawn=True))
    assert latest(entry) == "official 1.0.0"
    assert [one.version for one in entry.versions] == ["1.0.0"]
    assert merged(version(withdrawn=True)).latest is None


def test_what_one_source_withdrew_another_may_still_list() -> None:
    entry = merged(version(source="a", withdrawn=True), version(source="b"), a=rules(9), b=rules(1))
    assert latest(entry) == "b 1.0.0"
    assert entry.sources == ("b",)


@pytest.mark.parametrize(
    ("more", "shown"),
    [
        ({}, True),
        ({"include": ("com.example/*",)}, True),
        ({"include": ("io.github.*", "com.*")}, True),
        ({"include": ("io.github.*",)}, False),
        ({"include": ("com.example",)}, False),
        ({"include": ("COM.EXAMPLE/*",)}, False),
        ({"exclude": ("com.example/*",)}, False),
        ({"exclude": ("*/pdf-?ools",)}, False),
        ({"exclude": ("io.*",)}, True),
        ({"include": ("com.*",), "exclude": ("com.example/*",)}, False),
        ({"include": ("*",), "exclude": ("com.other/*",)}, True),
        ({"enabled": False}, False),
        ({"enabled": False, "include": ("*",)}, False),
    ],
)
def test_a_sources_filters_say_what_is_part_of_an_entry(more: dict[str, Any], shown: bool) -> None:
    assert rules(**more).shows(SERVER) is shown
    entry = merged(version(), official=rules(**more))
    assert (entry.latest is not None) is shown
    assert entry.sources == (("official",) if shown else ())


def test_what_is_filtered_from_one_source_is_taken_from_another() -> None:
    hidden = rules(100, exclude=("*",))
    entry = merged(version(source="a"), version("0.9.0", "b"), a=hidden, b=rules(1))
    assert latest(entry) == "b 0.9.0"


def test_a_source_that_is_not_configured_lists_nothing() -> None:
    assert merged(version(source="gone"), official=rules()).latest is None


def test_the_position_is_the_greatest_that_touches_the_entry() -> None:
    assert merged(version(position=7), version("2.0.0", position=9)).position == 9
    assert merged(version(position=7), version("2.0.0", position=9, withdrawn=True)).position == 9
    assert (
        merged(version(position=7), version("2.0.0", "b", position=9), a=rules(), b=rules(enabled=False)).position == 9
    )
    assert merged(version(position=7), official=rules(position=12)).position == 12
    assert merged(version(position=7), official=rules(position=3), other=rules(position=99)).position == 7
    assert merged().position == 0


def test_it_was_first_seen_when_any_source_first_showed_it() -> None:
    entry = merged(version(first_seen_at=7), version("0.1.0", "b", first_seen_at=3, withdrawn=True))
    assert entry.first_seen_at == 3


def test_versions_that_are_no_text_are_versions() -> None:
    entry = merged(version(None), version(5), version(""), version([1]))
    assert len(entry.versions) == 4
    assert entry.latest is not None


def test_a_version_under_two_keys_of_a_source_is_one() -> None:
    entry = merged(version(key=ListingKey("b"), digest=Digest("b")), version(key=ListingKey("a"), digest=Digest("a")))
    assert latest(entry) == "a"
    assert entry.version_count == 1


ANY_VERSION = st.builds(
    version,
    st.sampled_from(["1.0.0", "v1.0.0", "1.0.0+a", "2.0.0", "x", "", None, 5, True]),
    st.sampled_from("abc"),
    status=st.sampled_from(["active", "deprecated", "deleted"]),
    key=st.sampled_from("xy"),
    published_at=st.none() | st.integers(1, 3),
    withdrawn=st.booleans(),
)
PLACES = st.lists(ANY_VERSION, max_size=5, unique_by=lambda one: (one.source, one.key, one.slot))


@given(PLACES, st.tuples(*[st.integers(1, 2)] * 3))
def test_any_order_of_versions_gives_the_same_entry(versions: list[Version], trust: tuple[int, int, int]) -> None:
    merged(*versions, **{name: rules(one) for name, one in zip("abc", trust, strict=True)})
