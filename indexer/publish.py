"""The exchange: every event of the log as a message, for services that keep a copy of their own.

Events are published in the order of the log from a checkpoint on, each at least once: the checkpoint moves only over
messages that the broker has. RabbitMQ confirms them; Redis has a message when its command returned. A message that no
queue is bound for is gone, and that is meant: who binds one later reads the log's beginning with `export` or `events`.

What a source wrote does not leave by this way where its operator said `republish = false`: as the log knows it now, not
as it was when the event was recorded, for what may not be passed on may not be passed on late either.
"""

import json
from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any

import kombu  # by its name: kombu imports its parts when they are first used, and who has no broker uses none
from sqlalchemy import Connection, select

from indexer.database import Database
from indexer.errors import ExchangeUnavailable
from indexer.leases import STATES
from indexer.projections.checkpoints import EXCHANGE, Checkpoint, live_build, read_checkpoint, write_checkpoint
from indexer.projections.rows import streams_of
from indexer.store import EVENTS, last_position, read_log
from indexer.text import ascii_json
from schemas.cloud_events import cloud_event
from schemas.events import DecisionRedacted, ListingEvent, Recorded, RecordQuarantined, RecordReleased
from schemas.names import ListingKey, Position, SourceName, crawls_stream, listing_stream

NAME = "mcp.events"
CONTENT_TYPE = "application/cloudevents+json"
PERSISTENT = 2
"""How AMQP says that a message outlives the broker."""
WAIT_SECONDS = 30
"""A broker that takes no message and confirms none for so long is taken for gone."""
CONNECT_SECONDS = 5

Send = Callable[[Sequence[Recorded]], None]
"""Hands events to the broker; returns when it has them. Raises ExchangeUnavailable."""


def publish(database: Database, send: Send, *, enough: Callable[[], bool] = lambda: False) -> bool:
    """Publishes what the log has beyond the checkpoint, a page at a time, until there is no more or it is `enough`;
    whether all is published. One at a time may do this.
    """
    while True:
        with database.read() as connection:
            page = read_log(connection, published(connection))
            withheld = not_republished(connection)
            public = [_as_published(connection, withheld, one) for one in page if not _came_from(withheld, one)]
        if not page:
            return True
        send(public)
        with database.write() as connection:
            write_checkpoint(connection, Checkpoint(EXCHANGE, page[-1].position, "", NAME))
        if enough():
            return False


def published(connection: Connection) -> Position:
    """The position up to which everything is published."""
    done = read_checkpoint(connection, EXCHANGE)
    return Position(0) if done is None else done.position


def lags(connection: Connection) -> bool:
    """Whether the log has events that were not published."""
    return published(connection) < last_position(connection)


def not_republished(connection: Connection) -> frozenset[SourceName]:
    """The sources whose listings and records are not passed on, as they were configured last."""
    rows = connection.execute(select(STATES.c.source, STATES.c.configured)).all()
    configured = {row.source: row.configured or _configured_last(connection, row.source) for row in rows}
    return frozenset(source for source, said in configured.items() if said and not json.loads(said)["republish"])


def _as_published(connection: Connection, withheld: Collection[SourceName], recorded: Recorded) -> Recorded:
    """An event as it is published: a decision names no server that none but sources which are not passed on list."""
    event = recorded.event
    if not withheld or not isinstance(event, DecisionRedacted) or event.name is None:
        return recorded
    hidden = tuple(listing_stream(source, ListingKey("")) for source in withheld)
    if any(not stream.startswith(hidden) for stream in streams_of(connection, live_build(connection), [event.name])):
        return recorded
    return recorded._replace(event=event.model_copy(update={"name": None}))


@contextmanager
def exchange(url: str) -> Iterator[Send]:
    """The exchange at a broker, made where it is missing. Raises ExchangeUnavailable with a sentence."""
    with kombu.Connection(url, connect_timeout=CONNECT_SECONDS) as broker, _errors(broker):
        confirming = broker.get_transport_cls().driver_type == "amqp"
        broker.transport_options = _patience(amqp=confirming)
        broker.connect()
        channel = broker.channel()
        producer = kombu.Producer(channel, kombu.Exchange(NAME, type="topic", durable=True), auto_declare=True)
        confirms = _Confirms(broker, channel) if confirming else None

        def send(events: Sequence[Recorded]) -> None:
            with _errors(broker):
                for one in events:
                    _send(producer, one)
                    if confirms is not None:
                        confirms.expect()
                if confirms is not None:
                    confirms.wait()

        yield send


def _send(producer: "kombu.Producer", recorded: Recorded) -> None:
    producer.publish(
        ascii_json(cloud_event(recorded)).strip(),
        routing_key=recorded.event.type,
        content_type=CONTENT_TYPE,
        content_encoding="utf-8",
        delivery_mode=PERSISTENT,
        message_id=str(recorded.position),
    )


class _Confirms:
    """RabbitMQ's word for each message that it has it. A page is waited for at once: kombu's own `confirm_publish`
    takes a round trip for each message. A message that is bound for no queue is confirmed, too.
    """

    def __init__(self, broker: "kombu.Connection", channel: Any) -> None:
        self._broker = broker
        self._tags = count(1)
        self._awaited: set[int] = set()
        self._refused = False
        channel.events["basic_ack"].add(self._answered)
        channel.events["basic_nack"].add(self._nacked)
        channel.confirm_select()

    def expect(self) -> None:
        """Notes that a message was sent."""
        self._awaited.add(next(self._tags))

    def wait(self) -> None:
        """Waits until every message is confirmed. Raises ExchangeUnavailable where one was refused."""
        while self._awaited:
            self._broker.drain_events(timeout=WAIT_SECONDS)
        if self._refused:
            raise ExchangeUnavailable(
                f"The broker at {self._broker.as_uri()} refused a message; look at its log. What it has not confirmed "
                "is published again."
            )

    def _answered(self, tag: int, multiple: bool) -> None:
        self._awaited = {one for one in self._awaited if one > tag} if multiple else self._awaited - {tag}

    def _nacked(self, tag: int, multiple: bool) -> None:
        self._refused = True
        self._answered(tag, multiple)


@contextmanager
def _errors(broker: "kombu.Connection") -> Iterator[None]:
    known: tuple[type[BaseException], ...] = (
        *broker.connection_errors,
        *broker.channel_errors,
        kombu.exceptions.OperationalError,
        OSError,
    )
    try:
        yield
    except known as error:
        raise ExchangeUnavailable(
            f"The exchange {NAME!r} at {broker.as_uri()} cannot be published to ({error}); start the broker or check "
            "MCP_INDEXER_BROKER_URL. Nothing is lost: what it has not confirmed is published later."
        ) from error


def _patience(*, amqp: bool) -> dict[str, Any]:
    """No wait outlasts a broker that answers no more."""
    if amqp:
        return {"read_timeout": WAIT_SECONDS, "write_timeout": WAIT_SECONDS}
    return {"socket_timeout": WAIT_SECONDS, "socket_connect_timeout": CONNECT_SECONDS}


def _came_from(sources: frozenset[SourceName], recorded: Recorded) -> bool:
    """Whether an event holds what one of some sources wrote."""
    event = recorded.event
    return isinstance(event, ListingEvent | RecordQuarantined | RecordReleased) and event.source in sources


def _configured_last(connection: Connection, source: SourceName) -> str | None:
    """How a source was configured before it was removed."""
    query = select(EVENTS.c.data).where(EVENTS.c.stream == crawls_stream(source), EVENTS.c.type == "source.configured")
    return connection.scalar(query.order_by(EVENTS.c.revision.desc()).limit(1))
