"""What `redact` does besides the decision: the records go from all that was made of them, too."""

from dataclasses import dataclass

from indexer.projections import runner
from indexer.redaction import Redaction, redact
from schemas.names import ServerName
from workers.indexing import bring_up
from workers.wiring import Wiring


@dataclass(frozen=True, slots=True)
class Redacted:
    """What was redacted, and why the index may still show it; None where it does not."""

    redaction: Redaction
    index_error: str | None


def redact_records(wiring: Wiring, wanted: ServerName, reason: str) -> Redacted:
    """Blanks records in the log, then brings catalogue, index and files over it; each step may be done again.

    Raises NotFound where there is no such record.
    """
    database = wiring.database
    with database.write() as connection:
        done = redact(connection, wanted, reason=reason, at=wiring.clock())
    runner.catch_up(database)
    runner.drop_unfinished(database)
    error = bring_up(database, wiring.index)
    database.compact()
    return Redacted(done, error)
