"""A home to run the commands in.

`Home.run` runs a command in this process, which saves its start; `Home.start` in one of its own, to be killed.
"""

import json
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from workers.cli import main

Json = dict[str, Any]

PROGRAM = Path(sys.executable).with_name("mcp-indexer")


class Ran(NamedTuple):
    """What a command came to."""

    status: int
    out: str
    err: str

    @property
    def objects(self) -> list[Json]:
        """What is on stdout: one JSON object a line, and nothing else."""
        found = [json.loads(line) for line in self.out.splitlines()]
        assert all(isinstance(one, dict) for one in found)
        return found

    @property
    def object(self) -> Json:
        """What is on stdout: exactly one JSON object."""
        (found,) = self.objects
        return found

    @property
    def sentence(self) -> str:
        """What is on stderr: exactly one line."""
        (line,) = self.err.splitlines()
        return line


class Home:
    """Where commands run: a folder with its sources file, and the environment that names all else."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
        self.folder = folder
        self.sources_file = folder / "sources.toml"
        self._monkeypatch, self._capsys = monkeypatch, capsys
        self.set(HOME=str(folder / "home"), SOURCES=str(self.sources_file))

    def set(self, **variables: str | None) -> None:
        """Sets MCP_INDEXER_ variables of the environment; None removes one."""
        for name, value in variables.items():
            if value is None:
                self._monkeypatch.delenv(f"MCP_INDEXER_{name}", raising=False)
            else:
                self._monkeypatch.setenv(f"MCP_INDEXER_{name}", value)

    def watch(self, *, page_size: int = 20, **urls: str) -> None:
        """Writes a sources file of registries, asked as often as they can answer."""
        common = f'kind = "registry"\nrequests_per_minute = 1000000\npage_size = {page_size}\n'
        tables = [f'[[source]]\nname = "{name}"\nurl = "{url}"\n{common}' for name, url in urls.items()]
        self.sources_file.write_text("\n".join(tables))

    def run(self, *arguments: str) -> Ran:
        """A command in this process."""
        self._monkeypatch.setattr(sys, "argv", ["mcp-indexer", *arguments])
        self._capsys.readouterr()
        terminate = signal.getsignal(signal.SIGTERM)
        status: Any = 0
        try:
            main()
        except SystemExit as end:
            status = end.code or 0
        finally:
            signal.signal(signal.SIGTERM, terminate)
        return Ran(status, *self._capsys.readouterr())

    @contextmanager
    def start(self, *arguments: str) -> Iterator["subprocess.Popen[str]"]:
        """A command in a process of its own, killed at the end where it still runs."""
        with subprocess.Popen(
            [PROGRAM, *arguments], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, cwd=self.folder
        ) as process:
            try:
                yield process
            finally:
                process.kill()

    def crawl(self, *arguments: str, status: int = 0) -> Json:
        """What `crawl --json` prints."""
        ran = self.run("crawl", "--json", *arguments)
        assert ran.status == status, ran
        return ran.object

    def crawl_one(self, *arguments: str, status: int = 0) -> Json:
        """The same of the one source that was crawled."""
        (crawl,) = self.crawl(*arguments, status=status)["crawls"]
        found: Json = crawl
        return found

    def events(self, after: int = 0) -> list[Json]:
        """The log."""
        return self.run("events", "--json", "--after", str(after)).objects

    def kinds(self, after: int = 0) -> list[str]:
        """The types of the log's events."""
        return [event["type"] for event in self.events(after)]

    def document(self, name: str) -> Json | None:
        """What the index has of a server."""
        hits = self.run("search", name, "--json").object["hits"]
        found: Json | None = next((hit for hit in hits if hit["name"] == name), None)
        return found

    def agrees(self) -> bool:
        """Whether `verify` finds nothing."""
        ran = self.run("verify", "--json")
        return ran.status == 0 and ran.object["ok"] is True
