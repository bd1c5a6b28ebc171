"""The requests that a host gets: one budget, shared by all who ask, on both databases."""

from dataclasses import dataclass

import pytest

from indexer.budgets import AT_ONCE_SECONDS, HELD_SECONDS, HostBudgets
from indexer.database import Database

HOST = "registry.example"
PER_MINUTE = 120


@dataclass
class Time:
    """A clock and ticks that tests move together."""

    now: float = 1_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def time() -> Time:
    return Time()


def budgets(database: Database, time: Time) -> HostBudgets:
    """The budgets as one process sees them."""
    return HostBudgets(database, time, time)


def free(budget: HostBudgets, per_minute: int = PER_MINUTE) -> int:
    """How many requests need not wait."""
    count = 0
    while budget.reserve(HOST, per_minute) == 0:
        count += 1
    return count


def test_what_came_together_is_free_and_then_each_waits_for_its_turn(sqlite: Database, time: Time) -> None:
    budget = budgets(sqlite, time)
    assert free(budget) == pytest.approx(HELD_SECONDS * PER_MINUTE / 60, abs=1)
    first, second = (budget.reserve(HOST, PER_MINUTE) for _ in range(2))
    assert second - first == pytest.approx(60 / PER_MINUTE)


def test_all_who_ask_share_one_budget(database: Database, time: Time) -> None:
    one, other = budgets(database, time), budgets(database, time)
    found = free(one)
    assert found >= HELD_SECONDS * PER_MINUTE / 60 - 1
    assert other.reserve(HOST, PER_MINUTE) > 0
    assert other.reserve("another.example", PER_MINUTE) == 0


def test_a_host_that_asked_to_rest_is_left_alone_by_all(database: Database, time: Time) -> None:
    one, other = budgets(database, time), budgets(database, time)
    one.reserve(HOST, 1_000_000)  # takes several at once, and must not use them up now
    one.rest(HOST, 90)
    assert one.reserve(HOST, 1_000_000) == pytest.approx(90, abs=5)
    assert other.reserve(HOST, 1_000_000) == pytest.approx(90, abs=5)


@pytest.mark.parametrize("per_minute", [600, 60_000, 1_000_000])
def test_a_large_budget_is_not_exceeded_by_taking_several_at_once(
    sqlite: Database, time: Time, per_minute: int
) -> None:
    one, other = budgets(sqlite, time), budgets(sqlite, time)
    found = sum(free(each, per_minute) for each in (one, other))
    at_most = per_minute / 60 * (HELD_SECONDS + 2 * AT_ONCE_SECONDS) + 2
    assert per_minute / 60 * HELD_SECONDS - 2 <= found <= at_most


def test_a_clock_that_was_far_ahead_stops_nobody(sqlite: Database, time: Time) -> None:
    time.now += 10 * 86_400
    free(budgets(sqlite, time))
    time.now -= 10 * 86_400
    assert budgets(sqlite, time).reserve(HOST, PER_MINUTE) == 0
