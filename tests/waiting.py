"""Waiting until something is so, for tests: as long as a busy machine may need, and no longer than it takes."""

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")

PATIENCE = 60.0
"""Seconds that something gets to become so, and a server for one answer. What counts is that it does: a busy machine
gives a process no CPU for some of them, and nobody waits once it is so.
"""


def wait_until(condition: Callable[[], T], timeout: float = PATIENCE, every: float = 0.02) -> T:
    """What `condition` answers, as soon as that is true; an AssertionError after `timeout` seconds."""
    deadline = time.monotonic() + timeout
    while True:
        last = time.monotonic() > deadline  # before it is asked: who stood still in between looks once more
        if answer := condition():
            return answer
        if last:
            raise AssertionError(f"still not so after {timeout:g} s: {condition!r} answers {answer!r}")
        time.sleep(every)
