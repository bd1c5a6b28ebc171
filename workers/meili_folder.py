"""The folder of a home's own Meilisearch: what lies where, which lock means what, and a short question over HTTP.

    holders.lock     shared: a command that uses Meilisearch; exclusive: the keeper, while it ends it
    keeper.lock      exclusive: the keeper, for its life. Who gets it may start one, and writes the rest
    state.json       where Meilisearch answers, or why it does not
    key, port        made once
    db, dumps, snapshots, meilisearch.log

The keeper is a program of its own that starts in a few hundredths of a second, so only the standard library is here.
"""

import errno
import fcntl
import http.client
import json
import os
import re
import secrets
import tempfile
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any

from indexer.errors import ConfigurationError, IndexUnavailable, McpIndexerError

LOOPBACK = "127.0.0.1"
_LOG_LIMIT = 1 << 20
_ANSI = re.compile(r"\x1b\[[0-9;]*m")
_FULL = {errno.ENOSPC, errno.EDQUOT}
_NO_LOCKS = {errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP}


@dataclass(frozen=True, slots=True)
class State:
    """What the keeper last wrote; `url` only while Meilisearch answers there, `failure` only once it gave up."""

    pid: int = 0
    keeper: int = 0
    url: str = ""
    version: str = ""
    failure: str = ""


@dataclass(frozen=True, slots=True)
class MeiliFolder:
    path: Path

    @classmethod
    def of(cls, home: Path) -> "MeiliFolder":
        """The folder under home, made if missing and open to its owner only."""
        path = home.resolve() / "meilisearch"
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        return cls(path)

    @property
    def db(self) -> Path:
        return self.path / "db"

    @property
    def log(self) -> Path:
        return self.path / "meilisearch.log"

    def lock_file(self, name: str) -> int:
        """A new descriptor to lock with, which no program that we start inherits unless it is handed over.

        Never 0, 1 or 2, even where those are closed: what is handed over must not be taken for standard input.
        """
        handle = os.open(self.path / f"{name}.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            return fcntl.fcntl(handle, fcntl.F_DUPFD_CLOEXEC, 3)
        finally:
            os.close(handle)

    def state(self) -> State:
        """The last state written; an empty one where there is none, or none that can be read."""
        try:
            found: dict[str, Any] = json.loads(self._read("state.json"))
            return State(**{field.name: found[field.name] for field in fields(State)})
        except (ValueError, KeyError, TypeError):
            return State()

    def write_state(self, state: State) -> None:
        self._write("state.json", json.dumps(asdict(state)))

    def key(self) -> str:
        return self._read("key").strip()

    def make_key(self) -> None:
        """A master key, unless there is one."""
        if not self.key():
            self._write("key", secrets.token_urlsafe(32))

    def port(self) -> int:
        """The port of last time; 0 where there was none."""
        text = self._read("port").strip()
        return int(text) if text.isascii() and text.isdigit() and int(text) < 1 << 16 else 0

    def write_port(self, port: int) -> None:
        self._write("port", str(port))

    def open_log(self) -> int:
        """A descriptor that appends to the log."""
        return os.open(self.log, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC, 0o600)

    def log_size(self) -> int:
        return self.log.stat().st_size if self.log.exists() else 0

    def bound_log(self) -> None:
        """Empty the log when it has grown past a mebibyte; whoever writes it goes on from the start."""
        if self.log_size() > _LOG_LIMIT:
            os.truncate(self.log, 0)

    def last_words(self, after: int) -> str:
        """The error that the log tells of after that many bytes, or else its last line."""
        size = self.log_size()
        with self.log.open("rb") as file:
            file.seek(max(after if after <= size else 0, size - (1 << 16)))
            lines = [_ANSI.sub("", line).strip() for line in file.read().decode(errors="replace").splitlines()]
        errors = [line.removeprefix("Error: ") for line in lines if line.startswith("Error: ")]
        return next(reversed(errors or [line for line in lines if line]), "")[:300].rstrip(".")

    def _read(self, name: str) -> str:
        try:
            return (self.path / name).read_text()
        except FileNotFoundError:
            return ""

    def _write(self, name: str, text: str) -> None:
        """Readable by the owner only, and there at once or not at all."""
        handle, draft = tempfile.mkstemp(dir=self.path, prefix=f".{name}-")  # mkstemp's files are 0600
        try:
            with os.fdopen(handle, "w") as file:
                file.write(text)
            os.replace(draft, self.path / name)
        except BaseException:
            os.unlink(draft)
            raise


def try_lock(handle: int, how: int) -> bool:
    """Take the lock if it is free now."""
    try:
        fcntl.flock(handle, how | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def unusable(home: Path, error: OSError) -> McpIndexerError:
    """The sentence for a home that cannot be worked in."""
    reason = error.strerror or str(error)
    where = error.filename or home
    if error.errno in _FULL:
        return IndexUnavailable(f"No room is left for {where} ({reason}): make room, then run this again.")
    if error.errno in _NO_LOCKS:
        return ConfigurationError(
            f"The file system of {home} has no file locks ({reason}), which the embedded Meilisearch needs: "
            "set MCP_INDEXER_HOME to a local folder, or MCP_INDEXER_MEILI_URL to a running server."
        )
    return ConfigurationError(
        f"The home {home} cannot be used: {where}: {reason}. Make it a folder that you can write to, "
        "or set MCP_INDEXER_HOME to another one."
    )


def ask(url: str, path: str, key: str = "", patience: float = 2.0) -> dict[str, Any] | None:
    """The answer to a GET on loopback, past any proxy; None unless it is 200 with a JSON object."""
    connection = http.client.HTTPConnection(url.removeprefix("http://"), timeout=patience)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {key}"} if key else {})
        answer = connection.getresponse()
        found = json.loads(answer.read()) if answer.status == http.client.OK else None
    except (OSError, http.client.HTTPException, ValueError):
        return None
    finally:
        connection.close()
    return found if isinstance(found, dict) else None
