"""Ports of this machine, for tests: free ones for servers."""

import os
import random
import socket

LOOPBACK = "127.0.0.1"
_GIVEN: set[int] = set()


def free_port() -> int:
    """A port nobody listens on, below those given to outgoing connections: it is still free after a crash.

    Tests that run beside these, in another process, have other ones. None is given twice: who was given it listens
    there later, or counts on nobody to listen.
    """
    worker = int(os.environ.get("PYTEST_XDIST_WORKER", "gw0").removeprefix("gw"))
    for port in random.sample(range(15_000 + worker % 10, 32_000, 10), 200):
        with socket.socket() as probe:
            try:
                probe.bind((LOOPBACK, port))
            except OSError:
                continue
        if port not in _GIVEN:
            _GIVEN.add(port)
            return port
    raise OSError("200 ports tried, and none of them is free")
