"""One byte says to all processes of a worker that it is to stop."""

import subprocess
import sys
from collections.abc import Iterator

import pytest

from workers import stopping


@pytest.fixture(autouse=True)
def going_on() -> Iterator[None]:
    yield
    stopping._STOPPING[0] = 0


FORKED = """
import os
from workers import stopping

assert not stopping.stopping()
child = os.fork()
if child == 0:
    stopping.stop()
    os._exit(0)
os.waitpid(child, 0)
assert stopping.stopping()
"""


def test_what_one_process_is_told_those_forked_from_it_know() -> None:
    """In a process of its own: one that has threads, as that of the tests may, is not to be forked."""
    subprocess.run([sys.executable, "-c", FORKED], check=True)


def test_who_sleeps_is_woken() -> None:
    stopping.stop()
    with pytest.raises(KeyboardInterrupt):
        stopping.sleep(3600)


def test_else_sleep_is_sleep() -> None:
    stopping.sleep(0.001)
