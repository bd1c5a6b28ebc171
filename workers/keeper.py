"""The keeper of one home's Meilisearch: `python -m workers.keeper FOLDER BINARY LOCK`.

The first command that needs Meilisearch starts it, with `keeper.lock` already taken on descriptor LOCK, so there is
never a second. It starts Meilisearch, starts it again when it dies, and ends it when no holder is left. Locks belong to
the kernel: they go with their process, however it died.

A command that comes while the keeper ends Meilisearch waits: the keeper ends only with `holders.lock` taken
exclusively, and gives it back by exiting. So a holder that got its shared lock has a keeper that stays, or none and may
start one.
"""

import fcntl
import logging
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

from workers.meili_folder import LOOPBACK, MeiliFolder, State, ask, try_lock
from workers.meili_process import end_leftover, free_port, start, stop

GRACE = 1.5
"""Seconds without a holder before the end: the next command of a script finds Meilisearch warm."""

_TICK = 0.25
_STARTING_TICK = 0.02
_START_LIMIT = 60.0
_QUICK = 10.0
_TRIES = 4
_UNREADABLE_DB = re.compile(r"database version|version of the database|MDB_(INVALID|CORRUPTED|VERSION_MISMATCH)", re.I)

log = logging.getLogger("keeper")


class Keeper:
    """Meilisearch on one folder, for as long as somebody holds it."""

    def __init__(self, folder: MeiliFolder, binary: Path, lock: int) -> None:
        self._folder = folder
        self._binary = binary
        self._lock = lock
        self._holders = folder.lock_file("holders")
        self._idle_since: float | None = None
        self._told = False

    def told_to_stop(self, *_: object) -> None:
        self._told = True

    def removed(self) -> bool:
        """Somebody removed the folder; what lies there now is another keeper's."""
        return os.fstat(self._lock).st_nlink == 0

    def keep(self) -> str:
        """Returns when no holder is left, or with the reason when Meilisearch died too often."""
        end_leftover(self._folder)
        failures = 0
        while True:
            begun, said = time.monotonic(), self._folder.log_size()
            url = f"http://{LOOPBACK}:{free_port(self._folder)}"
            try:
                child = start(self._folder, self._binary, url)
            except OSError as error:
                return f"{self._binary} cannot be run ({error.strerror})"
            try:
                if self._watch(child, url):
                    return ""
            finally:
                stop(child)
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

    def _reason(self, status: int, said: int) -> str:
        """What a Meilisearch that died has to say; `said` is where its part of the log begins."""
        if status < 0:
            return f"it was ended by {signal.Signals(-status).name}"
        return self._folder.last_words(said) or f"{self._binary} ended with status {status} and said nothing"


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
