"""Meilisearch as a process: started where nobody listens, tied to its keeper's life, ended."""

import contextlib
import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from workers.meili_folder import LOOPBACK, MeiliFolder

INDEXING_MEMORY = "1GiB"
"""What Meilisearch may take for indexing, where the operator says nothing. Left alone it takes two thirds of the
machine's memory and clears a share of that before its first task: 1.8 GB and 2 s of 24 GB, without indexing faster.
"""

_DEFAULTS = {"MEILI_LOG_LEVEL": "WARN", "MEILI_MAX_INDEXING_MEMORY": INDEXING_MEMORY}
_TICK = 0.02
_STOP_LIMIT = 10.0
_PORTS_TRIED = 200
_PR_SET_PDEATHSIG = 1


def start(folder: MeiliFolder, binary: Path, url: str) -> subprocess.Popen[bytes]:
    """Meilisearch on the folder's data; where the kernel can do that, it ends with the thread that calls this."""
    path = folder.path
    return subprocess.Popen(
        [
            *(binary, "--no-analytics", "--env", "production", "--http-addr", url.removeprefix("http://")),
            *("--db-path", folder.db, "--dump-dir", path / "dumps", "--snapshot-dir", path / "snapshots"),
        ],
        env={**_DEFAULTS, **os.environ, "MEILI_MASTER_KEY": folder.key()},
        cwd=path,
        stdin=subprocess.DEVNULL,
        preexec_fn=_die_with_parent(),
    )


def stop(process: subprocess.Popen[bytes]) -> None:
    """In good order if it will; it may be gone already."""
    process.terminate()
    try:
        process.wait(_STOP_LIMIT)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


def end_leftover(folder: MeiliFolder) -> None:
    """Kill a Meilisearch that outlived its keeper: two on one folder would damage it, and it does not look itself."""
    pid = folder.state().pid
    deadline = time.monotonic() + _STOP_LIMIT
    while pid and _is_on(folder, pid) and time.monotonic() < deadline:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
        time.sleep(_TICK)


def free_port(folder: MeiliFolder) -> int:
    """The port of last time; another, for good, where somebody else has that now."""
    known = folder.port()
    for port in [known or _any_port(), *(_any_port() for _ in range(_PORTS_TRIED))]:
        if _is_free(port):
            if port != known:
                folder.write_port(port)
            return port
    raise OSError(f"{_PORTS_TRIED} ports of {LOOPBACK} were tried, and none is free")


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


def _die_with_parent() -> Callable[[], None] | None:
    """What a child runs before it becomes Meilisearch, so that the kernel kills it with the keeper; None if it cannot.

    The bond is to the thread that starts the child, not to its process.
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


def _is_on(folder: MeiliFolder, pid: int) -> bool:
    """Whether the process is there and was started on this folder's data."""
    db = os.fsencode(folder.db)
    if Path("/proc/self").exists():
        try:
            return db in Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
        except OSError:
            return False
    return db in subprocess.run(["ps", "-ww", "-o", "args=", "-p", str(pid)], capture_output=True, check=False).stdout
