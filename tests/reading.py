"""A service that reads the exchange, for tests."""

import json
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from kombu import Connection, Exchange, Queue


class Reader:
    """A service's queue: what was routed to it, read as it comes."""

    def __init__(self, url: str, routing_key: str = "#") -> None:
        self._url = url
        exchange = Exchange("mcp.events", type="topic", durable=True)
        self.queue = Queue(f"reader-{uuid.uuid4().hex}", exchange, routing_key=routing_key, durable=True)
        with Connection(url) as broker, broker.channel() as channel:
            self.queue.bind(channel).declare()

    def read(self) -> list[Any]:
        """The messages that are there."""
        # Asked for one by one, the broker says when there is none; what it sends by itself is there when it has time.
        with Connection(self._url) as broker, broker.channel() as channel:
            queue = self.queue.bind(channel)
            return list(iter(lambda: queue.get(no_ack=True), None))

    def positions(self) -> list[int]:
        """The positions of the events that are there."""
        return [int(json.loads(one.body)["id"]) for one in self.read()]

    def close(self) -> None:
        """Away with the queue."""
        with Connection(self._url) as broker, broker.channel() as channel:
            self.queue.bind(channel).delete()


@contextmanager
def reading(url: str, routing_key: str = "#") -> Iterator[Reader]:
    """A service that reads, until the end of the test."""
    reader = Reader(url, routing_key)
    try:
        yield reader
    finally:
        reader.close()
