"""Log lines of workers and beat: one JSON object a line, with the source, crawl and position that it is about.

What we log was masked and made printable where it was made. What others log, and errors that nobody foresaw, was not:
so each line is masked once more. JSON escapes control characters.
"""

import json
import logging
import sys
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from datetime import UTC, datetime
from typing import Any

from schemas.events import rfc3339
from workers.masking import Masking

FIELDS = ("source", "crawl", "position", "counts")
_ABOUT: ContextVar[dict[str, Any]] = ContextVar("about", default={})  # noqa: B039 - never changed, only replaced


@contextmanager
def about(**fields: Any) -> Iterator[None]:
    """Every line that is logged within is about these fields."""
    token = _ABOUT.set({**_ABOUT.get(), **fields})
    try:
        yield
    finally:
        _ABOUT.reset(token)


class JsonLines(logging.Formatter):
    """A record as one JSON object: time (RFC 3339), level, logger, message, what it is about, and the error if any;
    without the given secrets.
    """

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        super().__init__()
        self._masking = Masking(secrets)

    def format(self, record: logging.LogRecord) -> str:
        """One line."""
        line: dict[str, Any] = {
            "time": rfc3339(datetime.fromtimestamp(record.created, UTC)),
            "level": record.levelname.lower(),
            "logger": record.name,
            "message": self._masking.hide(record.getMessage()),
            **_ABOUT.get(),
        }
        line |= {name: getattr(record, name) for name in FIELDS if hasattr(record, name)}
        if record.exc_info and record.exc_info[0] is not None:
            line["error"] = self._masking.hide(self.formatException(record.exc_info))
        return json.dumps(line, default=str)


def log_json(level: int | str = logging.INFO, secrets: Iterable[str] = ()) -> None:
    """Has this process log JSON lines on stderr, Celery's own lines too, without the given secrets."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(JsonLines(secrets))
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    logging.captureWarnings(True)
    for name in ("httpx", "httpcore", "urllib3"):
        logging.getLogger(name).setLevel(logging.WARNING)
