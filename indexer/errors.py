"""What can go wrong, typed by what to do next.

`McpIndexerError` is everything we foresaw: its text is one sentence for a person. What is not one of these is a bug,
and is shown as one.
"""

from datetime import datetime


class McpIndexerError(Exception):
    """Something foreseen failed; the text says what, where, and what to do."""


class ConfigurationError(McpIndexerError):
    """What an operator wrote or asked for cannot be used; exit status 2."""


class NotFound(McpIndexerError):
    """What was asked for is not known."""


class Interrupted(McpIndexerError):
    """A person or the system asked the process to stop; exit status 130."""


class SourceUnavailable(McpIndexerError):
    """A source did not answer, or said later: try again later, and not before `until` where it said when."""

    def __init__(self, sentence: str, until: datetime | None = None) -> None:
        super().__init__(sentence, until)
        self.sentence, self.until = sentence, until

    def __str__(self) -> str:
        return self.sentence


class SourceRefused(McpIndexerError):
    """A source will not answer us: a person has to look."""


class SourceGone(SourceRefused):
    """A source says that there is nothing, or nothing any more, at the address that was asked for (404, 410, 451)."""


class CursorRefused(SourceRefused):
    """A source does not take what it was asked with, which may be its own cursor (400, 414, 422)."""


class SourceMalformed(McpIndexerError):
    """A source answered with something that is not what its kind sends: a person has to look."""


class SourceTooLarge(SourceMalformed):
    """A source's answer is larger than is taken: ask for less at once, or a person has to look."""


class WalkLost(SourceMalformed):
    """A source's pages run in a circle, never end, or hold nothing at all: to go on leads nowhere."""


class LeaseHeld(McpIndexerError):
    """Another process crawls this source now."""


class LeaseLost(McpIndexerError):
    """A newer lease for this source exists; what this process had in hand was not recorded."""


class StoreUnavailable(McpIndexerError):
    """The database cannot be reached, or cannot be written to."""


class LogDamaged(McpIndexerError):
    """An event of the log cannot be read: a person has to look."""

    def __init__(self, position: int, reason: str) -> None:
        super().__init__(position, reason)
        self.position, self.reason = position, reason

    def __str__(self) -> str:
        return f"Event {self.position} of the log cannot be read ({self.reason}); restore the database from a backup."


class LogChanged(McpIndexerError):
    """What the log holds was changed while it was read: read it again."""


class StoreTooNew(ConfigurationError):
    """The database was written by a newer program than this one."""


class IndexUnavailable(McpIndexerError):
    """The search index cannot be reached; the log keeps what it has not seen."""


class IndexRefused(McpIndexerError):
    """The search index refused a document, a setting or a key."""


class ExchangeUnavailable(McpIndexerError):
    """The exchange cannot be published to; the log keeps what it has not seen."""


class OutputLost(McpIndexerError):
    """What a command prints, or the file that it writes, cannot be written to its end."""


class ImportRefused(McpIndexerError):
    """What was to be imported is no whole export, or does not go with the log that is there."""
