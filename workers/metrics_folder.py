"""Where the processes of one worker count, each in a file of its own, which the first process adds up.

prometheus_client names the files by process id, and a pool whose processes come and go would leave one for each, to be
read at every scrape. Ours are named by the place in the pool: who takes a place goes on counting where the last one
stood, so that nothing is lost and nothing grows. The folder goes with its worker; where that was killed, the next one
that starts removes it.
"""

import atexit
import fcntl
import os
import shutil
import tempfile
from pathlib import Path

from billiard.process import current_process

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
PREFIX = "mcp-indexer-metrics-"
_FIRST = os.getpid()


def _make() -> int:
    """Makes the folder; gives its lock's descriptor, held by the kernel as long as a process of this worker lives."""
    for other in Path(tempfile.gettempdir()).glob(f"{PREFIX}*"):
        if _is_left(other):
            shutil.rmtree(other, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(prefix=PREFIX))
    lock = os.open(folder / "new", os.O_CREAT | os.O_WRONLY, 0o600)
    fcntl.flock(lock, fcntl.LOCK_EX)
    (folder / "new").rename(folder / "lock")  # under this name it is held from the first moment
    os.environ[VARIABLE] = str(folder)
    atexit.register(_remove, folder)
    return lock


def _is_left(folder: Path) -> bool:
    """Whether the worker of a folder is gone."""
    try:
        with (folder / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # held, another user's, or only just made
        return False
    return True


def _remove(folder: Path) -> None:
    if os.getpid() == _FIRST:  # not in those forked from it
        shutil.rmtree(folder, ignore_errors=True)


_LOCK = None if VARIABLE in os.environ else _make()


def place() -> str:
    """What this process's file is called: by the worker and the place in its pool, which no two have at a time."""
    return f"{_FIRST}-{getattr(current_process(), 'index', 'first')}"
