"""Crawls the history, snapshot by snapshot, and holds what the log came to against it."""

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from pathlib import Path

from indexer.database import Database
from indexer.migrations import migrate
from indexer.record import add
from indexer.verify import check_catalogue, check_log
from schemas.events import Counts
from tests.crawling import Crawler
from tests.replay.expected import Told
from tests.replay.history import Generation, Snapshot, snapshots
from tests.replay.upstream import URL, UpstreamThen
from workers.outcome import Outcome

DAY = timedelta(days=1)


@dataclass
class Row:
    """What the crawls of one generation came to; `expected` are the silent changes that the snapshots show."""

    snapshots: int = 0
    completed: int = 0
    failed: int = 0
    audits: int = 0
    counts: Counts = field(default_factory=Counts)
    missed: int = 0
    silent: int = 0
    expected: int = 0

    def count(self, outcome: Outcome, expected: int) -> None:
        """One more crawl."""
        self.snapshots += 1
        self.completed += outcome.status == "completed"
        self.failed += outcome.status == "failed"
        self.audits += outcome.mode == "audit" and outcome.status == "completed"
        self.counts = add(self.counts, outcome.counts)
        self.missed += outcome.missed or 0
        self.silent += outcome.silent or 0
        self.expected += expected

    @property
    def changes(self) -> int:
        """Versions of which the log heard something."""
        counts = self.counts
        return counts.new + counts.changed + counts.status_changed + counts.returned + counts.withdrawn


@dataclass
class Replayed:
    """The table, a row a generation, and what was not as it should be."""

    rows: dict[Generation, Row] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def replay(shared: Path, folder: Path, progress: Callable[[], None] = lambda: None) -> Replayed:
    """Replays the whole history into a new database in a folder."""
    history = snapshots(shared)
    first = next(history)
    database = Database(f"sqlite:///{folder / 'replay.db'}")
    migrate(database)
    upstream = UpstreamThen(first)
    crawler = Crawler(database, URL, first.at, audit_every=DAY, transport=upstream)
    done, told = Replayed(), Told()
    try:
        _step(crawler, first, told, done)
        for snapshot in history:
            progress()
            upstream.snapshot = snapshot
            crawler.now = snapshot.at
            _step(crawler, snapshot, told, done)
        _check_views(crawler, done)
    finally:
        crawler.close()
    return done


def _step(crawler: Crawler, snapshot: Snapshot, told: Told, done: Replayed) -> None:
    bad = snapshot.generation == "bad week"
    before = (crawler.state.mark, crawler.versions()) if bad else None
    outcome = crawler.crawl()
    if bad:
        expected = 0
        wrong = [] if outcome.status == "failed" else [f"it {outcome.status}, where it had to fail"]
        wrong += [] if (crawler.state.mark, crawler.versions()) == before else ["the mark or what is listed moved"]
    else:
        expected = told.crawl(snapshot, everything=outcome.mode != "incremental")
        wrong = _wrong(crawler, snapshot, outcome, expected)
    done.rows.setdefault(snapshot.generation, Row()).count(outcome, expected)
    done.wrong += [f"{snapshot.at:%Y-%m-%d %H:%M}, {outcome.mode}: {what}" for what in wrong]


def _wrong(crawler: Crawler, snapshot: Snapshot, outcome: Outcome, expected: int) -> list[str]:
    wrong = [] if outcome.status == "completed" else [f"it {outcome.status}: {outcome.error}"]
    wrong += [f"{outcome.missed} missed"] if outcome.missed else []
    if outcome.mode == "incremental":
        return wrong
    if (outcome.silent or 0) != expected:
        wrong.append(f"{outcome.silent} silent, and the snapshots show {expected}")
    listed = {key: (one.digest, one.seen.about.status) for key, one in snapshot.listed.items()}
    found = crawler.versions()
    differing = [key for key in listed.keys() | found.keys() if listed.get(key) != found.get(key)]
    return wrong + ([f"{len(differing)} are not as listed: {sorted(differing)[:9]}"] if differing else [])


def _check_views(crawler: Crawler, done: Replayed) -> None:
    crawler.versions()
    catalogue, log = check_catalogue(crawler.database), check_log(crawler.database)
    if catalogue.digest != catalogue.expected:
        done.wrong.append("the catalogue is not what a rebuild makes of the log")
    done.wrong += log.damaged
