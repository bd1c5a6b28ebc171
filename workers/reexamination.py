"""Looks again at what is in quarantine: a newer program may identify what an older one could not."""

from collections.abc import Iterator

from indexer import leases, quarantine
from indexer.database import Database
from indexer.errors import LeaseHeld
from indexer.record import admit
from schemas.events import RecordQuarantined
from schemas.names import Digest, SourceName
from schemas.observations import Observation
from workers.kinds import KINDS
from workers.sources_file import SourceConfig
from workers.wiring import Wiring


def reexamine(wiring: Wiring) -> int:
    """Lists what can be identified now, and lets it go; how many. What a crawl holds is left for the next time."""
    count = 0
    for config in wiring.remember_sources():
        found = dict(_identified(wiring.database, config))
        if not found:
            continue
        with wiring.database.write() as connection:
            try:
                lease, state = leases.claim(connection, SourceName(config.name), holder=leases.this_process())
            except LeaseHeld:
                continue
            admit(connection, lease, found, at=wiring.clock())
            leases.save(connection, lease, state)
            leases.release(connection, lease)
        count += len(found)
    return count


def _identified(database: Database, config: SourceConfig) -> Iterator[tuple[Digest, Observation]]:
    kind = KINDS[config.kind]
    options = kind.Options.model_validate(config.options)
    with database.read() as connection:
        for recorded in quarantine.waiting(connection, SourceName(config.name)):
            event = recorded.event
            assert isinstance(event, RecordQuarantined)
            try:
                item = quarantine.raw(event)
            except ValueError:  # only its beginning is kept
                continue
            seen = kind.observe(item, options)
            if isinstance(seen, Observation):
                yield event.digest, seen
