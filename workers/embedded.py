"""A home's own Meilisearch, as the commands of that home see it: they hold it, and ask where it is.

One is shared by all of them. The first holder starts its keeper (`workers.keeper`), which ends it when the last is
gone, however that went.
"""

import fcntl
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Self

from indexer.errors import IndexUnavailable
from workers.meili_folder import MeiliFolder, State, ask, try_lock, unusable

PATIENCE = 60.0
"""Seconds that `ensure` waits for Meilisearch, not counting the time to find its program."""

_TICK = 0.02
_KEEPERS = 3
_PASSED_ON = ("MEILI_", "RUST_", "PYTHON", "PATH", "LANG", "LC_", "LD_", "DYLD_", "TMPDIR", "TZ")
"""What the keeper and Meilisearch get of the environment: the operator's MEILI_ settings, and no tokens."""

_KEPT_BACK = ("MEILI_SSL", "MEILI_IMPORT", "MEILI_CONFIG", "MEILI_SCHEDULE", "MEILI_MASTER_KEY")
"""Settings of another Meilisearch, with which ours would not answer."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where Meilisearch answers, and its master key."""

    url: str
    key: str = field(repr=False)


class EmbeddedMeilisearch:
    """One holder: from its first `ensure` to `close` the home's Meilisearch does not end.

    A process forked meanwhile, as a worker's children are, shares the hold until it ends.
    """

    def __init__(self, home: Path, *, binary: Callable[[], Path], patience: float = PATIENCE) -> None:
        self._home = home.resolve()
        self._binary = binary
        self._patience = patience
        self._held: int | None = None
        self._one_at_a_time = threading.Lock()

    def ensure(self, *, hung: float = PATIENCE) -> Address:
        """Where Meilisearch answers now, started if it was not there; one that is there is given up after `hung`
        seconds without an answer.

        Raises IndexUnavailable with Meilisearch's own reason when it does not start, ConfigurationError when the home
        cannot be used, and what `binary` raises.
        """
        with self._one_at_a_time, self._sentences():
            folder = MeiliFolder.of(self._home)
            self._hold(folder)
            return self._healthy(folder) or self._started(folder, self._binary(), hung)

    def close(self) -> None:
        """Let go; may be called again, and `ensure` holds anew."""
        if self._held is not None:
            os.close(self._held)  # not unlocked: a forked child may still hold
            self._held = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _hold(self, folder: MeiliFolder) -> None:
        """Take the shared lock; a keeper that is just ending gives it when it is gone."""
        if self._held is not None and os.fstat(self._held).st_nlink:
            return
        self.close()  # a hold on a folder that was removed holds nothing
        self._held = folder.lock_file("holders")
        begun = time.monotonic()
        try:
            while not try_lock(self._held, fcntl.LOCK_SH):
                self._still_waiting(folder, begun, self._patience)
        except BaseException:
            self.close()
            raise

    def _healthy(self, folder: MeiliFolder) -> Address | None:
        """The address, when there is a keeper and Meilisearch answers."""
        with _chance(folder) as lock:
            return _address(folder) if lock is None else None

    def _started(self, folder: MeiliFolder, binary: Path, hung: float) -> Address:
        """Wait until Meilisearch answers, starting a keeper whenever there is none."""
        before, said = folder.state(), folder.log_size()
        begun, up_since, keepers = time.monotonic(), None, 0
        while True:
            with _chance(folder) as lock:
                if lock is None:
                    if address := _address(folder):
                        return address
                else:
                    after = folder.state()
                    if after.failure and after != before:  # of a keeper that tried while we waited
                        raise self._failed(folder, after.failure)
                    if keepers == _KEEPERS:
                        raise self._failed(folder, folder.last_words(said) or "its keeper went without a word")
                    _start_keeper(folder, binary, lock)
                    keepers += 1
            if up_since is None and folder.state().url:
                up_since = time.monotonic()
            if up_since is None:
                self._still_waiting(folder, begun, self._patience)
            else:
                self._still_waiting(folder, up_since, min(hung, self._patience))

    def _still_waiting(self, folder: MeiliFolder, begun: float, patience: float) -> None:
        if time.monotonic() > begun + patience:
            raise IndexUnavailable(
                f"The embedded Meilisearch in {folder.path} did not answer within {patience:g} s. {_see(folder)}"
            )
        time.sleep(_TICK)

    def _failed(self, folder: MeiliFolder, reason: str) -> IndexUnavailable:
        return IndexUnavailable(f"The embedded Meilisearch in {folder.path} does not start: {reason}. {_see(folder)}")

    @contextmanager
    def _sentences(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            raise unusable(self._home, error) from error


@contextmanager
def _chance(folder: MeiliFolder) -> Iterator[int | None]:
    """The keeper's lock, taken, when there is no keeper: the chance to start one. None when there is one."""
    handle = folder.lock_file("keeper")
    try:
        yield handle if try_lock(handle, fcntl.LOCK_EX) else None
    finally:
        os.close(handle)  # a keeper started meanwhile has inherited the lock


def _address(folder: MeiliFolder) -> Address | None:
    url = folder.state().url
    return Address(url, folder.key()) if url and ask(url, "/health") else None


def _see(folder: MeiliFolder) -> str:
    return f"See {folder.log}, or set MCP_INDEXER_MEILI_URL to a running server."


def _start_keeper(folder: MeiliFolder, binary: Path, lock: int) -> None:
    """Hand the lock to a new keeper; returns when that is on its own.

    Nobody else writes while the lock is ours, so the state of the last keeper is cleared here: until the new one has
    written, nobody takes an old address for a new one. The process stays in it, for it may have outlived its keeper.
    """
    folder.make_key()
    folder.write_state(State(pid=folder.state().pid))
    log = folder.open_log()
    try:
        subprocess.run(
            # -P: what lies in the folder is data, and cannot be imported
            [sys.executable, "-P", "-m", "workers.keeper", folder.path, binary, str(lock)],
            cwd=folder.path,
            env=_environment(),
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            pass_fds=(lock,),
            start_new_session=True,
            check=False,
        )
    finally:
        os.close(log)


def _environment() -> dict[str, str]:
    """Less of ours, and the way to this checkout or installation."""
    passed = {
        name: value
        for name, value in os.environ.items()
        if name.startswith(_PASSED_ON) and not name.startswith(_KEPT_BACK)
    }
    ways = [str(Path(__file__).parents[1]), *filter(None, [passed.get("PYTHONPATH")])]
    return passed | {"PYTHONPATH": os.pathsep.join(ways)}
