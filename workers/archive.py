"""Files of an export: compressed or not, whole or not there at all, `-` for stdin and stdout."""

import errno
import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import IO, cast

import zstandard

from indexer.errors import ConfigurationError, ImportRefused, OutputLost
from workers import terminal

STANDARD = "-"
LEVEL = 6
LONGEST_LINE = 64 * 2**20
CHUNK = 2**17
_ENDED_EARLY = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO, errno.EPIPE)
_ZSTD = b"\x28\xb5\x2f\xfd"


@contextmanager
def writing(path: str, *, compressed: bool) -> Iterator[Callable[[bytes], object]]:
    """Writes a file that takes its name once it is whole; a device or a pipe is written into. Raises ConfigurationError
    where it cannot be written, OutputLost where that ended in the middle.
    """
    with ExitStack() as stack:
        if path == STANDARD:
            out: IO[bytes] = stack.enter_context(terminal.stdout()).buffer
        else:
            stack.enter_context(_sentences(path))
            out = stack.enter_context(_opened(Path(path)))
        if compressed:
            packed = zstandard.ZstdCompressor(level=LEVEL, write_checksum=True).stream_writer(out, closefd=False)
            out = cast(IO[bytes], stack.enter_context(packed))
        yield out.write


def lines(path: str) -> Iterator[bytes]:
    """The lines of a file, which may be compressed; never more than one of them is held. Raises ConfigurationError
    where it cannot be read, ImportRefused where it is damaged.
    """
    with ExitStack() as stack:
        try:
            found = sys.stdin.buffer if path == STANDARD else stack.enter_context(Path(path).open("rb"))
            text = _unpacked(found)
            while line := text.readline(LONGEST_LINE):
                if len(line) == LONGEST_LINE:
                    raise ImportRefused(f"{named(path)} has a line of more than {LONGEST_LINE >> 20} MiB: no export.")
                yield line
        except OSError as error:
            raise ConfigurationError(
                f"{named(path)} cannot be read: {error.strerror}; name a file that `mcp-indexer export` wrote."
            ) from error
        except zstandard.ZstdError as error:
            raise ImportRefused(f"{named(path)} is damaged: {error}. Export again, or take another copy.") from error


def is_stream(path: str) -> bool:
    """Whether it is stdin or stdout, a pipe or a device: it can be read once, and somebody else reads what is written
    to it meanwhile.
    """
    return path == STANDARD or (Path(path).exists() and not Path(path).is_file())


def named(path: str) -> str:
    """What to call it in a sentence."""
    return "What stdin brings" if path == STANDARD else path


def _unpacked(found: IO[bytes]) -> IO[bytes]:
    buffered = found if isinstance(found, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, found))
    if buffered.peek(len(_ZSTD))[: len(_ZSTD)] != _ZSTD:
        return buffered
    reader = zstandard.ZstdDecompressor().stream_reader(buffered, read_across_frames=True, closefd=False)
    return io.BufferedReader(cast(io.RawIOBase, reader), CHUNK)


def _opened(path: Path) -> AbstractContextManager[IO[bytes]]:
    """What is to be written; a device or a pipe itself, for no file may take its place."""
    if is_stream(str(path)):
        return path.open("wb")  # which refuses a folder
    return _whole(path.resolve())


@contextmanager
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """A file under another name, which takes its own when all went well, and is gone otherwise."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        beside.replace(path)
    finally:
        beside.unlink(missing_ok=True)


@contextmanager
def _sentences(path: str) -> Iterator[None]:
    try:
        yield
    except OSError as error:
        if error.errno in _ENDED_EARLY:
            why = f"{path} cannot be written to its end: {error.strerror}; make room, or export elsewhere."
            raise OutputLost(why) from error
        why = f"{path} cannot be written: {error.strerror}; name a file where you can write."
        raise ConfigurationError(why) from error
