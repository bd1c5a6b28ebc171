"""The keeper of one home's Meilisearch: `python -m workers.keeper FOLDER BINARY LOCK`.

The first command that needs Meilisearch starts it, with `keeper.lock` already taken on descriptor LOCK, so there is never a
second. It starts Meilisearch, starts it again when it dies, and ends it when no holder is left. Locks belong to the kernel:
they go with their process, however it died.

A command that comes while the keeper ends Meilisearch waits: the keeper ends only with `holders.lock` taken exclusively,
and gives it back by exiting. So a holder that got its shared lock has a keeper that stays, or none and may start one.
"""

import contextlib
import fcntl
import logging
import os
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from workers.meili_folder import LOOPBACK, MeiliFolder, State, ask, last_words, try_lock

GRACE = 1.5
"""Seconds without a holder before the end: the next command of a script finds Meilisearch warm."""

_TICK = 0.25
_STARTING_TICK = 0.02
_START_LIMIT = 60.0
_STOP_LIMIT = 10.0
_QUICK = 10.0
_TRIES = 4
_PORTS_TRIED = 200
_PR_SET_PDEATHSIG = 1
_UNREADABLE_DB = re.compile(r"database version|version of the database|MDB_(INVALID|CORRUPTED|VERSION_MISMATCH)", re.I)

log = logging.getLogger("keeper")


class Keeper:
    """Meilisearch on one folder, for as long as somebody holds it."""

    def __init__(self, folder: MeiliFolder, binary: Path, lock: int) -> None:
        self._folder = folder
        self._binary = binary
        self._lock = lock
        self._holders = folder.lock_file("holders")
        self._die_together = _die_with_parent()
        self._idle_since: float | None = None
        self._told = False

    def told_to_stop(self, *_: object) -> None:
        self._told = True

    def removed(self) -> bool:
        """Somebody removed the folder; what lies there now is another keeper's."""
        return os.fstat(self._lock).st_nlink == 0

    def keep(self) -> str:
        """Returns when no holder is left, or with the reason when Meilisearch died too often."""
        _end_leftover(self._folder)
        failures = 0
        while True:
            begun, said = time.monotonic(), self._folder.log.stat().st_size
            url = f"http://{LOOPBACK}:{self._free_port()}"
            try:
                child = self._spawn(url)
            except OSError as error:
                return f"{self._binary} cannot be run ({error.strerror})"
            try:
                if self._watch(child, url):
                    return ""
            finally:
                _stop(child)
            reason = self._reason(child.returncode, said)
            log.warning("Meilisearch ended: %s", reason)
            if _UNREADABLE_DB.search(reason):
                log.warning("%s is not of this Meilisearch: starting with an empty one", self._folder.db)
                shutil.rmtree(self._folder.db, ignore_errors=True)
            failures = failures + 1 if time.monotonic() - begun < _QUICK else 1
            if failures == _TRIES:
                return reason
            time.sleep(0.05 * 2**failures)

    def _watch(self, child: subprocess.Popen[bytes], url: str) -> bool:
        """True when it is time to end; False when the child died, or never answered."""
        self._folder.write_state(State(child.pid, os.getpid()))
        deadline, answers = time.monotonic() + _START_LIMIT, False
        while child.poll() is None:
            if not answers and (version := self._version(url)) and child.poll() is None:
                answers = True
                self._folder.write_state(State(child.pid, os.getpid(), url, version))
                log.info("Meilisearch %s answers at %s, process %d", version, url, child.pid)
            if self._told or self.removed() or self._nobody_left():
                return True
            if not answers and time.monotonic() > deadline:
                return False
            self._folder.bound_log()
            time.sleep(_TICK if answers else _STARTING_TICK)
        self._folder.write_state(State())
        return False

    def _nobody_left(self) -> bool:
        """True, with `holders.lock` kept, once nobody has held it for the grace."""
        if not try_lock(self._holders, fcntl.LOCK_EX):
            self._idle_since = None
            return False
        now = time.monotonic()
        if self._idle_since is None:
            self._idle_since = now
        if now - self._idle_since >= GRACE:
            return True
        fcntl.flock(self._holders, fcntl.LOCK_UN)
        return False

    def _version(self, url: str) -> str | None:
        """Its version once it is healthy; asked with our key, so that a stranger on the port is not taken for it."""
        if ask(url, "/health") is None:
            return None
        found = ask(url, "/version", self._folder.key())
        return None if found is None else str(found.get("pkgVersion", ""))

    def _free_port(self) -> int:
        """The port of last time; another, for good, where somebody else has that now."""
        known = self._folder.port()
        for port in [known or _any_port(), *(_any_port() for _ in range(_PORTS_TRIED))]:
            if _is_free(port):
                if port != known:
                    self._folder.write_port(port)
                return port
        raise OSError(f"{_PORTS_TRIED} ports of {LOOPBACK} were tried, and none is free")

    def _spawn(self, url: str) -> subprocess.Popen[bytes]:
        path = self._folder.path
        return subprocess.Popen(
            [
                *(self._binary, "--no-analytics", "--env", "production", "--http-addr", url.removeprefix("http://")),
                *("--db-path", self._folder.db, "--dump-dir", path / "dumps", "--snapshot-dir", path / "snapshots"),
            ],
            env={"MEILI_LOG_LEVEL": "WARN", **os.environ, "MEILI_MASTER_KEY": self._folder.key()},
            cwd=path,
            stdin=subprocess.DEVNULL,
            preexec_fn=self._die_together,
        )

    def _reason(self, status: int, said: int) -> str:
        """What a Meilisearch that died has to say; `said` is where its part of the log begins."""
        if status < 0:
            return f"it was ended by {signal.Signals(-status).name}"
        return last_words(self._folder.log, said) or f"{self._binary} ended with status {status} and said nothing"


def _die_with_parent() -> Callable[[], None] | None:
    """What a child runs before it becomes Meilisearch, so that the kernel kills it with the keeper; None if it cannot.

    The bond is to the thread that starts the child, which is why the keeper has only one.
    """
    if sys.platform != "linux":
        return None
    import ctypes

    prctl, keeper = ctypes.CDLL(None).prctl, os.getpid()

    def bond() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        if os.getppid() != keeper:
            os._exit(1)

    return bond


def _any_port() -> int:
    """Below those given to outgoing connections, so that it is likely to be free next time too."""
    return secrets.choice(range(15_000, 32_000))


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
    return True


def _stop(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    try:
        child.wait(_STOP_LIMIT)
    except subprocess.TimeoutExpired:
        child.kill()
        child.wait()


def _end_leftover(folder: MeiliFolder) -> None:
    """Kill a Meilisearch that outlived its keeper: two on one folder would damage it, and it does not look itself."""
    pid = folder.state().pid
    deadline = time.monotonic() + _STOP_LIMIT
    while pid and str(folder.db) in _arguments(pid) and time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(_STARTING_TICK)


def _arguments(pid: int) -> list[str]:
    """A process's arguments; none where it is gone."""
    if Path("/proc/self").exists():
        try:
            return Path(f"/proc/{pid}/cmdline").read_text(errors="replace").split("\0")
        except OSError:
            return []
    shown = subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, text=True, check=False)
    return shown.stdout.split()


def main() -> None:
    folder, binary, lock = MeiliFolder(Path(sys.argv[1])), Path(sys.argv[2]), int(sys.argv[3])
    if os.fork():
        os._exit(0)  # the command waits for this one only, and the keeper is nobody's child
    os.set_inheritable(lock, False)
    logging.basicConfig(level=logging.INFO, format="%(asctime)s keeper: %(message)s")
    keeper = Keeper(folder, binary, lock)
    signal.signal(signal.SIGTERM, keeper.told_to_stop)
    signal.signal(signal.SIGINT, keeper.told_to_stop)
    try:
        failure = keeper.keep()
    except OSError as error:
        log.exception("the keeper ends")
        failure = str(error)
    if not keeper.removed():
        folder.write_state(State(keeper=os.getpid(), failure=failure))


if __name__ == "__main__":
    main()
