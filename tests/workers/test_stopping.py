"""One byte says to all processes of a worker that it is to stop."""

import multiprocessing
from collections.abc import Iterator

import pytest

from workers import stopping


@pytest.fixture(autouse=True)
def going_on() -> Iterator[None]:
    yield
    stopping._STOPPING[0] = 0


def stop() -> None:
    stopping.stop()


def test_what_one_process_is_told_those_forked_from_it_know() -> None:
    assert not stopping.stopping()
    process = multiprocessing.get_context("fork").Process(target=stop)
    process.start()
    process.join(60)
    assert stopping.stopping()


def test_who_sleeps_is_woken() -> None:
    stopping.stop()
    with pytest.raises(KeyboardInterrupt):
        stopping.sleep(3600)


def test_else_sleep_is_sleep() -> None:
    stopping.sleep(0.001)
