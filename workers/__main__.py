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
    # Not by an exception: what defines classes and what is written in C may make another one of it, or swallow it.
    signal.signal(signal.SIGTERM, _end)
    heard = signal.getsignal(signal.SIGINT) is signal.default_int_handler  # else who started us wants it to be ignored
    if heard:
        signal.signal(signal.SIGINT, _end)
    try:
        from workers import cli
        from workers.interrupts import INTERRUPT

        if heard:
            signal.signal(signal.SIGINT, INTERRUPT)
        cli.main()
    except KeyboardInterrupt:
        sys.exit(INTERRUPTED)
    finally:
        # It is done; Python tidies up, and would tell of every interrupt.
        for one in (signal.SIGINT, signal.SIGTERM):
            signal.signal(one, signal.SIG_IGN)


def _end(*_: object) -> None:
    os.write(2, b"Interrupted; nothing was begun.\n")
    os._exit(INTERRUPTED)


if __name__ == "__main__":
    main()
