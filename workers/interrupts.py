"""What Ctrl-C and SIGTERM do to a command: it unwinds, and that they came is known whatever was made of it on the way.

What is written in C may make another exception of a KeyboardInterrupt: pydantic does where it completes a model.
"""

from typing import NoReturn


class Interrupt:
    """A handler of signals that raises KeyboardInterrupt, and remembers that it did."""

    def __init__(self) -> None:
        self.came = False

    def __call__(self, *_: object) -> NoReturn:
        self.came = True
        raise KeyboardInterrupt


INTERRUPT = Interrupt()
"""This process's."""
