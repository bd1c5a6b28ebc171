"""A person lets the withdrawals of a parked crawl go through."""

from dataclasses import dataclass

from sqlalchemy import Connection

from indexer import absence, candidates, crawls, leases
from indexer.absence import Withdraw
from indexer.crawls import CrawlState
from indexer.errors import ConfigurationError
from indexer.leases import Lease
from indexer.record import record_withdrawn
from indexer.store import Write, append
from schemas.events import DecisionApproved
from schemas.names import SourceName, decisions_stream
from workers.indexing import bring_up
from workers.sources_file import chosen
from workers.wiring import Wiring


@dataclass(frozen=True, slots=True)
class Approved:
    """How many versions were withdrawn, and why the index does not show it yet, if so."""

    source: SourceName
    withdrawn: int
    index_error: str | None


def approve(wiring: Wiring, name: str) -> Approved:
    """Withdraws what a parked crawl did not see and nobody saw since, through to the index.

    Ended half-way, the next crawl or approval goes on with it. Raises ConfigurationError where nothing is parked,
    LeaseHeld where the source is being crawled.
    """
    source = SourceName(chosen(wiring.remember_sources(), [name])[0].name)
    with wiring.database.write() as connection:
        lease, state = leases.claim(connection, source, holder=leases.this_process())
        state = _approved(connection, wiring, lease, state)
    try:
        withdrawn = _withdraw(wiring, lease, state)
    finally:
        with wiring.database.write() as connection:
            leases.release(connection, lease)
    return Approved(source, withdrawn, bring_up(wiring.database, wiring.index))


def _withdraw(wiring: Wiring, lease: Lease, state: CrawlState) -> int:
    """Withdraws what was approved, some hundreds a transaction; how many it were."""
    withdrawn = 0
    while state.parked is not None:
        with wiring.database.write() as connection:
            leases.check(connection, lease)
            step = absence.next_step(connection, lease.source, state)
            if isinstance(step, Withdraw):
                appended = record_withdrawn(connection, lease.source, step, at=wiring.clock(), crawl=None)
                withdrawn += len(appended.events)
            else:
                state = crawls.unparked(state, candidates=candidates.any_left(connection, lease.source))
            leases.save(connection, lease, state)
    return withdrawn


def _approved(connection: Connection, wiring: Wiring, lease: Lease, state: CrawlState) -> CrawlState:
    """The state with a person's word that the withdrawals may go through, which is a fact of the log."""
    parked = state.parked
    if parked is None:
        raise ConfigurationError(
            f"Nothing of {lease.source!r} is parked, so there is nothing to approve; `mcp-indexer status` shows what "
            "is."
        )
    if not parked.approved:
        said = DecisionApproved(source=lease.source, candidates=parked.candidates)
        append(connection, [Write(decisions_stream(), said)], at=wiring.clock())
    state = state.model_copy(update={"parked": parked.model_copy(update={"approved": True})})
    leases.save(connection, lease, state)
    return state
