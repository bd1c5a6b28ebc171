"""The embedded broker: kombu's messages in files, for several processes at once.

kombu's own transport writes a message under its final name, where a reader may find it while it is empty; the worker
that does so ends. Here a message appears whole and is taken by one reader. What nobody took for a while goes: a queue
may have lost its reader for good, as that of a monitor that was closed, and whatever must happen is found again in the
database.
"""

import logging
import os
import time
import uuid
from contextlib import suppress
from pathlib import Path
from queue import Empty
from typing import Any

from kombu.exceptions import ChannelError
from kombu.transport import filesystem
from kombu.utils.json import dumps, loads

KEPT_SECONDS = 600
EVENTS = "celeryev"
"""The exchange of Celery's events, to which each monitor binds a queue of its own."""

log = logging.getLogger(__name__)


class Channel(filesystem.Channel):
    """Messages are files named for the time they were sent; one whose name begins with a dot is not to be read."""

    def _put(  # type: ignore[override]  # as kombu's, whose stubs disagree with each other
        self, queue: str, payload: dict[str, Any], **_: Any
    ) -> None:
        name = f"{time.time_ns():020}_{uuid.uuid4().hex}.{queue}.msg"
        folder = Path(self.data_folder_out)
        try:
            (folder / f".{name}").write_text(dumps(payload))
            (folder / f".{name}").rename(folder / name)
        except OSError as error:
            raise ChannelError(f"The embedded broker cannot write to {folder}: {error.strerror}") from error

    def _get(self, queue: str) -> dict[str, Any]:  # type: ignore[override]  # the same
        folder = Path(self.data_folder_in)
        dead = f"{time.time_ns() - KEPT_SECONDS * 10**9:020}"
        for name in sorted(os.listdir(folder)):
            if name.lstrip(".") < dead:
                self._drop(folder, name)
            elif name.partition(".")[2] == f"{queue}.msg" and (payload := _taken(folder, name)) is not None:
                return payload
        raise Empty

    def _queue_bind(self, exchange: str, routing_key: str, pattern: str | None, queue: str) -> None:
        _begin(self.control_folder / f"{exchange}.exchange")
        super()._queue_bind(exchange, routing_key, pattern, queue)

    def _drop(self, folder: Path, name: str) -> None:
        """Removes a message that nobody took, and a monitor that did not take it."""
        (folder / name).unlink(missing_ok=True)
        queue = name.partition(".")[2].removesuffix(".msg")
        for one in self.get_table(EVENTS):
            if one.queue == queue:
                self._delete(queue, EVENTS, one.routing_key, one.pattern)


class Transport(filesystem.Transport):
    """What Celery is told to use in place of kombu's."""

    Channel = Channel


def _taken(folder: Path, name: str) -> dict[str, Any] | None:
    """A message, removed; None where another reader was faster, or where it is none."""
    ours = folder / f".{name}"
    try:
        (folder / name).rename(ours)
    except FileNotFoundError:
        return None
    text = ours.read_text()
    ours.unlink()
    try:
        payload: dict[str, Any] = loads(text)
    except ValueError:
        log.warning("A message of the embedded broker was cut short, and is left out: %s", name)
        return None
    return payload


def _begin(table: Path) -> None:
    """Makes an exchange's table of queues, whole from the first moment, where there is none."""
    if table.exists():
        return
    empty = table.with_name(f".{uuid.uuid4().hex}")
    empty.write_text("[]")
    with suppress(FileExistsError):
        os.link(empty, table)
    empty.unlink()
