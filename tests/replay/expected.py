"""What crawls of a history have to find, from the snapshots alone."""

from dataclasses import dataclass, field
from datetime import datetime, timedelta

from indexer.listing import about_text
from tests.replay.history import Key, Listed, Snapshot

OVERLAP = timedelta(minutes=10)


@dataclass
class Told:
    """What a reader knows who asks as is promised: each snapshot for what changed, and every now and then for all."""

    known: dict[Key, tuple[datetime, tuple[str, str]]] = field(default_factory=dict)
    mark: datetime | None = None

    def crawl(self, snapshot: Snapshot, *, everything: bool) -> int:
        """Reads a snapshot; how many of its versions say something else than they did, at the same time as before."""
        silent = 0
        for key, one in snapshot.listed.items():
            ordinary = self.mark is None or one.updated_at > self.mark
            if not ordinary and not everything:
                continue
            now = one.updated_at, _content(one)
            before = self.known.get(key)
            silent += not ordinary and before is not None and before[0] == now[0] and before[1] != now[1]
            self.known[key] = now
        self.mark = snapshot.at - OVERLAP
        return silent


def _content(one: Listed) -> tuple[str, str]:
    return one.digest, about_text(one.seen.about)
