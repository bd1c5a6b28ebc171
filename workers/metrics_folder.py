"""Where the processes of one worker count, each in a file of its own, which the first process adds up.

prometheus_client names the files by process id, and a pool whose processes come and go would leave one for each, to be
read at every scrape. Ours are named by the place in the pool: who takes a place goes on counting where the last one
stood, so that nothing is lost and nothing grows.
"""

import atexit
import os
import shutil
import tempfile

from billiard.process import current_process

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"
_FIRST = os.getpid()


def _remove(folder: str) -> None:
    if os.getpid() == _FIRST:  # not in those forked from it
        shutil.rmtree(folder, ignore_errors=True)


if VARIABLE not in os.environ:
    os.environ[VARIABLE] = tempfile.mkdtemp(prefix="mcp-indexer-metrics-")
    atexit.register(_remove, os.environ[VARIABLE])


def place() -> str:
    """What this process's file is called: by the worker and the place in its pool, which no two have at a time."""
    return f"{_FIRST}-{getattr(current_process(), 'index', 'first')}"
