"""Log lines of workers: JSON, one object a line, about a source and a crawl."""

import json
import logging
import sys
from typing import Any

from workers.logs import JsonLines, about
from workers.masking import secrets_of


def line(
    message: str, *arguments: object, level: int = logging.INFO, secrets: set[str] | None = None, **fields: Any
) -> dict[str, Any]:
    logger = logging.Logger("workers.slices")
    record = logger.makeRecord(logger.name, level, "file", 1, message, arguments, None, extra=fields or None)
    text = JsonLines(secrets or ()).format(record)
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
    text = "a\x1b[2J\nb \ud800 \u202e"
    record = logging.LogRecord("x", logging.INFO, "file", 1, text, (), None)
    assert JsonLines().format(record).isprintable()
    assert line(text)["message"] == text


def test_an_error_is_in_its_own_field() -> None:
    try:
        int("odd")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "file", 1, "failed", (), sys.exc_info())
    found = json.loads(JsonLines().format(record))
    assert "ValueError" in found["error"]


def test_an_error_is_one_line_without_secrets() -> None:
    try:
        int("amqp://guest:hush@broker refused token-of-acme")
    except ValueError:
        record = logging.LogRecord("x", logging.ERROR, "file", 1, "failed", (), sys.exc_info())
    text = JsonLines({"token-of-acme"}).format(record)
    assert text.isprintable()
    assert "amqp://***@broker refused ***" in text


def test_no_line_has_a_secret_of_the_environment() -> None:
    secrets = secrets_of({"ACME_TOKEN": "token-of-acme", "MCP_INDEXER_MEILI_KEY": "a-master-key", "LANG": "C.UTF-8"})
    said = line("%s with %s in %s", "token-of-acme", "a-master-key", "C.UTF-8", secrets=secrets)
    assert said["message"] == "*** with *** in C.UTF-8"


def test_what_is_called_a_secret_is_taken_for_one() -> None:
    names = ("GITHUB_TOKEN", "DB_PASSWORD", "API_KEY", "CLIENT_SECRET", "KEY", "GITHUB_PAT")
    assert secrets_of({name: f"value of {name}" for name in names}) == {f"value of {name}" for name in names}
    assert secrets_of({"MONKEYS": "seven of them", "PATH": "/usr/bin:/bin", "KEYBOARD": "qwerty-azerty"}) == set()
    assert secrets_of({"TOKEN": "yes"}) == set(), "so short a value would be masked in every other word"
