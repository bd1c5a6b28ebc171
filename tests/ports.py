"""Ports of this machine, for tests: free ones for servers, and those where nobody is to answer."""

import os
import random
import socket
from collections.abc import Iterator
from contextlib import contextmanager

LOOPBACK = "127.0.0.1"
_GIVEN: set[int] = set()


def free_port() -> int:
    """A port nobody listens on, below those given to outgoing connections: it is still free after a crash.

    None is given twice, for who was given it may listen there later; in tests that run beside these, other tests'
    servers have other ones. A Meilisearch of our own program's takes any.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    workers = int(os.environ.get("PYTEST_XDIST_WORKER_COUNT", "1"))
    for port in random.sample(range(15_000 + worker, 32_000, workers), 200):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        if port not in _GIVEN:
            _GIVEN.add(port)
            return port
    raise OSError("200 ports tried, and none of them is free")


@contextmanager
def dead_port() -> Iterator[int]:
    """A port where nobody answers, nor can anybody begin to: it is taken, and not listened on."""
    with socket.socket() as held:
        held.bind((LOOPBACK, 0))
        yield int(held.getsockname()[1])
