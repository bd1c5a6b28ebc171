"""The sample registry over HTTP/1.1 on the loopback interface, a thread a connection.

Headers and body go out in one write, without Nagle's delay: a delayed acknowledgement would cost 40 ms a page.
"""

import socket
import struct
import sys
import threading
from collections import Counter, deque
from contextlib import suppress
from http.client import responses
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, NamedTuple, Self

from workers.sample.answers import Request
from workers.sample.faults import Delivery, Faults
from workers.sample.registry import SampleRegistry

REMEMBERED = 100_000
"""How many requests a server remembers."""
_PATIENCE = 5.0
_RESET = struct.pack("ii", 1, 0)


class Seen(NamedTuple):
    """A request as it came in."""

    method: str
    path: str
    query: str
    user_agent: str


class SampleServer:
    """A sample registry at `url`, from `start` to `stop`, or as a context manager; it serves in threads of its own."""

    def __init__(self, registry: SampleRegistry, faults: Faults | None = None, port: int = 0) -> None:
        self.registry = registry
        self.faults = faults or Faults()
        self.requests: deque[Seen] = deque(maxlen=REMEMBERED)
        self.statuses: Counter[int] = Counter()
        """How many answers of each status were sent; those cut count too, those reset do not."""
        self.stopping = threading.Event()
        self._lock = threading.Lock()
        self._listener = _Listener(self, port)
        self._thread = threading.Thread(target=self._listener.serve_forever, args=(0.05,), daemon=True)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._listener.server_address[1]}"

    def start(self) -> Self:
        """Begin to answer."""
        self._thread.start()
        return self

    def stop(self) -> None:
        """Close every connection and wait for the threads that serve them."""
        self.stopping.set()
        if self._thread.is_alive():
            self._listener.shutdown()
            self._thread.join()
        self._listener.server_close()
        self._listener.hang_up()

    def count(self, status: int) -> None:
        """Remember that an answer of this status goes out."""
        with self._lock:
            self.statuses[status] += 1

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.stop()


class _Listener(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, sample: SampleServer, port: int) -> None:
        self.sample = sample
        self._open: dict[threading.Thread, socket.socket] = {}
        super().__init__(("127.0.0.1", port), _Handler)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(target=self.process_request_thread, args=(request, client_address), daemon=True)
        self._open[thread] = request
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            del self._open[threading.current_thread()]

    def hang_up(self) -> None:
        """End the connections that are still open, and wait for their threads."""
        for thread, connection in list(self._open.items()):
            with suppress(OSError):  # the client was faster
                connection.shutdown(socket.SHUT_RDWR)
            thread.join(_PATIENCE)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that goes away is no error of ours; all else is shown."""
        if not isinstance(sys.exception(), ConnectionError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    server: _Listener

    def log_message(
        self,
        format: str,  # noqa: A002 - the base class calls it that
        *args: Any,
    ) -> None:
        """Say nothing: `SampleServer.requests` has it."""

    def _respond(self) -> None:
        sample = self.server.sample
        path, _, query = self.path.partition("?")
        sample.requests.append(Seen(self.command, path, query, self.headers.get("User-Agent", "")))
        if "Content-Length" in self.headers or "Transfer-Encoding" in self.headers:
            self.close_connection = True  # its body stays unread
        request = Request(self.command, path, query, dict(self.headers.items()))
        delivery = sample.faults.deliver(sample.registry, request)
        if delivery.delay:
            sample.stopping.wait(delivery.delay)
        if delivery.way == "reset":
            self._reset()
        else:
            sample.count(delivery.answer.status)
            self._send(delivery)

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = do_OPTIONS = _respond  # noqa: N815 - found by name

    def _send(self, delivery: Delivery) -> None:
        status, headers, body = delivery.answer
        lines = [f"HTTP/1.1 {status} {responses.get(status, 'Unknown')}"]
        lines += [f"{name}: {value}" for name, value in {"Content-Length": len(body), **headers}.items()]
        if delivery.way == "cut":
            self.close_connection = True
            body = body[: len(body) // 2]
        if self.close_connection:
            lines.append("Connection: close")
        head = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        self.wfile.write(head if self.command == "HEAD" else head + body)

    def _reset(self) -> None:
        """Close so that the client's system reports a reset, and not an end."""
        self.close_connection = True
        self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
        self.rfile.close()
        self.connection.close()
