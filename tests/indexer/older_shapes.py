"""Databases as older programs made them: the tables of each version, written out, with what those programs had put in.

What is written here stays as it is; a change of the tables adds the shape that there was before it.
"""

from dataclasses import dataclass

from sqlalchemy import Connection, text

FIRST = {
    "events": """position {big} NOT NULL PRIMARY KEY, stream {text} NOT NULL, revision INTEGER NOT NULL,
        type {text} NOT NULL, recorded_at BIGINT NOT NULL, crawl {text}, record {text}, data {text} NOT NULL""",
    "records": "digest {text} NOT NULL PRIMARY KEY, text {text} NOT NULL",
    "streams": "stream {text} NOT NULL PRIMARY KEY, revision INTEGER NOT NULL",
    "held": """source {text} NOT NULL, key {text} NOT NULL, slot {text} NOT NULL, digest {text} NOT NULL,
        about {text} NOT NULL, updated_at BIGINT, withdrawn BOOLEAN NOT NULL, PRIMARY KEY (source, key, slot)""",
    "quarantine": """source {text} NOT NULL, digest {text} NOT NULL, position BIGINT NOT NULL,
        PRIMARY KEY (source, digest)""",
    "crawl_state": """source {text} NOT NULL PRIMARY KEY, lease INTEGER NOT NULL, holder {text},
        held_until BIGINT NOT NULL, configured {text}, state {text} NOT NULL""",
    "budgets": "host {text} NOT NULL PRIMARY KEY, next_at FLOAT NOT NULL",
    "checkpoints": """name {text} NOT NULL PRIMARY KEY, position BIGINT NOT NULL, fingerprint {text} NOT NULL,
        target {text} NOT NULL""",
    "schema_version": "version INTEGER NOT NULL PRIMARY KEY",
    "catalogue_sources": """build INTEGER NOT NULL, source {text} NOT NULL, position BIGINT NOT NULL,
        config {text} NOT NULL, PRIMARY KEY (build, source)""",
    "catalogue_versions": """build INTEGER NOT NULL, source {text} NOT NULL, key {text} NOT NULL, slot {text} NOT NULL,
        name {text} NOT NULL, version {text}, digest {text} NOT NULL, status {text} NOT NULL, status_message {text},
        published_at BIGINT, updated_at BIGINT, first_seen_at BIGINT NOT NULL, position BIGINT NOT NULL,
        withdrawn BOOLEAN NOT NULL, valid BOOLEAN NOT NULL, problems {text} NOT NULL,
        PRIMARY KEY (build, source, key, slot)""",
    "catalogue_entries": """build INTEGER NOT NULL, id {text} NOT NULL, name {text} NOT NULL, position BIGINT NOT NULL,
        digest {text}, document {text}, PRIMARY KEY (build, id)""",
}
INDEXES = {
    "events_stream": "UNIQUE INDEX events_stream ON events (stream, revision)",
    "catalogue_versions_name": "INDEX catalogue_versions_name ON catalogue_versions (build, name)",
    "catalogue_entries_position": "INDEX catalogue_entries_position ON catalogue_entries (build, position, id)",
}
WALKED = {
    "quarantine": """source {text} NOT NULL, digest {text} NOT NULL, position BIGINT NOT NULL, walk BIGINT NOT NULL,
        PRIMARY KEY (source, digest)"""
}
SCHEDULED = {
    "schedule": "source {text} NOT NULL PRIMARY KEY, paused BOOLEAN NOT NULL, asked_at BIGINT NOT NULL",
}
FOLDED = {
    "catalogue_entries": """build INTEGER NOT NULL, id {text} NOT NULL, name {text} NOT NULL, folded {text} NOT NULL,
        position BIGINT NOT NULL, digest {text}, document {text}, PRIMARY KEY (build, id)"""
}
FOLDED_INDEX = {"catalogue_entries_folded": "INDEX catalogue_entries_folded ON catalogue_entries (build, folded)"}
LOOKED_AT_TWICE = {
    "candidates": """source {text} NOT NULL, key {text} NOT NULL, slot {text} NOT NULL, first_walk INTEGER NOT NULL,
        walk INTEGER NOT NULL, asked BOOLEAN NOT NULL, PRIMARY KEY (source, key, slot)""",
    "seen": """source {text} NOT NULL, key {text} NOT NULL, slot {text} NOT NULL, PRIMARY KEY (source, key, slot)""",
}

SEEN_FROM_THE_RECORD = {
    "catalogue_versions": """build INTEGER NOT NULL, source {text} NOT NULL, key {text} NOT NULL, slot {text} NOT NULL,
        name {text} NOT NULL, version {text}, digest {text} NOT NULL, status {text} NOT NULL, status_message {text},
        published_at BIGINT, updated_at BIGINT, first_seen_at BIGINT NOT NULL, position BIGINT NOT NULL,
        withdrawn BOOLEAN NOT NULL, valid BOOLEAN NOT NULL, PRIMARY KEY (build, source, key, slot)"""
}

BLANKED = {
    "redactions": "digest {text} NOT NULL PRIMARY KEY",
    "catalogue_versions": """build INTEGER NOT NULL, source {text} NOT NULL, key {text} NOT NULL, slot {text} NOT NULL,
        name {text} NOT NULL, version {text}, digest {text} NOT NULL, status {text} NOT NULL, status_message {text},
        published_at BIGINT, updated_at BIGINT, first_seen_at BIGINT NOT NULL, position BIGINT NOT NULL,
        withdrawn BOOLEAN NOT NULL, valid BOOLEAN NOT NULL, redacted BOOLEAN NOT NULL,
        PRIMARY KEY (source, key, slot, build)""",
}

NAMED = {
    "catalogue_listings": """build INTEGER NOT NULL, name {text} NOT NULL, stream {text} NOT NULL,
        PRIMARY KEY (build, name, stream)"""
}

CONFIGURED = (
    '{"source":"official","kind":"registry","trust":100,"include":[],"exclude":[],"enabled":true,"republish":true}'
)
RECORDED = 1_785_585_600_000_000
ROWS = (
    f"""INSERT INTO events (position, stream, revision, type, recorded_at, crawl, record, data) VALUES
    (1, 'crawls/official', 1, 'source.configured', {RECORDED}, NULL, NULL, '{CONFIGURED}'),
    (2, 'listing/official/com.example/a', 1, 'listing.observed', {RECORDED}, 'c', 'd1',
     '{{"source":"official","key":"com.example/a","digest":"d1","name":"com.example/a","version":"1.0.0","meta":null}}'),
    (3, 'crawls/official', 2, 'record.quarantined', {RECORDED}, 'c', NULL,
     '{{"source":"official","digest":"d2","reason":"the record has no name","size":7,"text":"{{\\"a\\":1}}"}}')""",
    """INSERT INTO records (digest, text) VALUES
    ('d1', '{"name":"com.example/a","version":"1.0.0","description":"An older one"}')""",
    "INSERT INTO streams (stream, revision) VALUES ('crawls/official', 2), ('listing/official/com.example/a', 1)",
    """INSERT INTO held (source, key, slot, digest, about, updated_at, withdrawn) VALUES
    ('official', 'com.example/a', '1.0.0', 'd1', '["active",null,null,null,null]', NULL, FALSE)""",
    "INSERT INTO quarantine (source, digest, position{walk}) VALUES ('official', 'd2', 3{7})",
    f"""INSERT INTO crawl_state (source, lease, holder, held_until, configured, state) VALUES
    ('official', 4, NULL, 0, '{CONFIGURED}', '{{"last_mode":"full"}}')""",
    "INSERT INTO budgets (host, next_at) VALUES ('registry.example', 12.5)",
    "INSERT INTO checkpoints (name, position, fingerprint, target) VALUES ('catalogue', 3, 'f', '1')",
    "INSERT INTO checkpoints (name, position, fingerprint, target) VALUES ('documents', 3, 'f', 'made then')",
    """INSERT INTO catalogue_sources (build, source, position, config) VALUES (1, 'official', 1, '{"trust":100}')""",
)


@dataclass(frozen=True)
class Shape:
    """The tables of one version, and what SQLite kept by key; `more` are the rows that only it could have."""

    name: str
    version: int
    tables: dict[str, str]
    indexes: dict[str, str]
    by_key: tuple[str, ...] = ()
    more: tuple[str, ...] = ()

    def make(self, connection: Connection) -> None:
        """Makes the tables in an empty database, and puts in what a program of that version had recorded."""
        sqlite = connection.dialect.name == "sqlite"
        types = {"text": "TEXT" if sqlite else 'TEXT COLLATE "C"', "big": "INTEGER" if sqlite else "BIGINT"}
        for name, columns in self.tables.items():
            end = " WITHOUT ROWID" if sqlite and name in self.by_key else ""
            connection.exec_driver_sql(f"CREATE TABLE {name} ({columns.format(**types)}){end}")
        for index in self.indexes.values():
            connection.exec_driver_sql(f"CREATE {index}")
        walked = "walk" in self.tables["quarantine"]
        for row in (*ROWS, *self.more):
            filled = row.replace("{walk}", ", walk" if walked else "").replace("{7}", ", 7" if walked else "")
            connection.exec_driver_sql(filled)
        for version in range(1, self.version + 1):
            connection.execute(text("INSERT INTO schema_version (version) VALUES (:version)"), {"version": version})


BY_KEY = ("streams", "held")
PAUSED = ("INSERT INTO schedule (source, paused, asked_at) VALUES ('official', TRUE, 0)",)
UNSEEN = ("INSERT INTO candidates VALUES ('official', 'com.example/a', '1.0.0', 1, 2, TRUE)",)

SHAPES = (
    Shape("the first", 1, FIRST, INDEXES),
    Shape("the first, two tables by key", 1, FIRST, INDEXES, BY_KEY),
    Shape("walks that met what is in quarantine", 2, FIRST | WALKED, INDEXES, BY_KEY),
    Shape("a schedule", 3, FIRST | WALKED | SCHEDULED, INDEXES, BY_KEY, PAUSED),
    Shape(
        "names without their case",
        4,
        FIRST | WALKED | SCHEDULED | FOLDED,
        INDEXES | FOLDED_INDEX,
        BY_KEY,
        PAUSED,
    ),
    Shape(
        "versions that walks did not see",
        5,
        FIRST | WALKED | SCHEDULED | FOLDED | LOOKED_AT_TWICE,
        INDEXES | FOLDED_INDEX,
        (*BY_KEY, "candidates", "seen"),
        (*PAUSED, *UNSEEN),
    ),
    Shape(
        "problems seen from the record",
        6,
        FIRST | WALKED | SCHEDULED | FOLDED | LOOKED_AT_TWICE | SEEN_FROM_THE_RECORD,
        INDEXES | FOLDED_INDEX,
        (*BY_KEY, "candidates", "seen", "catalogue_versions"),
        (*PAUSED, *UNSEEN),
    ),
    Shape(
        "records that were blanked",
        7,
        FIRST | WALKED | SCHEDULED | FOLDED | LOOKED_AT_TWICE | SEEN_FROM_THE_RECORD | BLANKED,
        INDEXES | FOLDED_INDEX,
        (*BY_KEY, "candidates", "seen", "catalogue_versions", "redactions"),
        (*PAUSED, *UNSEEN, "INSERT INTO redactions VALUES ('d3')"),
    ),
    Shape(
        "names that listings ever had",
        8,
        FIRST | WALKED | SCHEDULED | FOLDED | LOOKED_AT_TWICE | SEEN_FROM_THE_RECORD | BLANKED | NAMED,
        INDEXES | FOLDED_INDEX,
        (*BY_KEY, "candidates", "seen", "catalogue_versions", "redactions", "catalogue_listings"),
        (*PAUSED, *UNSEEN, "INSERT INTO redactions VALUES ('d3')"),
    ),
)
