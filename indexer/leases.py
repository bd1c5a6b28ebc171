"""Who may crawl a source now.

A lease has a number. Whoever takes one makes the number rise, and every later transaction of the crawl carries it:
where a newer one exists, that transaction fails. The clock is the database's on Postgres, the machine's on SQLite. A
holder that died on this machine is known to be dead; one elsewhere is waited for until its lease runs out.
"""

import os
import socket
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Row, Update, bindparam, select, text, update

from indexer.clock import machine_clock, to_micros
from indexer.crawls import CrawlState
from indexer.errors import LeaseHeld, LeaseLost
from indexer.sql import insert_missing
from indexer.tables import CrawlStateRow, table
from schemas.names import SourceName

LEASE_SECONDS = 60
STATES = table(CrawlStateRow)

# Statements of every page are made once: to make one takes longer than to run it.
_NUMBER = select(STATES.c.lease).where(STATES.c.source == bindparam("of")).with_for_update()
_RENEW = (
    update(STATES)
    .where(STATES.c.source == bindparam("of"), STATES.c.lease == bindparam("number"))
    .values(held_until=bindparam("until"))
)
_SAVE = _RENEW.values(state=bindparam("now_state"))


@dataclass(frozen=True, slots=True)
class Lease:
    """The right to crawl a source, as long as no newer number exists."""

    source: SourceName
    number: int


def claim(connection: Connection, source: SourceName, *, holder: str) -> tuple[Lease, CrawlState]:
    """Takes the lease of a source, and gives where its crawl stands. Raises LeaseHeld, naming the holder."""
    row = _locked(connection, source)
    now = _now(connection)
    if row.holder is not None and row.held_until > now and _alive(row.holder):
        raise LeaseHeld(
            f"The source {source!r} is being crawled by {row.holder}; wait for it to end, or stop that process first."
        )
    lease = Lease(source, row.lease + 1)
    connection.execute(
        update(STATES)
        .where(STATES.c.source == source)
        .values(lease=lease.number, holder=holder, held_until=now + LEASE_SECONDS * 1_000_000)
    )
    return lease, CrawlState.model_validate_json(row.state)


def save(connection: Connection, lease: Lease, state: CrawlState) -> None:
    """Keeps where a crawl stands and renews its lease. Raises LeaseLost where a newer one exists."""
    _under(connection, _SAVE, lease, {"now_state": state.model_dump_json(), "until": _until(connection)})


def renew(connection: Connection, lease: Lease) -> None:
    """Keeps the lease for its time from now on. Raises LeaseLost where a newer one exists."""
    _under(connection, _RENEW, lease, {"until": _until(connection)})


def check(connection: Connection, lease: Lease) -> None:
    """Holds the source's row until the transaction ends. Raises LeaseLost where a newer lease exists."""
    if connection.scalar(_NUMBER, {"of": lease.source}) != lease.number:
        raise _lost(lease)


def lock_row(connection: Connection, lease: Lease) -> None:
    """Holds the source's row as `check` does, for who is going to `save`. On SQLite nobody else writes meanwhile, and
    `save` itself sees a newer lease in time. Raises LeaseLost where it looked and found one.
    """
    if connection.dialect.name != "sqlite":
        check(connection, lease)


def release(connection: Connection, lease: Lease) -> None:
    """Gives the lease back, where it is still ours."""
    connection.execute(
        update(STATES)
        .where(STATES.c.source == lease.source, STATES.c.lease == lease.number)
        .values(holder=None, held_until=0)
    )


def state_under(connection: Connection, lease: Lease) -> CrawlState | None:
    """Where the crawl stands by its last transaction; None where a newer lease exists."""
    ours = select(STATES.c.state).where(STATES.c.source == lease.source, STATES.c.lease == lease.number)
    kept = connection.scalar(ours)
    return None if kept is None else CrawlState.model_validate_json(kept)


def live_holders(connection: Connection) -> dict[SourceName, str]:
    """Who crawls now, by source: leases that have not run out, of holders not known to be dead."""
    now = _now(connection)
    rows = connection.execute(select(STATES.c.source, STATES.c.holder).where(STATES.c.held_until > now))
    return {row.source: row.holder for row in rows if row.holder is not None and _alive(row.holder)}


def ensure_row(connection: Connection, source: SourceName) -> None:
    """Makes a source's row, where there is none yet."""
    insert_missing(connection, STATES, [{"source": source, "lease": 0, "held_until": 0, "state": "{}"}])


def this_process() -> str:
    """How a holder is written: host, process id and when the process started."""
    pid = os.getpid()
    return f"{socket.gethostname()}:{pid}:{_started(pid) or ''}"


def _alive(holder: str) -> bool:
    """Whether a holder may still run; of other machines we cannot know."""
    host, _, rest = holder.rpartition(":")[0].rpartition(":")
    if host != socket.gethostname() or not rest.isdigit():
        return True
    started = _started(int(rest))
    return started is not None and started == holder.rpartition(":")[2]


def _started(pid: int) -> str | None:
    """When a process of this machine started, in the kernel's ticks; None when there is no such process."""
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except FileNotFoundError:
        return None if Path("/proc/self").exists() else ""
    except OSError:
        return None
    fields = stat.rpartition(")")[2].split()
    return None if fields[0] in "ZX" else fields[19]


def _locked(connection: Connection, source: SourceName) -> Row[Any]:
    ensure_row(connection, source)
    return connection.execute(select(STATES).where(STATES.c.source == source).with_for_update()).one()


def _under(connection: Connection, change: Update, lease: Lease, values: dict[str, Any]) -> None:
    changed = connection.execute(change, {"of": lease.source, "number": lease.number, **values})
    if changed.rowcount != 1:
        raise _lost(lease)


def _lost(lease: Lease) -> LeaseLost:
    return LeaseLost(f"The crawl of {lease.source!r} was taken over by another process; it goes on there.")


def _now(connection: Connection) -> int:
    if connection.dialect.name == "sqlite":
        return to_micros(machine_clock())
    micros = connection.scalar(text("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint"))
    return int(micros or 0)


def _until(connection: Connection) -> int:
    return _now(connection) + LEASE_SECONDS * 1_000_000
