"""The README holds: its commands do what it shows, and what it lists is what there is."""

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import typer
from typer.testing import CliRunner

from tests import readme
from tests.conftest import CHECKOUT, missing
from tests.readme import HERE, README, Ran
from workers import cli
from workers.kinds import KINDS
from workers.shell import parts

COMMANDS = [step for step in readme.steps() if not step.file]
APP = typer.main.get_command(cli.app)


def commands(group: Any, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every command with its words. They are typer's own kind of click's, which it does not name in public."""
    for name, command in group.commands.items():
        if hasattr(command, "commands"):
            yield from commands(command, (*path, name))
        else:
            yield " ".join((*path, name)), command


ALL = dict(commands(APP))


@pytest.fixture(scope="module")
def ran(tmp_path_factory: pytest.TempPathFactory, meilisearch_binary: Path) -> list[Ran | None]:
    """What each command came to."""
    return readme.run_all(tmp_path_factory.mktemp("readme") / "mcp-indexer", meilisearch_binary)


@pytest.mark.parametrize("number", range(len(COMMANDS)), ids=[step.command[:60] for step in COMMANDS])
def test_a_command_does_what_is_shown(ran: list[Ran | None], number: int) -> None:
    step, found = COMMANDS[number], ran[number]
    if found is None:
        missing("node is not here, and the README's JavaScript needs it")

    assert found.status == 0, found.out
    assert readme.same_shape(step.expected, found.out), (
        f"now `$ {step.command}` prints what follows; `python -m tests.readme` writes it into the README:\n{found.out}"
    )


def test_make_does_what_is_said_of_it() -> None:
    makefile = (CHECKOUT / "Makefile").read_text()
    assert re.search(r"^run: .*\n\t@\$\(BIN\)/python -m workers\.tour$", makefile, re.MULTILINE)
    parked = ["mcp-indexer crawl official --audit", "mcp-indexer approve official"]
    by_hand = ["python keep_copy.py", "mcp-indexer up", *parked, "docker compose up --build --detach --scale worker=2"]
    assert readme.not_run() == ["make test", *by_hand]
    for target in re.findall(r"`make (\w+)`", README.read_text()):
        assert re.search(rf"^{target}:", makefile, re.MULTILINE), target


@pytest.mark.parametrize("name", ALL)
def test_a_command_has_help_with_an_example_and_is_in_the_readme(name: str) -> None:
    shown = CliRunner().invoke(cli.app, [*name.split(), "--help"])

    assert shown.exit_code == 0
    example = str(ALL[name].epilog).removeprefix("Example: ")
    assert f"Example: {example.split()[0]}" in shown.output
    assert re.search(rf"^\$ mcp-indexer {name}\b", README.read_text(), re.MULTILINE)
    words = shlex.split(example.partition(" > ")[0])
    assert words[: len(name.split()) + 1] == ["mcp-indexer", *name.split()]
    with ALL[name].make_context(name, words[len(name.split()) + 1 :]):
        pass  # it would run


def test_the_readme_names_no_command_that_there_is_not() -> None:
    text = README.read_text()
    named = set(re.findall(r"mcp-indexer ((?:sources )?[a-z]+)\b", text))
    assert {name for name in named if re.search(rf"[`$] ?mcp-indexer {name}", text)} <= set(ALL)


def test_the_tables_are_the_codes() -> None:
    assert readme.table("document") == readme.document_table()
    assert [row[0] for row in readme.cells("kinds")] == [f"`{kind}`" for kind in KINDS]
    for kind in KINDS:
        assert readme.table(kind) == readme.options_table(kind)
    assert readme.table("rules") == readme.rules_table()
    assert {row[0]: row[1] for row in readme.cells("settings")} == readme.setting_defaults()
    assert {row[0]: row[1] for row in readme.cells("sources")} == readme.source_defaults()
    statuses = {0, parts.FAILED, parts.USAGE, parts.ATTENTION, parts.INTERRUPTED}
    assert {int(row[0]) for row in readme.cells("exits")} == statuses


def test_what_the_readme_points_to_is_there() -> None:
    for target in re.findall(r"\]\((?!https?:)([^)#]+)", README.read_text()):
        assert (CHECKOUT / target).exists(), target


def test_what_the_readme_points_to_in_itself_is_there() -> None:
    text = README.read_text()
    headings = re.findall(r"^#+ (.*)$", text, re.MULTILINE)
    anchors = {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
    pointed_to = set(re.findall(r"\]\(#([^)]+)\)", text))
    assert pointed_to
    assert pointed_to <= anchors


@pytest.mark.parametrize(
    ("expected", "found", "same"),
    [
        ("one 1.5\n", "one   27", True),
        ("one\n…\nfour\n", "one\ntwo\nthree\nfour\n", True),
        ("one … three\n", "one 2 two three\n", True),
        ("one\n", "one\ntwo\n", False),
        ("…\n", "", True),
        ("", "", True),
        ("", "one\n", False),
        (f"in {HERE}\n", f"in {HERE}\n", True),
    ],
)
def test_shapes(expected: str, found: str, same: bool) -> None:
    assert readme.same_shape(expected, found) is same
