"""The commands that ask about the past, and the one that waits for what comes."""

import json
import re
import signal
import subprocess
from typing import Any

import pytest

from tests.e2e.home import Home
from tests.listed import name_of, server
from workers.sample.serve import SampleServer

Json = dict[str, Any]
NAME = name_of(1)


@pytest.fixture
def changed(either: Home, upstream: SampleServer) -> Home:
    """A home that crawled, and crawled again after some changes."""
    either.crawl()
    upstream.registry.publish(server(1, "2.0.0", title="Two"))
    upstream.registry.publish(server(77))
    upstream.registry.set_status(name_of(2), "1.0.0", "deleted")
    upstream.registry.set_status(name_of(2), "1.1.0", "deleted")
    either.crawl()
    return either


def ends(home: Home) -> list[str]:
    """When each crawl ended."""
    return [one["recordedtime"] for one in home.events() if one["type"] == "crawl.completed"]


def test_an_entry_as_of_a_time(changed: Home) -> None:
    first, second = ends(changed)
    now = changed.run("show", NAME, "--json").object
    then = changed.run("show", NAME, "--as-of", first, "--json").object
    assert (then["version"], then["version_count"], [one["version"] for one in then["versions"]]) == (
        "1.1.0",
        2,
        ["1.1.0", "1.0.0"],
    )
    assert json.loads(then["server_json"])["version"] == "1.1.0"
    assert (now["version"], now["version_count"]) == ("2.0.0", 3)
    assert changed.run("show", NAME, "--as-of", second, "--json").object == now
    assert changed.run("show", NAME, "--as-of", "2999-01-01", "--json").object == now
    assert "version: 1.1.0" in changed.run("show", NAME, "--as-of", first).out
    only = changed.run("show", NAME, "--as-of", first, "--version", "1.0.0", "--json").object
    assert [one["version"] for one in only["versions"]] == ["1.0.0"]
    assert changed.run("show", NAME, "--as-of", first, "--version", "2.0.0").status == 1


def test_what_was_not_known_then_is_a_sentence(changed: Home) -> None:
    (first, _) = ends(changed)
    ran = changed.run("show", name_of(77), "--as-of", first)
    assert (ran.status, ran.sentence.split(";")[0]) == (1, f"No source had listed {name_of(77)!r} then")
    ran = changed.run("show", NAME, "--as-of", "2020-01-01")
    assert (ran.status, "the log begins at 20" in ran.sentence) == (1, True)
    ran = changed.run("show", "com.example/nobody", "--as-of", first)
    assert (ran.status, "No source ever listed" in ran.sentence) == (1, True)


@pytest.mark.parametrize("time", ["yesterday", "2026-13-01", "2026-08-22T14:30:00", ""])
def test_what_is_no_time_is_wrong_usage(home: Home, time: str) -> None:
    for command in (
        ["show", NAME, "--as-of", time],
        ["diff", "--from", time],
        ["diff", "--from", "2026-01-01", "--to", time],
    ):
        ran = home.run(*command)
        assert (ran.status, "is no time" in ran.sentence) == (2, True)


def test_the_difference_between_two_times(changed: Home) -> None:
    first, second = ends(changed)
    found = changed.run("diff", "--from", first, "--to", second, "--json").objects
    assert [(one["change"], one["name"], one["version"]) for one in found] == [
        ("changed", NAME, "2.0.0"),
        ("removed", name_of(2), "1.1.0"),
        ("added", name_of(77), "1.0.0"),
    ]
    (one, removed, _) = found
    assert one["before"]["title"] is None
    assert one["after"]["title"] == "Two"
    assert {"version", "title", "version_count", "server_json"} <= set(one["fields"]) == set(one["after"])
    assert (removed["fields"], removed["before"], removed["after"]) == ([], {}, {})
    assert changed.run("diff", "--from", first, "--json").objects == found
    assert changed.run("diff", "--from", second).out == ""
    told = changed.run("diff", "--from", first).out.splitlines()
    assert [line.split()[:3] for line in told] == [
        ["changed", NAME, "2.0.0"],
        ["removed", name_of(2), "1.1.0"],
        ["added", name_of(77), "1.0.0"],
    ]


def test_before_the_log_there_was_nothing(changed: Home) -> None:
    first, second = ends(changed)
    ran = changed.run("diff", "--from", "2020-01-01", "--to", first, "--json")
    assert ran.status == 0
    assert {one["change"] for one in ran.objects} == {"added"}
    assert len(ran.objects) == 60
    assert "All that came later counts as added" in ran.sentence
    assert changed.run("diff", "--from", "2019-01-01", "--to", "2020-01-01").status == 1
    ran = changed.run("diff", "--from", second, "--to", first)
    assert (ran.status, "turn them round" in ran.sentence) == (2, True)


def read(process: "subprocess.Popen[str]", count: int) -> list[int]:
    """The positions of the next events that a process tells, waited for."""
    assert process.stdout is not None
    return [int(json.loads(process.stdout.readline())["id"]) for _ in range(count)]


@pytest.mark.parametrize("stop", [signal.SIGTERM, signal.SIGINT])
def test_events_are_told_as_they_come_until_it_is_interrupted(
    either: Home, upstream: SampleServer, stop: signal.Signals
) -> None:
    either.crawl("--max-pages", "1")
    with either.start("events", "--follow", "--after", "20", "--json") as process:
        assert read(process, 2) == [21, 22]
        either.crawl()
        assert read(process, 101) == list(range(23, 124))
        upstream.registry.publish(server(99))
        either.crawl()
        assert read(process, 3) == [124, 125, 126]
        process.send_signal(stop)
        _, said = process.communicate(timeout=60)
        assert process.returncode == 130, said
        assert re.search(r"`mcp-indexer events --after 12[56] --follow` goes on from there", said)


def test_a_limit_ends_it(home: Home) -> None:
    home.crawl("--max-pages", "1")
    with home.start("events", "--follow", "--limit", "25", "--json") as process:
        assert read(process, 22) == list(range(1, 23))
        home.crawl()
        assert read(process, 3) == [23, 24, 25]
        assert process.wait(60) == 0
