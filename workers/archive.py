"""Files of an export: compressed or not, whole or not there at all, `-` for stdin and stdout."""

import io
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import IO, cast

import zstandard

from indexer.errors import ConfigurationError, ImportRefused

STANDARD = "-"
LEVEL = 6
LONGEST_LINE = 64 * 2**20
CHUNK = 2**17
_ZSTD = b"\x28\xb5\x2f\xfd"


@contextmanager
def writing(path: str, *, compressed: bool) -> Iterator[Callable[[bytes], object]]:
    """Writes a file that takes its name once it is whole, or into a pipe. Raises ConfigurationError where it cannot be
    written.
    """
    with ExitStack() as stack:
        out = stack.enter_context(_stdout() if path == STANDARD else _opened(Path(os.path.realpath(path))))
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
            raise ConfigurationError(f"{named(path)} cannot be read: {error.strerror}.") from error
        except zstandard.ZstdError as error:
            raise ImportRefused(f"{named(path)} is damaged: {error}. Export again, or take another copy.") from error


def read_twice(path: str) -> bool:
    """Whether what was read of it once can be read again: it is a file, and no pipe."""
    return path != STANDARD and (Path(path).is_file() or not Path(path).exists())


def named(path: str) -> str:
    """What to call it in a sentence."""
    return "What stdin brings" if path == STANDARD else path


def _unpacked(found: IO[bytes]) -> IO[bytes]:
    buffered = found if isinstance(found, io.BufferedReader) else io.BufferedReader(cast(io.RawIOBase, found))
    if buffered.peek(len(_ZSTD))[: len(_ZSTD)] != _ZSTD:
        return buffered
    reader = zstandard.ZstdDecompressor().stream_reader(buffered, read_across_frames=True, closefd=False)
    return io.BufferedReader(cast(io.RawIOBase, reader), CHUNK)


@contextmanager
def _stdout() -> Iterator[IO[bytes]]:
    try:
        yield sys.stdout.buffer
        sys.stdout.buffer.flush()
    except BrokenPipeError:
        raise  # who read it has had enough
    except OSError as error:
        # What did not go there is not to be tried again when the process ends.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise ConfigurationError(f"stdout cannot be written: {error.strerror}.") from error


@contextmanager
def _opened(path: Path) -> Iterator[IO[bytes]]:
    """A file, or what else has that name, such as a pipe."""
    try:
        if path.exists() and not path.is_file():
            with path.open("wb") as out:
                yield out
        else:
            with _whole(path) as out:
                yield out
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error


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
