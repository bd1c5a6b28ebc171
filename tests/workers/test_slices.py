"""Slices of crawls, as workers do them: what is asked for, and what comes of a slice that ends badly."""

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NoReturn

import pytest

from indexer.queries import crawl_state
from indexer.store import last_position
from schemas.names import SourceName
from workers import slices
from workers.sample.faults import Faults
from workers.sample.registry import SampleRegistry
from workers.sample.serve import SampleServer
from workers.settings import Settings
from workers.sources.registry import Registry
from workers.wiring import Wiring

NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
SOURCE = '[[source]]\nname = "{}"\nkind = "registry"\nurl = "{}"\n'


class Clock:
    """Goes where it is told to."""

    def __init__(self) -> None:
        self.now = NOW

    def __call__(self) -> datetime:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def registry() -> SampleRegistry:
    return SampleRegistry([])


@pytest.fixture
def wiring(tmp_path: Path, clock: Clock, registry: SampleRegistry) -> Iterator[Wiring]:
    """What a worker works with; it watches two sources."""
    sources = tmp_path / "sources.toml"
    with SampleServer(registry, Faults()) as upstream:
        sources.write_text("".join(SOURCE.format(name, upstream.url) for name in ("first", "second")))
        made = Wiring(Settings(home=tmp_path, sources=sources), lambda _: None, clock)
        yield made
        made.close()


def crawl(wiring: Wiring, name: str) -> bool:
    return slices.crawl_slice(wiring, name, wake=lambda: None)


def test_what_is_due_is_asked_for_once(wiring: Wiring) -> None:
    assert slices.ask(wiring).names == ["first", "second"]
    assert slices.ask(wiring).names == []


def test_what_nobody_took_is_asked_for_again_when_its_message_counts_no_more(wiring: Wiring, clock: Clock) -> None:
    asked = slices.ask(wiring)
    clock.now += timedelta(seconds=asked.seconds - 1)
    assert slices.ask(wiring).names == []
    clock.now += timedelta(seconds=1)
    assert slices.ask(wiring).names == ["first", "second"]


def test_what_was_crawled_is_due_again_after_its_interval(wiring: Wiring, clock: Clock) -> None:
    assert not crawl(wiring, "first")
    assert slices.ask(wiring).names == ["second"]
    clock.now += timedelta(hours=2)
    assert slices.ask(wiring).names == ["first", "second"]


def test_a_crawl_that_was_asked_for_twice_is_done_once(wiring: Wiring) -> None:
    crawl(wiring, "first")
    with wiring.database.read() as connection:
        before = last_position(connection)
    assert not crawl(wiring, "first")
    with wiring.database.read() as connection:
        assert last_position(connection) == before


def test_a_crawl_that_ends_in_what_nobody_foresaw_is_not_tried_again_at_once(
    wiring: Wiring, clock: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fetch(*_: object) -> NoReturn:
        raise ZeroDivisionError

    slices.ask(wiring)
    clock.now += timedelta(hours=1)
    with monkeypatch.context() as broken:
        broken.setattr(Registry, "fetch", fetch)
        with pytest.raises(ZeroDivisionError):
            crawl(wiring, "first")
    assert slices.ask(wiring).names == ["second"]
    clock.now += timedelta(minutes=10)
    assert "first" in slices.ask(wiring).names
    assert not crawl(wiring, "first")


def test_a_crawl_that_a_person_has_to_look_at_is_a_warning(
    wiring: Wiring, clock: Clock, registry: SampleRegistry, caplog: pytest.LogCaptureFixture
) -> None:
    names = [f"io.github.acme/tool-{number}" for number in range(30)]
    for name in names:
        registry.publish({"name": name, "version": "1.0.0"})
    crawl(wiring, "first")
    for name in names[:25]:
        registry.remove(name, "1.0.0")
    clock.now += timedelta(days=2)
    assert not caplog.records
    crawl(wiring, "first")
    assert [record.getMessage() for record in caplog.records] == ["first: parked"]


def test_a_clock_that_was_ahead_holds_nothing_up(wiring: Wiring, clock: Clock) -> None:
    clock.now += timedelta(days=365)
    slices.ask(wiring)
    crawl(wiring, "first")
    clock.now = NOW
    assert slices.ask(wiring).names == ["first", "second"]
    crawl(wiring, "first")
    with wiring.database.read() as connection:
        state = crawl_state(connection, SourceName("first"))
    assert state.last_mode == "audit"
    assert state.mark is not None
    assert max(filter(None, (state.completed_at, state.full_at, state.mark))) <= NOW
    assert slices.ask(wiring).names == []
