import socket

import pytest

from tests.ports import LOOPBACK, free_port


def test_no_port_is_given_twice() -> None:
    some = [free_port() for _ in range(100)]
    assert len(set(some)) == len(some)


def test_servers_of_tests_that_run_side_by_side_have_other_ports(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PYTEST_XDIST_WORKER_COUNT", "3")
    remainders = []
    for worker in range(3):
        monkeypatch.setenv("PYTEST_XDIST_WORKER", f"gw{worker}")
        remainders.append({free_port() % 3 for _ in range(20)})
    assert [len(one) for one in remainders] == [1, 1, 1]
    assert set.union(*remainders) == {0, 1, 2}


def test_at_a_dead_port_nobody_answers_nor_can_begin_to(dead_port: int) -> None:
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection((LOOPBACK, dead_port), timeout=5)
    with pytest.raises(OSError, match="in use"):
        socket.create_server((LOOPBACK, dead_port), reuse_port=False)
