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
    """Writes a file that takes its name once it is whole. Raises ConfigurationError where it cannot be written."""
    with ExitStack() as stack:
        out = sys.stdout.buffer if path == STANDARD else stack.enter_context(_whole(Path(path)))
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
def _whole(path: Path) -> Iterator[IO[bytes]]:
    """A file under another name, which takes its own when all went well, and is gone otherwise."""
    beside = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with beside.open("wb") as out:
            yield out
            out.flush()
            os.fsync(out.fileno())
        beside.replace(path)
    except OSError as error:
        raise ConfigurationError(f"{path} cannot be written: {error.strerror}.") from error
    finally:
        beside.unlink(missing_ok=True)
