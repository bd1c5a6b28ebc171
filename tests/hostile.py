"""An upstream that means harm: each request gets the next bytes that it was told, as they are."""

import socket
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from itertools import chain, repeat

Reply = Callable[[str], Iterable[bytes]]
"""What is sent in answer to a request's target."""

MEBIBYTE = 1 << 20


class HostileServer:
    """Listens on loopback and answers every request by `reply`, then hangs up; a context manager."""

    def __init__(self, reply: Reply) -> None:
        self.targets: list[str] = []
        self.heads: list[str] = []
        self._reply = reply
        self._socket = socket.create_server(("127.0.0.1", 0))
        self._open: set[socket.socket] = set()
        self._listening = threading.Thread(target=self._listen, daemon=True)
        self._answering: list[threading.Thread] = []

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}"

    def __enter__(self) -> "HostileServer":
        self._listening.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        self._listening.join()  # who is connected is known from here on
        self._socket.close()
        for connection in list(self._open):
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._answering:
            thread.join(5)

    def _listen(self) -> None:
        with suppress(OSError):
            while True:
                connection, _ = self._socket.accept()
                self._open.add(connection)
                self._answering.append(threading.Thread(target=self._answer, args=(connection,), daemon=True))
                self._answering[-1].start()

    def _answer(self, connection: socket.socket) -> None:
        with connection, suppress(OSError):
            head = b""
            while b"\r\n\r\n" not in head and (more := connection.recv(65_536)):
                head += more
            target = head.split(b" ", 2)[1].decode() if head else ""
            self.targets.append(target)
            self.heads.append(head.decode("latin-1"))
            for piece in self._reply(target):
                connection.sendall(piece)


def answer(body: bytes, status: str = "200 OK", **headers: str) -> Iterator[bytes]:
    """An HTTP answer with a body."""
    named = {"Content-Type": "application/json", "Content-Length": str(len(body)), "Connection": "close", **headers}
    yield f"HTTP/1.1 {status}\r\n".encode()
    yield "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items()).encode() + b"\r\n"
    yield body


def redirect(location: str) -> Iterator[bytes]:
    """An answer that points elsewhere."""
    return answer(b"", "302 Found", Location=location)


def without_end(*pieces: bytes) -> Iterator[bytes]:
    """A body in chunks, the last again and again."""
    yield b"HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    for piece in chain(pieces, repeat(pieces[-1])):
        yield b"%x\r\n%b\r\n" % (len(piece), piece)
