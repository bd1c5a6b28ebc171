"""Times as the database keeps them: microseconds since 1970, UTC. The clock itself is handed in."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)
"""Before anything that we know of: microseconds count from there, and what never was is said to have been then."""
_MICROSECOND = timedelta(microseconds=1)


def machine_clock() -> datetime:
    """This machine's clock, aware UTC."""
    return datetime.now(UTC)


def to_micros(time: datetime) -> int:
    """Microseconds since 1970 of an aware time."""
    return (time - LONG_AGO) // _MICROSECOND


def from_micros(micros: int) -> datetime:
    """The aware UTC time of microseconds since 1970."""
    return LONG_AGO + timedelta(microseconds=micros)
