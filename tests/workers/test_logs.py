"""Log lines of workers: JSON, one object a line, about a source and a crawl."""

import json
import logging
import sys
from typing import Any

from workers.logs import JsonLines, about


def line(message: str, *arguments: object, level: int = logging.INFO, **fields: Any) -> dict[str, Any]:
    logger = logging.Logger("workers.slices")
    record = logger.makeRecord(logger.name, level, "file", 1, message, arguments, None, extra=fields or None)
    text = JsonLines().format(record)
    assert "\n" not in text
    found: dict[str, Any] = json.loads(text)
    return found


def test_a_line_says_when_how_bad_who_and_what() -> None:
    found = line("%s: completed", "official", level=logging.WARNING)
    assert found["time"].endswith("Z")
    assert (found["level"], found["logger"]) == ("warning", "workers.slices")
    assert found["message"] == "official: completed"


def test_lines_within_a_crawl_name_it() -> None:
    with about(source="official"), about(crawl="c1"):
        assert {"source": "official", "crawl": "c1"}.items() <= line("a page").items()
    assert "source" not in line("nothing")


def test_what_is_handed_over_is_in_the_line() -> None:
    assert line("done", position=7, counts={"new": 1})["counts"] == {"new": 1}


def test_control_characters_are_escaped_and_odd_values_written() -> None:
    assert line("a\x1b[2J\nb \ud800")["message"].startswith("a\x1b[2J\nb")


def test_an_error_is_in_its_own_field() -> None:
    try:
        int("odd")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "file", 1, "failed", (), sys.exc_info())
    found = json.loads(JsonLines().format(record))
    assert "ValueError" in found["error"]
