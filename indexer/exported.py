"""The log as lines of JSON: what `export` writes, what `import` reads.

The first line says what it is and up to which position; then comes every event as a CloudEvent, a line each, as `events
--json` and the exchange have it, its raw record with it; the last line has the position, the number of events, and the
SHA-256 of their lines. A line that begins with a space holds an integer beyond 64 bits, or text that is no Unicode.
"""

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from pydantic import ValidationError
from sqlalchemy import and_, select

from indexer.database import Database
from indexer.errors import ImportRefused, LogChanged
from indexer.store import EVENTS, last_position, read_log
from indexer.text import ascii_json, read_json
from schemas.about import read_time
from schemas.cloud_events import cloud_event
from schemas.events import EVENT, Recorded, read_event
from schemas.names import CrawlId, Position, Revision, StreamId, decisions_stream

FORMAT, VERSION = "mcp-indexer log", 1

_TYPES = frozenset(EVENT.json_schema()["discriminator"]["mapping"])


@dataclass(frozen=True, slots=True)
class Exported:
    """What an export holds: its last position, how many events, and the digest of its lines."""

    position: Position
    events: int
    digest: str


class Exporting:
    """The lines of the log up to where it ends now; once they were taken, `exported` says what they hold. Raises
    LogChanged where a record was redacted meanwhile.
    """

    def __init__(self, database: Database) -> None:
        self._database = database
        self.exported = Exported(Position(0), 0, "")

    def __iter__(self) -> Iterator[bytes]:
        with self._database.read() as connection:
            until = last_position(connection)
        yield _line({"format": FORMAT, "version": VERSION, "position": until})
        hashed, events = hashlib.sha256(), 0
        for line in self._lines(until):
            hashed.update(line)
            events += 1
            yield line
        self._refuse_redacted(until)
        self.exported = Exported(until, events, hashed.hexdigest())
        yield _line({"end": {"position": until, "events": self.exported.events, "digest": self.exported.digest}})

    def _refuse_redacted(self, until: Position) -> None:
        """What was redacted meanwhile may stand in the lines before, and who blanked the others would not."""
        wanted = and_(
            EVENTS.c.stream == decisions_stream(), EVENTS.c.type == "decision.redacted", EVENTS.c.position > until
        )
        with self._database.read() as connection:
            found = connection.scalar(select(EVENTS.c.position).where(wanted).limit(1))
        if found is not None:
            raise LogChanged(
                f"A record was redacted (event {found}) while the log was exported up to event {until}; what was "
                "written is no whole export. Run the same command again."
            )

    def _lines(self, until: Position) -> Iterator[bytes]:
        after = Position(0)
        while True:
            with self._database.read() as connection:
                page = read_log(connection, after, until=until)
            if not page:
                return
            for recorded in page:
                yield _line(cloud_event(recorded))
            after = page[-1].position


class Reading:
    """The events of an export, checked line by line. Raises ImportRefused where it is none, is damaged or cut.

    What comes before the end is known to be whole only when `exported` is set, at the end.
    """

    def __init__(self, lines: Iterable[bytes], name: str) -> None:
        self._lines, self._name = lines, name
        self._hashed, self._count = hashlib.sha256(), 0
        self.position = Position(0)
        self.size = 0
        self.exported: Exported | None = None

    @property
    def digest(self) -> str:
        """The digest of the events that were read so far."""
        return self._hashed.hexdigest()

    def events(self) -> Iterator[Recorded]:
        """The events, each read whole."""
        for number, said in self._said():
            try:
                yield _recorded(said)
            except (ValidationError, ValueError, KeyError, TypeError) as error:
                raise self._damaged(number, "is no event that this program knows") from error

    def check(self) -> Exported:
        """Reads to the end, without making events of the lines."""
        for number, said in self._said():
            if said.get("type") not in _TYPES:
                raise self._damaged(number, f"is of a type that this program does not know ({said.get('type')!r})")
        assert self.exported is not None, "the end was reached"
        return self.exported

    def _said(self) -> Iterator[tuple[int, dict[str, Any]]]:
        """What the lines between the first and the last say, with their numbers."""
        last = Position(0)
        for number, line in enumerate(self._lines, start=1):
            said = self._object(number, line)
            if number == 1:
                self._begin(said)
            elif self.exported is not None:
                raise self._damaged(number, "comes after the end")
            elif "end" in said:
                self._end(number, said["end"], last)
            else:
                last = self._next(number, said, last)
                self._hashed.update(line)
                self._count, self.size = self._count + 1, self.size + len(line)
                yield number, said
        if self.exported is None:
            raise ImportRefused(
                f"{self._name} is cut off: its last line, which has the digest of the others, is missing. Export again."
            )

    def _object(self, number: int, line: bytes) -> dict[str, Any]:
        try:
            said = read_json(line.decode("ascii"))
        except (ValueError, RecursionError) as error:
            raise self._damaged(number, "is no JSON") from error
        if not isinstance(said, dict):
            raise self._damaged(number, "is no JSON object")
        return said

    def _begin(self, said: dict[str, Any]) -> None:
        if said.get("format") != FORMAT or not isinstance(said.get("position"), int):
            raise ImportRefused(f"{self._name} is no export of a log: `mcp-indexer export FILE` makes one.")
        if said.get("version") != VERSION:
            raise ImportRefused(
                f"{self._name} is an export of version {said.get('version')!r}, and this program reads version "
                f"{VERSION}; import it with the program that wrote it, or a newer one."
            )
        self.position = Position(said["position"])

    def _next(self, number: int, said: dict[str, Any], last: Position) -> Position:
        position = said.get("id")
        if not isinstance(position, str) or not position.isdecimal() or int(position) <= last:
            raise self._damaged(number, "is out of order")
        return Position(int(position))

    def _end(self, number: int, claimed: object, last: Position) -> None:
        found = Exported(last, self._count, self.digest)
        if claimed != {"position": last, "events": found.events, "digest": found.digest} or last != self.position:
            raise self._damaged(number, "has another digest than the lines before it")
        self.exported = found

    def _damaged(self, number: int, what: str) -> ImportRefused:
        return ImportRefused(f"{self._name} is damaged: line {number} {what}. Export again, or take another copy.")


def _line(value: dict[str, Any]) -> bytes:
    return ascii_json(value).encode("ascii") + b"\n"


def _recorded(said: dict[str, Any]) -> Recorded:
    """An event from its line."""
    recorded_at = read_time(said["recordedtime"])
    crawl = said["crawl"]
    if recorded_at is None or not (crawl is None or isinstance(crawl, str)):
        raise ValueError("no time, or no crawl")
    event = read_event(said["type"], said["data"])
    position, revision = Position(int(said["id"])), Revision(int(said["revision"]))
    return Recorded(
        position, StreamId(str(said["stream"])), revision, recorded_at, None if crawl is None else CrawlId(crawl), event
    )
