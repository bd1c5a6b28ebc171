"""Times as the database keeps them: microseconds since 1970, UTC. The clock itself is handed in."""

from collections.abc import Callable
from datetime import UTC, datetime, timedelta

Clock = Callable[[], datetime]

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def machine_clock() -> datetime:
    """This machine's clock, aware UTC."""
    return datetime.now(UTC)


def to_micros(time: datetime) -> int:
    """Microseconds since 1970 of an aware time."""
    since = time - _EPOCH
    return (since.days * 86_400 + since.seconds) * 1_000_000 + since.microseconds


def from_micros(micros: int) -> datetime:
    """The aware UTC time of microseconds since 1970."""
    return _EPOCH + timedelta(microseconds=micros)
