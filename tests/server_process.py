"""A server as a process: started until it answers, stopped, killed, and gone when whoever started it is.

`stop` is orderly, `kill` is a crash; both keep the port and the data, so that `start` goes on where it was;
`close` also removes the data. Each server heads a process group, and a keeper beside it holds the read end of
a pipe: when the process that started the server is gone, however it died, the keeper ends the group and
removes the folder.
"""

import os
import shutil
import signal
import subprocess
import tempfile
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self

from tests.ports import free_port
from tests.waiting import PATIENCE, wait_until

# A keeper: waits for the end of its input, then ends the group and removes its folder.
KEEPER = 'cat; kill -s "$1" -- "-$2"; sleep 1; kill -s KILL -- "-$2"; rm -rf -- "$3"'


class ServerFailed(Exception):
    """A server did not start, or ended too early; the text holds the last it wrote."""


class Server(ABC):
    """One server process: what all of them have in common."""

    name: ClassVar[str]
    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    kill_signal: ClassVar[signal.Signals] = signal.SIGKILL
    patience: ClassVar[float] = PATIENCE
    restore_signals: ClassVar[bool] = True
    """Without it a file that may not grow is an error to the server, and not its end."""

    def __init__(self) -> None:
        self.port = free_port()
        self.folder = Path(tempfile.mkdtemp(prefix=f"mcp-indexer-{self.name}-"))
        self._process: subprocess.Popen[bytes] | None = None
        self._keeper: subprocess.Popen[bytes] | None = None

    @property
    @abstractmethod
    def url(self) -> str:
        """Where it is, as its clients want to be told."""

    @abstractmethod
    def command(self) -> Sequence[str | Path]:
        """What runs the server in the foreground."""

    @abstractmethod
    def answers(self) -> bool:
        """Whether it would serve a client now."""

    def environment(self) -> Mapping[str, str]:
        """What the process finds in its environment besides ours."""
        return {}

    def prepare(self) -> None:  # noqa: B027 - most need nothing
        """What has to be there before each start."""

    @property
    def user(self) -> str | None:
        """Who the process runs as, where that is not us."""
        return None

    @property
    def running(self) -> bool:
        """Whether the process is there."""
        return self._process is not None and self._process.poll() is None

    @property
    def pid(self) -> int | None:
        """The process's id; None before it was started."""
        return None if self._process is None else self._process.pid

    @property
    def log(self) -> str:
        """The last that it wrote."""
        path = self.folder / "log"
        return path.read_text(errors="replace")[-4000:] if path.exists() else ""

    def start(self) -> Self:
        """Start it, and wait until it answers."""
        if self.running:
            return self
        self.prepare()
        self._process = self._spawn(self.command())
        self._keeper = self._watch(self._process)
        try:
            wait_until(lambda: not self.running or self.answers(), self.patience)
        except AssertionError:
            self.kill()
            raise ServerFailed(f"{self.name} did not answer in {self.patience:g} s: {self.log}") from None
        if not self.running:
            self._end(self.kill_signal)
            raise ServerFailed(f"{self.name} ended instead of answering: {self.log}")
        return self

    def stop(self) -> None:
        """End it in good order; the data stays."""
        self._end(self.stop_signal)

    def kill(self) -> None:
        """End it as a crash would; the data stays as it is then."""
        self._end(self.kill_signal)

    def restart(self) -> Self:
        """In good order, on the same port, with the same data."""
        self.stop()
        return self.start()

    def close(self) -> None:
        """End it for good, and remove its data."""
        self.stop()
        shutil.rmtree(self.folder, ignore_errors=True)

    def __enter__(self) -> Self:
        try:
            return self.start()
        except BaseException:
            self.close()
            raise

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _spawn(self, command: Sequence[str | Path]) -> subprocess.Popen[bytes]:
        with (self.folder / "log").open("ab") as log:
            return subprocess.Popen(
                command,
                cwd=self.folder,
                env={**os.environ, **self.environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
                restore_signals=self.restore_signals,
                user=self.user,
                group=self.user,
                extra_groups=None if self.user is None else [],
            )

    def _watch(self, process: subprocess.Popen[bytes]) -> subprocess.Popen[bytes]:
        name = self.stop_signal.name.removeprefix("SIG")
        return subprocess.Popen(
            ["sh", "-c", KEEPER, "keeper", name, str(process.pid), str(self.folder)],
            cwd="/",
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )

    def _end(self, how: signal.Signals) -> None:
        process, self._process = self._process, None
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            with keeper:
                os.killpg(keeper.pid, signal.SIGKILL)
        if process is None:
            return
        _signal(process.pid, how)
        try:
            process.wait(self.patience)
        except subprocess.TimeoutExpired:
            _signal(process.pid, signal.SIGKILL)
            process.wait()
        _signal(process.pid, signal.SIGKILL)  # what is left of the group


def _signal(group: int, how: signal.Signals) -> None:
    try:
        os.killpg(group, how)
    except (ProcessLookupError, PermissionError):  # nobody left; macOS says the second of a group of zombies
        return
