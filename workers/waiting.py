"""When an upstream wants to be asked again, read from its headers; and how long we wait where it does not say."""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from functools import lru_cache

FIRST_BACKOFF, LONGEST_BACKOFF = 0.5, 30.0
LONGEST_REST = 86_400.0
"""Seconds that a host is left alone at most, whatever it asked for."""


def backoff(failures: int, share: float) -> float:
    """The seconds to wait after so many failures: twice as long each time, of which a random share is waited."""
    return min(LONGEST_BACKOFF, FIRST_BACKOFF * 2.0 ** min(failures - 1, 16)) * share


def asked_to_rest(headers: Mapping[str, str], now: datetime) -> float | None:
    """The seconds that these headers ask to be left alone; None where they do not.

    Retry-After in both forms; and the time in x-ratelimit-reset where no request remains, as GitHub says it.
    """
    now = http_date(headers.get("date")) or now
    asked = _retry_after(headers.get("retry-after"), now)
    if asked is None and headers.get("x-ratelimit-remaining") == "0":
        asked = _until_reset(headers.get("x-ratelimit-reset"), now)
    return None if asked is None else min(max(asked, 0.0), LONGEST_REST)


@lru_cache(maxsize=16)  # many answers have the same second
def http_date(text: str | None) -> datetime | None:
    """The time in a Date or Retry-After header, in UTC; None for what is no date."""
    if text is None:
        return None
    try:
        date = parsedate_to_datetime(text)
        return date.replace(tzinfo=UTC) if date.tzinfo is None else date.astimezone(UTC)
    except (ValueError, TypeError, OverflowError, IndexError):
        return None


def spoken(time: datetime) -> str:
    """A time as a sentence holds it."""
    return time.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _retry_after(text: str | None, now: datetime) -> float | None:
    if text is not None and re.fullmatch(r"[0-9]+(\.[0-9]+)?", text.strip()):
        return float(text)
    date = http_date(text)
    return None if date is None else (date - now).total_seconds()


def _until_reset(text: str | None, now: datetime) -> float | None:
    """How long to a time in seconds since 1970."""
    return float(text) - now.timestamp() if text is not None and re.fullmatch("[0-9]{1,12}", text) else None
