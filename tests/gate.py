"""A sample registry's answer that is held back, so that a crawl waits at it while a test looks."""

import threading
from typing import Self

from tests.waiting import PATIENCE
from workers.sample.answers import Request
from workers.sample.serve import SampleServer


class Gate:
    """Holds back a registry's answer to one listing, by its number, until it is opened or left."""

    def __init__(self, registry: SampleServer, number: int) -> None:
        self._number, self._asked = number, 0
        self._reached, self._open = threading.Event(), threading.Event()
        registry.faults.hook = self._hold

    def await_request(self, seconds: float = PATIENCE) -> None:
        """Waits until the held answer is waited for."""
        assert self._reached.wait(seconds), f"listing {self._number} was not asked for in {seconds:g} s"

    def open(self) -> None:
        """Lets it go."""
        self._open.set()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.open()

    def _hold(self, request: Request) -> None:
        if request.path.endswith("/servers"):
            self._asked += 1
            if self._asked == self._number:
                self._reached.set()
                self._open.wait()
