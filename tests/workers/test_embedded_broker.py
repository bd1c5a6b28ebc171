"""The broker that needs none to be installed: messages in files, sent and taken by several processes."""

import os
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from kombu import Connection, Exchange, Queue
from kombu.simple import SimpleQueue
from kombu.transport.virtual import BrokerState

from workers.embedded_broker import KEPT_SECONDS, Transport

MESSAGES = 200


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name in ("messages", "control"):
        (tmp_path / name).mkdir()
    return tmp_path


@contextmanager
def connected(folder: Path) -> Iterator[Connection]:
    messages = str(folder / "messages")
    where = {"data_folder_in": messages, "data_folder_out": messages, "control_folder": str(folder / "control")}
    with Connection("filesystem://localhost//", transport=Transport, transport_options=where) as connection:
        transport: Any = connection.transport
        transport.state = BrokerState()  # as in a process of its own, which declares its queues itself
        yield connection


def send(folder: Path, first: int, count: int = MESSAGES) -> None:
    with connected(folder) as connection, connection.SimpleQueue("crawling") as queue:
        for number in range(first, first + count):
            queue.put(number)


def taken(queue: SimpleQueue) -> int | None:
    try:
        message = queue.get(block=False)
    except queue.Empty:
        return None
    message.ack()
    found: int = message.payload
    return found


def take(folder: Path, until: int, seen: list[int]) -> None:
    """Takes messages until all readers together have so many."""
    with connected(folder) as connection, connection.SimpleQueue("crawling") as queue:
        deadline = time.monotonic() + 60
        while len(seen) < until and time.monotonic() < deadline:
            if (number := taken(queue)) is not None:
                seen.append(number)


def sent_long_ago(name: str) -> str:
    """The name that a message would have, had it been sent before those that are kept."""
    return f"{int(name[:20]) - (KEPT_SECONDS + 1) * 10**9:020}{name[20:]}"


def files(folder: Path) -> list[str]:
    return sorted(os.listdir(folder / "messages"))


def test_what_many_send_many_take_each_once(folder: Path) -> None:
    seen: list[int] = []
    with ThreadPoolExecutor(5) as pool:
        work = [pool.submit(take, folder, 2 * MESSAGES, seen) for _ in range(3)]
        work += [pool.submit(send, folder, first) for first in (0, MESSAGES)]
        for one in work:
            one.result(90)
    assert Counter(seen) == Counter(range(2 * MESSAGES))
    assert files(folder) == []


def test_messages_are_taken_in_the_order_in_which_they_were_sent(folder: Path) -> None:
    send(folder, 0, 20)
    seen: list[int] = []
    take(folder, 20, seen)
    assert seen == list(range(20))


@pytest.mark.parametrize("text", ["", '{"body"'])
def test_a_message_that_was_cut_short_is_left_out_and_nobody_dies_of_it(folder: Path, text: str) -> None:
    send(folder, 0, 2)
    (folder / "messages" / files(folder)[0]).write_text(text)
    seen: list[int] = []
    take(folder, 1, seen)
    assert (seen, files(folder)) == ([1], [])


def test_a_message_that_is_being_written_is_not_read(folder: Path) -> None:
    send(folder, 0, 1)
    (name,) = files(folder)
    (folder / "messages" / name).rename(folder / "messages" / f".{name}")
    with connected(folder) as connection, connection.SimpleQueue("crawling") as queue:
        assert taken(queue) is None
    assert files(folder) == [f".{name}"]


def test_what_nobody_took_for_a_while_goes_and_so_does_what_was_half_written(folder: Path) -> None:
    send(folder, 0, 3)
    first, second, _ = files(folder)
    for name, old in ((first, sent_long_ago(first)), (second, f".{sent_long_ago(second)}")):
        (folder / "messages" / name).rename(folder / "messages" / old)
    seen: list[int] = []
    take(folder, 1, seen)
    assert (seen, files(folder)) == ([2], [])


def test_a_monitor_that_is_gone_gets_no_more_events(folder: Path) -> None:
    events = Exchange("celeryev", type="topic")
    with connected(folder) as connection:
        for name in ("celeryev.open", "celeryev.closed"):
            Queue(name, events, routing_key="#")(connection.default_channel).declare()
        producer = connection.Producer()
        producer.publish({}, exchange=events, routing_key="task.sent")
        assert len(files(folder)) == 2
        (closed,) = (name for name in files(folder) if name.endswith(".celeryev.closed.msg"))
        (folder / "messages" / closed).rename(folder / "messages" / sent_long_ago(closed))
        with connection.SimpleQueue("crawling") as queue:
            assert taken(queue) is None  # whoever reads anything finds what is too old
        producer.publish({}, exchange=events, routing_key="task.sent")
    assert [name.partition(".")[2] for name in files(folder)] == ["celeryev.open.msg"] * 2


def test_a_table_of_queues_is_whole_from_the_first_moment(folder: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        for one in [pool.submit(send, folder, number, 1) for number in range(8)]:
            one.result(60)
    assert [path.name for path in (folder / "control").iterdir()] == ["crawling.exchange"]
    assert len(files(folder)) == 8
