"""Instants as the registry keeps and writes them: whole microseconds since 1970, in UTC."""

import re
from datetime import UTC, datetime, timedelta
from typing import NewType

Micros = NewType("Micros", int)

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_RFC3339 = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?P<fraction>\.\d+)?(?:Z|[+-]\d\d:\d\d)", re.ASCII)


def micros(moment: datetime) -> Micros:
    """The instant of an aware datetime."""
    return Micros((moment - _EPOCH) // _MICROSECOND)


def moment(instant: Micros) -> datetime:
    """The same instant as an aware datetime."""
    return _EPOCH + instant * _MICROSECOND


def written(instant: Micros) -> str:
    """RFC 3339 in UTC with the zeros at the fraction's end left off, and the fraction too where nothing remains."""
    text = moment(instant).isoformat()[:-6]
    return (text.rstrip("0") if "." in text else text) + "Z"


def read(text: str) -> Micros | None:
    """The instant that a strict RFC 3339 text with a zone says, cut to microseconds; None for any other text."""
    if _RFC3339.fullmatch(text) is None:
        return None
    try:
        return micros(datetime.fromisoformat(text))
    except (ValueError, OverflowError):
        return None
