"""`up`: a worker, the schedule and the embedded Meilisearch in one process tree.

The worker and beat are Celery's own commands, children of this process. Where one of them ends by itself, the other is
stopped and `up` ends with 1: what started `up` (systemd, Docker, a person) starts all of it again, and nothing runs by
halves.
"""

import ctypes
import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from indexer.errors import McpIndexerError
from workers.broker import check_broker
from workers.terminal import say
from workers.wiring import Wiring

INTERRUPTED = 130
_TICK = 0.2
_PR_SET_PDEATHSIG = 1


class ChildEnded(McpIndexerError):
    """The worker or beat ended by itself."""


def run_up(wiring: Wiring, concurrency: int) -> int:
    """Runs until SIGTERM (gives 0) or Ctrl-C (gives 130). Raises ChildEnded where a child ended by itself."""
    check_broker(wiring.settings.broker)
    enabled = [source.name for source in wiring.remember_sources() if source.enabled]
    names = ", ".join(enabled) or "no source that is enabled"
    index = wiring.index()  # holds the embedded one, so that it does not come and go with each task
    with _signals() as asked, _children(concurrency) as children:
        say(f"Worker and schedule are up for {names}; the index is at {index.url}. `mcp-indexer status` tells more.")
        while not asked.wait(_TICK):
            for name, child in children.items():
                if child.poll() is not None:
                    raise ChildEnded(f"The {name} ended by itself ({child.returncode}); its last lines say why.")
    return 0 if asked.by is signal.SIGTERM else INTERRUPTED


class _Asked(threading.Event):
    """Set once a signal asks to stop; `by` names it."""

    by: signal.Signals | None = None


@contextmanager
def _signals() -> Iterator[_Asked]:
    asked = _Asked()

    def ask(number: int, _: object) -> None:
        asked.by = asked.by or signal.Signals(number)
        asked.set()

    before = {one: signal.signal(one, ask) for one in (signal.SIGTERM, signal.SIGINT)}
    try:
        yield asked
    finally:
        for one, handler in before.items():
            signal.signal(one, handler)


@contextmanager
def _children(concurrency: int) -> Iterator[Mapping[str, subprocess.Popen[bytes]]]:
    """The worker and beat; at the end both are asked to stop, and waited for."""
    commands = {
        "worker": ["worker", "--concurrency", str(concurrency), "--without-gossip", "--without-mingle"],
        "schedule": ["beat"],
    }
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        for name, command in commands.items():
            children[name] = subprocess.Popen(
                [sys.executable, "-P", "-m", "celery", "-A", "workers.app", *command, "--loglevel", "INFO"],
                start_new_session=True,  # Ctrl-C reaches us, and we stop them
                stdin=subprocess.DEVNULL,
                preexec_fn=_end_with_parent(),
            )
        yield children
    finally:
        for child in children.values():
            child.terminate()
        for child in children.values():
            child.wait()


def _end_with_parent() -> Callable[[], None] | None:
    """What a child runs first, so that the kernel asks it to stop when we are killed. We start it from the main thread,
    to whose life the kernel ties it.
    """
    if sys.platform != "linux":
        return None
    prctl, parent = ctypes.CDLL(None).prctl, os.getpid()

    def bond() -> None:
        prctl(_PR_SET_PDEATHSIG, signal.SIGTERM)
        if os.getppid() != parent:
            os._exit(1)

    return bond
