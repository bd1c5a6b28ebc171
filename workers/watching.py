"""What can be watched of a process while it works; by default nobody watches."""

from typing import Protocol


class Watcher(Protocol):
    """Hears what happens between us and the others; must be quick and must not fail."""

    def request(self, source: str, outcome: str) -> None:
        """A request was answered with a status, or failed: `error`."""
        ...

    def retried(self, source: str, why: str) -> None:
        """A request failed and will be sent again; `why` may be shown."""
        ...

    def waited(self, source: str, seconds: float) -> None:
        """A request waited for its host's budget."""
        ...

    def index_task(self, kind: str, outcome: str, seconds: float) -> None:
        """Meilisearch ended one of our tasks."""
        ...


class Unwatched:
    """Nobody watches."""

    def request(self, source: str, outcome: str) -> None:
        """Passes it by."""

    def retried(self, source: str, why: str) -> None:
        """Passes it by."""

    def waited(self, source: str, seconds: float) -> None:
        """Passes it by."""

    def index_task(self, kind: str, outcome: str, seconds: float) -> None:
        """Passes it by."""


UNWATCHED = Unwatched()
