"""Where the program begins: the command `mcp-indexer`, and `python -m workers`.

It imports next to nothing, so that Ctrl-C and SIGTERM find us ready for them while the rest is imported, which takes
half a second.
"""

import os
import signal
import sys

INTERRUPTED = 130


def main() -> None:
    """Runs a command. Ctrl-C and SIGTERM end it with 130 and without a traceback, however early they come."""
    signal.signal(signal.SIGTERM, _end)
    if signal.getsignal(signal.SIGINT) is not signal.default_int_handler:  # who started us wants it to be ignored
        _run()
        return
    # Not by an exception: what defines classes and what is written in C may make another one of it, or swallow it.
    signal.signal(signal.SIGINT, _end)
    try:
        _run()
    finally:
        # It is done; Python tidies up, and would tell of every interrupt.
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, signal.SIG_IGN)


def _run() -> None:
    from workers import cli
    from workers.interrupts import INTERRUPT

    if signal.getsignal(signal.SIGINT) is _end:
        signal.signal(signal.SIGINT, INTERRUPT)
    try:
        cli.main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)


def _end(*_: object) -> None:
    os.write(2, b"Interrupted; nothing was begun.\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
