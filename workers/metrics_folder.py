"""Where the processes of one worker count, each in a file of its own. prometheus_client looks for the folder when it is
imported, so this module is imported before it.
"""

import atexit
import os
import shutil
import tempfile

VARIABLE = "PROMETHEUS_MULTIPROC_DIR"


def _remove(folder: str, owner: int) -> None:
    if os.getpid() == owner:  # not in those forked from it
        shutil.rmtree(folder, ignore_errors=True)


if VARIABLE not in os.environ:
    os.environ[VARIABLE] = tempfile.mkdtemp(prefix="mcp-indexer-metrics-")
    atexit.register(_remove, os.environ[VARIABLE], os.getpid())
