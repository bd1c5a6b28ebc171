"""How tables look on a terminal that is narrow, and where there is none."""

import sys

import pytest

from workers import terminal

NUMBERS = ["source", "mode", "status", "pages", "observed", "new", "changed", "unchanged", "invalid", "seconds"]
CRAWL: list[object] = ["official", "incremental", "completed", 12, 1200, 1, 2, 1197, 0, 3.25]


def narrow(monkeypatch: pytest.MonkeyPatch) -> None:
    """Makes stdout a terminal of eighty columns; in a fixture it would be another stdout."""
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True)
    for name, value in (("TERM", "dumb"), ("COLUMNS", "80")):
        monkeypatch.setenv(name, value)


def test_a_table_that_is_too_wide_for_the_terminal_is_a_line_for_each_value(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow(monkeypatch)
    terminal.table(NUMBERS, [CRAWL, [*CRAWL[:-1], None]])
    first, second = capsys.readouterr().out.split("\n\n")
    assert first.splitlines()[:3] == ["source: official", "mode: incremental", "status: completed"]
    assert (first.splitlines()[-1], second.splitlines()[-1]) == ("seconds: 3.25", "invalid: 0")


def test_a_long_text_in_the_last_column_is_folded(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    narrow(monkeypatch)
    terminal.table(["name", "description"], [["com.example/tool", "words " * 30]])
    header, *lines = capsys.readouterr().out.splitlines()
    assert header.split() == ["name", "description"]
    assert [line.split()[0] for line in lines] == ["com.example/tool", "words", "words"]


def test_a_program_that_reads_gets_one_line_a_row(capsys: pytest.CaptureFixture[str]) -> None:
    terminal.table(NUMBERS, [CRAWL])
    header, row = capsys.readouterr().out.splitlines()
    assert (header.split(), len(row.split())) == (NUMBERS, len(CRAWL))
