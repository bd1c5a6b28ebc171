"""Whether this worker is to stop: one byte that its processes share.

The signal that ends a worker reaches its first process; crawls run in others, forked from it.
"""

import mmap
import time

_STOPPING = mmap.mmap(-1, 1)
_TICK = 0.2


def stop() -> None:
    """Tells every process that was forked from this one since this module was loaded, and this one."""
    _STOPPING[0] = 1


def stopping() -> bool:
    """Whether the worker is to stop."""
    return _STOPPING[0] == 1


def sleep(seconds: float) -> None:
    """Sleeps so long, or until the worker is to stop; then raises KeyboardInterrupt, as a person's Ctrl-C does."""
    until = time.monotonic() + seconds
    while (left := until - time.monotonic()) > 0:
        if stopping():
            raise KeyboardInterrupt
        time.sleep(min(left, _TICK))
