"""Which version is the latest, by the rules of the official registry's code."""

import json
import random
from collections import defaultdict
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.latest import age, is_semver
from schemas.about import read_about, unwrap
from tests.schemas.upstream import seed


def latest(*published: tuple[str | None, int | None]) -> str | None:
    """The latest of some versions, each with when it was published, in whatever order they come."""
    found = {max(some, key=lambda one: age(*one))[0] for some in (published, published[::-1])}
    assert len(found) == 1
    return found.pop()


@pytest.mark.parametrize(
    "version",
    [
        *("0.0.0", "1.2.3", "10.20.30", "v1.2.3", "1.2.3-alpha", "1.2.3-0", "1.2.3-a.1.b", "1.2.3--", "1.2.3-0a"),
        *("1.2.3+build", "1.2.3+001", "1.2.3-rc.1+exp.sha-5114f85", "2025.6.18", "99999999999999999999.0.0"),
    ],
)
def test_three_numbers_are_semantic(version: str) -> None:
    assert is_semver(version)


@pytest.mark.parametrize(
    "version",
    [
        *("", "1", "1.2", "1.2.3.4", "01.2.3", "1.02.3", "1.2.03", "2025.06.18", "V1.2.3", "vv1.2.3", "a.b.c"),
        *("1.2.3-", "1.2.3-01", "1.2.3-a..b", "1.2.3+", "1.2.3-a_b", "1.2.3 ", " 1.2.3", "1.2.3\n", "1.2.3º", "١.٢.٣"),
        *("latest", "{{VERSION}}", "1.0.0.post1", "0.5.2rc4", "2025.11.26+pr150-394827a.", "-1.2.3", "1.2.3-é"),
    ],
)
def test_everything_else_is_not_semantic(version: str) -> None:
    assert not is_semver(version)


def test_precedence_rises_as_semver_says() -> None:
    rising = [
        *("0.0.1", "0.1.0", "0.9.9", "0.10.0", "1.0.0-0", "1.0.0-1", "1.0.0-2", "1.0.0-10", "1.0.0--", "1.0.0-A"),
        *("1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.1.0", "1.0.0-alpha.2", "1.0.0-alpha.10", "1.0.0-alpha.beta"),
        *("1.0.0-beta", "1.0.0-beta.2", "1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0"),
        *("2.0.0-rc", "v2.0.0", "2.0.1", "10.0.0", "18446744073709551616.0.0"),
    ]
    shuffled = rising.copy()
    random.Random(5).shuffle(shuffled)
    assert sorted(shuffled, key=lambda version: age(version, 7)) == rising


def test_the_time_does_not_change_precedence() -> None:
    assert latest(("1.0.0", 9), ("2.0.0", 1)) == "2.0.0"
    assert latest(("1.2.3", 1), ("1.2.3-1", 9)) == "1.2.3"


def test_semver_is_later_than_what_is_not() -> None:
    assert latest(("1.0.0-alpha", 1), ("snapshot", 9)) == "1.0.0-alpha"
    assert latest(("1.0.0", 1), ("1.0.0.post1", 2), ("1.0.0.post2", 3)) == "1.0.0"
    assert latest(("3.3.0", 1), ("3.3.0.1", 2)) == "3.3.0"
    assert latest(("1.0.0", 1), ("1.0.1º", 2)) == "1.0.0"
    assert latest(("2025.6.18", 1), ("2025.06.19", 2)) == "2025.6.18"
    assert latest(("0.0.1", None), (None, 9)) == "0.0.1"


def test_of_others_the_later_published_is_the_latest() -> None:
    assert latest(("snapshot", 1), ("auto", 2)) == "auto"
    assert latest(("2025.03.16", 1), ("2025.03.15", 2)) == "2025.03.15"
    assert latest(("b", None), ("a", 1)) == "a"


def test_of_others_published_at_once_the_text_decides() -> None:
    assert latest(("a", 1), ("b", 1)) == "b"
    assert latest(("a", None), ("b", None)) == "b"
    assert latest(("", 1), ("a", 1)) == "a"


def test_of_equal_precedence_the_first_published_stays() -> None:
    assert latest(("1.0.0+a", 1), ("1.0.0+b", 2)) == "1.0.0+a"
    assert latest(("1.0.0+b", 1), ("1.0.0+a", 2)) == "1.0.0+b"
    assert latest(("v1.0.0", 2), ("1.0.0", 1)) == "1.0.0"


def test_of_equal_precedence_published_at_once_the_text_decides() -> None:
    assert latest(("1.0.0+a", 1), ("1.0.0+b", 1)) == "1.0.0+b"


VERSIONS = st.sampled_from(["1.0.0", "v1.0.0", "1.0.0+a", "1.0.0-1", "1.0.0-a", "2.0.0", "1.0", "x", ""])


@given(st.lists(st.tuples(VERSIONS | st.text(), st.none() | st.integers(1, 4)), min_size=1, max_size=6))
def test_the_order_in_which_versions_are_known_does_not_matter(versions: list[tuple[str, int | None]]) -> None:
    newest = max(age(*one) for one in versions)
    assert max(age(*one) for one in reversed(versions)) == newest
    assert latest(*sorted(versions, key=str)) == latest(*versions)


@pytest.mark.upstream
def test_the_registrys_own_cases_hold(shared: Path) -> None:
    facts: dict[str, Any] = json.loads((shared / "upstream" / "examples" / "version-compare.json").read_text())
    for expected, name in ((True, "true"), (False, "false")):
        for version in facts["is_semver"][name]:
            assert is_semver(version) is expected, version
    for a, b, want in [*facts["semver_compare"], *facts["mixed"]]:
        assert sign(age(a, 5), age(b, 5)) == want, (a, b)
    times = {"earlier": 1, "later": 2}
    for case in facts["by_publish_time"]:
        assert sign(age(case["a"], times[case["a_time"]]), age(case["b"], times[case["b_time"]])) == case["want"]
    for case in facts["live_proof"]:
        versions = list(enumerate(case["versions_by_publish_time"], start=1))
        assert max(versions, key=lambda one: age(one[1], one[0]))[1] == case["isLatest"]


@pytest.mark.upstream
def test_the_derived_latest_is_the_registrys_own_for_every_name(shared: Path) -> None:
    names: dict[str, list[tuple[Any, bool, str]]] = defaultdict(list)
    for item in seed(shared, "official-full-2025-11-14"):
        record, meta = unwrap(item)
        about = read_about(meta)
        order = age(record["version"], about.published_at)
        names[record["name"]].append((order, bool(about.is_latest), record["version"]))
    assert len(names) > 800
    wrong = {name: versions for name, versions in names.items() if not max(versions)[1]}
    assert wrong == {}


def sign(a: Any, b: Any) -> int:
    return int(a > b) - int(a < b)
