"""The tour, `python -m workers.tour`: what `make run` shows.

It crawls a registry into an index, searches it and shows where everything stands, by the commands that a person would
type: the official registry where that can be reached, else the sample registry that comes with the project. Either has
a home of its own, and an index of its own where a Meilisearch is configured: nothing that an operator has is touched.
"""

import argparse
import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from indexer.clock import machine_clock
from indexer.errors import ConfigurationError, McpIndexerError, SourceMalformed, SourceRefused, SourceUnavailable
from workers.client import client, spare_loopback
from workers.embedded import EmbeddedMeilisearch
from workers.fetch import Fetcher
from workers.kinds import KINDS
from workers.meili_binary import find_binary
from workers.meili_folder import unusable
from workers.sample.bundled import sample_registry
from workers.sample.serve import SampleServer
from workers.settings import Settings, read_settings
from workers.sources_file import SourceConfig, read_sources
from workers.terminal import say

SOURCES = Path(__file__).with_name("tour.toml")
PATIENCE = 10.0
"""Seconds that the official registry gets to show that it is there."""
_GRACE = 3.0


class _Terminated(KeyboardInterrupt):
    """SIGTERM, which reaches this process alone; what a terminal sends reaches the command that runs, too."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A registry that the tour visits, and the home where what it says is kept."""

    name: str
    sources: str
    home: Path
    crawl: tuple[str, ...]

    @property
    def sources_file(self) -> Path:
        """Where its sources file is written."""
        return self.home / "sources.toml"


def main(arguments: Sequence[str] | None = None) -> int:
    """Shows the whole flow once; 0 when it worked."""
    given = _parser().parse_args(arguments)
    signal.signal(signal.SIGTERM, _terminated)
    spare_loopback()
    try:
        return _tour(read_settings(), given.official, given.max_pages)
    except KeyboardInterrupt:
        say("Interrupted; what was recorded is kept, and the next tour goes on from there.")
        return 130
    except McpIndexerError as error:
        say(str(error))
        return 2 if isinstance(error, ConfigurationError) else 1


def _tour(settings: Settings, official: str | None, max_pages: int) -> int:
    (config,) = read_sources(SOURCES)
    text = SOURCES.read_text()
    if official is not None:
        config, text = config.model_copy(update={"url": official}), text.replace(config.url, official)
    try:
        reach(config, settings.contact)
    except (SourceUnavailable, SourceRefused, SourceMalformed) as error:
        why = str(error).rpartition("; ")[0] or str(error)
        say(f"The official registry cannot be reached ({why}): crawling the bundled sample registry instead.")
    else:
        stop = Stop(config.name, text, settings.home / config.name, ("--max-pages", str(max_pages)))
        if _visit(stop, settings) == 0:
            return 0
        say("The official registry did not get us through: crawling the bundled sample registry instead.")
    with SampleServer(sample_registry()) as server:
        text = f'[[source]]\nname = "sample"\nkind = "registry"\nurl = "{server.url}"\n'
        return _visit(Stop("sample", text, settings.home / "sample", ()), settings)


def reach(config: SourceConfig, contact: str | None) -> None:
    """One small request, tried once. Raises what its adapter does where that does not work."""
    kind = KINDS[config.kind]
    with client(contact) as http:
        http.timeout = PATIENCE
        fetcher = Fetcher(http, _Unbounded(), per_minute=1, clock=machine_clock, attempts=1)
        kind(config.url, kind.Options.model_validate({"page_size": 1}), fetcher).fetch(None, None)


class _Unbounded:
    """The budget of a single request: before it there is no home yet that could hold one."""

    def reserve(self, host: str, per_minute: int) -> float:  # noqa: ARG002 - the protocol names it
        return 0.0

    def rest(self, host: str, seconds: float) -> None:
        pass


def _visit(stop: Stop, settings: Settings) -> int:
    """The commands one after the other, until one fails."""
    _write(stop)
    with _meilisearch(stop.home, settings) as binary:
        changed = _changes(stop, settings, binary)
        environment = {name: value for name, value in os.environ.items() if name != "MCP_INDEXER_DATABASE_URL"}
        for arguments in (("crawl", stop.name, *stop.crawl), ("search", "pdf", "--limit", "5"), ("status",)):
            _show(f"$ mcp-indexer {shlex.join(arguments)}")
            status = _run(arguments, {**environment, **changed})
            _show("")
            if status != 0:
                return status if status > 0 else 1
    _suggest({name: value for name, value in changed.items() if os.environ.get(name) != value})
    return 0


def _write(stop: Stop) -> None:
    try:
        stop.home.mkdir(parents=True, exist_ok=True)
        draft = stop.sources_file.with_suffix(f".{os.getpid()}")
        draft.write_text(stop.sources)
        draft.replace(stop.sources_file)
    except OSError as error:
        raise unusable(stop.home, error) from error


@contextmanager
def _meilisearch(home: Path, settings: Settings) -> Iterator[Path | None]:
    """Keeps the home's Meilisearch between the commands; its program is looked for and installed in the home above."""
    if settings.meili_url is not None:
        yield None
        return
    binary = find_binary(settings.home, settings.meili_binary, say)
    with EmbeddedMeilisearch(home, binary=lambda: binary) as embedded:
        embedded.ensure()
        yield binary


def _changes(stop: Stop, settings: Settings, binary: Path | None) -> dict[str, str]:
    """What the environment of the commands has otherwise than ours."""
    changes = {"MCP_INDEXER_HOME": str(stop.home), "MCP_INDEXER_SOURCES": str(stop.sources_file)}
    if settings.meili_url is not None:
        changes["MCP_INDEXER_INDEX"] = f"{settings.index}-{stop.name}"
    elif binary is not None and settings.meili_binary is None and shutil.which("meilisearch") is None:
        changes["MCP_INDEXER_MEILI_BINARY"] = _near(binary)
    return changes


def _run(arguments: Sequence[str], environment: Mapping[str, str]) -> int:
    """A command as it is; it ends when this process is told to."""
    child: subprocess.Popen[bytes] | None = None
    try:
        with _told_later():
            child = subprocess.Popen([sys.executable, "-m", "workers", *arguments], env=environment)
        return child.wait()
    except KeyboardInterrupt as interrupt:
        if child is not None:
            _end(child, tell=isinstance(interrupt, _Terminated))
        raise


def _end(child: subprocess.Popen[bytes], *, tell: bool) -> None:
    """Ends a command: waits a moment for one that was told to, or is told now, tells it once more, and waits on."""
    if tell:
        child.terminate()
    try:
        child.wait(_GRACE)
    except subprocess.TimeoutExpired:
        child.terminate()
        child.wait()


@contextmanager
def _told_later() -> Iterator[None]:
    """Has us told to end once that can be passed on: in the midst of starting a command it would leave that behind."""
    told: list[int] = []
    heard = [one for one in (signal.SIGTERM, signal.SIGINT) if signal.getsignal(one) is not signal.SIG_IGN]
    usual = {one: signal.signal(one, lambda number, _: told.append(number)) for one in heard}
    try:
        yield
    finally:
        for one, handler in usual.items():
            signal.signal(one, handler)
        for number in told:
            signal.raise_signal(number)


def _suggest(changed: Mapping[str, str]) -> None:
    lines = [
        *_activation(),
        *(["unset MCP_INDEXER_DATABASE_URL"] if "MCP_INDEXER_DATABASE_URL" in os.environ else []),
        "export " + " ".join(f"{name}={shlex.quote(value)}" for name, value in changed.items()),
        'mcp-indexer search "" --facets registry_types,transports --limit 5',
        "mcp-indexer events --limit 5",
        "mcp-indexer verify",
        "mcp-indexer --help",
    ]
    _show("What to try next with what was crawled:", "", *(f"    {line}" for line in lines), "")
    _show("README.md goes on from there: sources of your own, searching from a program, following changes.")


def _show(*lines: str) -> None:
    sys.stdout.write("".join(f"{line}\n" for line in lines))
    sys.stdout.flush()


def _activation() -> list[str]:
    """How the command comes onto the PATH, where it is not."""
    if shutil.which("mcp-indexer"):
        return []
    script = Path(sys.prefix) / "bin" / "activate"
    return [f". {shlex.quote(_near(script))}"] if script.exists() else []


def _near(path: Path) -> str:
    """A path as a person here would write it."""
    here = Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m workers.tour",
        description="Crawl a registry, index it, search it: the official one where it can be reached, else a sample.",
        epilog="example: python -m workers.tour --max-pages 50",
    )
    parser.add_argument(
        "--max-pages", type=_pages, default=10, help="pages of the official registry a tour (default 10)"
    )
    parser.add_argument("--official", metavar="URL", help="what to take for the official registry, such as a mirror")
    return parser


def _pages(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _terminated(*_: object) -> None:
    raise _Terminated


if __name__ == "__main__":
    sys.exit(main())
