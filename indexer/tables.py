"""The rows of the database.

Three sorts of table: the log (`events`, `records`), which is the truth; working state that commits with the log
(`redactions`, `streams`, `held`, `quarantine`, `candidates`, `seen`, `crawl_state`, `schedule`, `budgets`), which says
where each source stands; and views (`checkpoints`, `catalogue_*`), which can be thrown away. Text compares by bytes on
every database. Times are microseconds since 1970 in UTC.

Table classes do not validate what they are given: rows are written by SQLAlchemy core from values checked before.
"""

from typing import Any

from sqlalchemy import BigInteger, Column, Index, Integer, PrimaryKeyConstraint, Table, Text
from sqlmodel import Field, SQLModel

TEXT = Text().with_variant(Text(collation="C"), "postgresql")
BIG = BigInteger().with_variant(Integer, "sqlite")


BY_KEY = {"sqlite_with_rowid": False}
"""Rows of SQLite that lie in the order of their key, and are not found through an index beside them."""


def text_column(*, key: bool = False, null: bool = False) -> Any:
    """A text column that compares by bytes."""
    return Field(sa_column=Column(TEXT, primary_key=key, nullable=null))


class EventRow(SQLModel, table=True):
    """The log. A row's raw record is in `records`, by its `record`."""

    __tablename__ = "events"
    __table_args__ = (Index("events_stream", "stream", "revision", unique=True),)

    position: int = Field(sa_column=Column(BIG, primary_key=True, autoincrement=False))
    stream: str = text_column()
    revision: int
    type: str = text_column()
    recorded_at: int = Field(sa_column=Column(BigInteger, nullable=False))
    crawl: str | None = text_column(null=True)
    record: str | None = text_column(null=True)
    data: str = text_column()


class RecordRow(SQLModel, table=True):
    """Raw records, each once, as ASCII JSON text. An `id` ends in the record's digest."""

    __tablename__ = "records"

    id: str = text_column(key=True)
    text: str = text_column()


class RedactionRow(SQLModel, table=True):
    """Records that a person had blanked. Their text in `records` is empty, and stays so."""

    __tablename__ = "redactions"
    __table_args__ = BY_KEY

    digest: str = text_column(key=True)


class StreamRow(SQLModel, table=True):
    """The last revision of each stream."""

    __tablename__ = "streams"
    __table_args__ = BY_KEY

    stream: str = text_column(key=True)
    revision: int


class HeldRow(SQLModel, table=True):
    """What a page is compared with: the last that was recorded of each version."""

    __tablename__ = "held"
    __table_args__ = BY_KEY

    source: str = text_column(key=True)
    key: str = text_column(key=True)
    slot: str = text_column(key=True)
    digest: str = text_column()
    about: str = text_column()
    updated_at: int | None = Field(default=None, sa_column=Column(BigInteger, nullable=True))
    withdrawn: bool = False


class QuarantineRow(SQLModel, table=True):
    """Records that could not be identified and are not released; `walk` is when the last walk began that met one."""

    __tablename__ = "quarantine"

    source: str = text_column(key=True)
    digest: str = text_column(key=True)
    position: int = Field(sa_column=Column(BigInteger, nullable=False))
    walk: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))


class CandidateRow(SQLModel, table=True):
    """Versions that complete walks did not see: `first_walk` was the first of them, `walk` the last; `asked` says that
    the source could not tell of it when it was asked for by itself.
    """

    __tablename__ = "candidates"
    __table_args__ = BY_KEY

    source: str = text_column(key=True)
    key: str = text_column(key=True)
    slot: str = text_column(key=True)
    first_walk: int
    walk: int
    asked: bool = False


class SeenRow(SQLModel, table=True):
    """What the complete walk under way saw, of a source that lists in no order that we know."""

    __tablename__ = "seen"
    __table_args__ = BY_KEY

    source: str = text_column(key=True)
    key: str = text_column(key=True)
    slot: str = text_column(key=True)


class CrawlStateRow(SQLModel, table=True):
    """Where a source stands: one row a source, changed in the transaction of the page that it covers."""

    __tablename__ = "crawl_state"

    source: str = text_column(key=True)
    lease: int = 0
    holder: str | None = text_column(null=True)
    held_until: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))
    configured: str | None = text_column(null=True)
    state: str = text_column()


class ScheduleRow(SQLModel, table=True):
    """What a person and the schedule last said of a source: whether it is paused, and when a crawl was asked for."""

    __tablename__ = "schedule"

    source: str = text_column(key=True)
    paused: bool = False
    asked_at: int = Field(default=0, sa_column=Column(BigInteger, nullable=False))


class BudgetRow(SQLModel, table=True):
    """When each host may be asked again; shared by all processes."""

    __tablename__ = "budgets"

    host: str = text_column(key=True)
    next_at: float


class CheckpointRow(SQLModel, table=True):
    """How far a projection is, with the fingerprint of the rules that built it and the place that it fills."""

    __tablename__ = "checkpoints"

    name: str = text_column(key=True)
    position: int = Field(sa_column=Column(BigInteger, nullable=False))
    fingerprint: str = text_column()
    target: str = text_column()


class SchemaVersionRow(SQLModel, table=True):
    """The last migration that was applied."""

    __tablename__ = "schema_version"

    version: int = Field(primary_key=True)


class CatalogueSourceRow(SQLModel, table=True):
    """A source as it is configured, as JSON; `position` is the event that last changed what derives from it."""

    __tablename__ = "catalogue_sources"

    build: int = Field(primary_key=True)
    source: str = text_column(key=True)
    position: int = Field(sa_column=Column(BigInteger, nullable=False))
    config: str = text_column()


class CatalogueVersionRow(SQLModel, table=True):
    """What one source says of one version, read and judged: whether it is valid. What is wrong with it can be seen from
    its record at any time.
    """

    __tablename__ = "catalogue_versions"
    # The build comes last: were it first, SQLite would read a whole build rather than look some listings up.
    __table_args__ = (PrimaryKeyConstraint("source", "key", "slot", "build"), BY_KEY)

    build: int = Field(primary_key=True)
    source: str = text_column(key=True)
    key: str = text_column(key=True)
    slot: str = text_column(key=True)
    name: str = text_column()
    version: str | None = text_column(null=True)
    digest: str = text_column()
    status: str = text_column()
    status_message: str | None = text_column(null=True)
    published_at: int | None = Field(sa_column=Column(BigInteger, nullable=True))
    updated_at: int | None = Field(sa_column=Column(BigInteger, nullable=True))
    first_seen_at: int = Field(sa_column=Column(BigInteger, nullable=False))
    position: int = Field(sa_column=Column(BigInteger, nullable=False))
    withdrawn: bool
    valid: bool
    redacted: bool


class CatalogueListingRow(SQLModel, table=True):
    """Every name under which a listing ever told of a server."""

    __tablename__ = "catalogue_listings"
    __table_args__ = BY_KEY

    build: int = Field(primary_key=True)
    name: str = text_column(key=True)
    source: str = text_column(key=True)
    key: str = text_column(key=True)


class CatalogueEntryRow(SQLModel, table=True):
    """One server: its document but for `server_json` (JSON text; null when it is not in the index), which is the raw
    record `record`. `folded` is the name without its case.
    """

    __tablename__ = "catalogue_entries"
    __table_args__ = (
        Index("catalogue_entries_position", "build", "position", "id"),
        Index("catalogue_entries_folded", "build", "folded"),
    )

    build: int = Field(primary_key=True)
    id: str = text_column(key=True)
    name: str = text_column()
    folded: str = text_column()
    position: int = Field(sa_column=Column(BigInteger, nullable=False))
    record: str | None = text_column(null=True)
    document: str | None = text_column(null=True)


def table(model: type[SQLModel]) -> Table:
    """The SQLAlchemy table of a table class."""
    found: Table = model.__table__  # type: ignore[attr-defined]
    return found
