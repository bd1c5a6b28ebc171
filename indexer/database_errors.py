"""What a database or its driver says, told as a sentence: what was wrong and what to do."""


def interrupted(error: BaseException) -> bool:
    """Whether it was an interrupt that a driver, in the middle of something, made an error of."""
    cause: BaseException | None = error
    while cause is not None and not isinstance(cause, KeyboardInterrupt):
        cause = cause.__cause__ or cause.__context__
    return cause is not None


def sentence(told: BaseException | None, *, busy_seconds: int) -> str:
    """What is told of an error; `busy_seconds` is how long what another process holds was waited for."""
    said = first_line(told)
    what = next((what for known, what in _KNOWN if any(one in said for one in known)), "{said}.")
    return what.format(said=said.rstrip("."), busy_seconds=busy_seconds)


_KNOWN = (
    (
        ("disk is full", "No space left"),
        "the disk is full; make room and run the same command again, nothing recorded was lost.",
    ),
    (
        ("disk I/O error",),
        "its disk cannot be written or read; look whether it is full or broken, then run the same command again.",
    ),
    (
        ("idle-in-transaction timeout",),
        "this process stood still in the middle of writing, so that was undone; run the same command again.",
    ),
    (
        ("idle-session timeout",),
        "this process stood still while others waited for it, and they went on; run the same command again.",
    ),
    (("locked", "lock timeout"), "another process kept it locked for {busy_seconds} seconds; try again."),
    (
        ("file is not a database", "malformed"),
        "{said}; restore it from a backup, or set MCP_INDEXER_HOME or MCP_INDEXER_DATABASE_URL to another one.",
    ),
    (
        ("read-only transaction",),
        "{said}; it is a standby or was set read-only: set MCP_INDEXER_DATABASE_URL to the one that takes writes.",
    ),
    (
        ("too many connections", "too many clients", "remaining connection slots"),
        "{said}; end some of its clients, or raise that limit, then run the same command again.",
    ),
    (
        (
            "connection failed",
            "connection to server",
            "connection is bad",
            "connection timeout",
            "failed to resolve host",
        ),
        "{said}; start its server, or check MCP_INDEXER_DATABASE_URL.",
    ),
    (
        ("terminating connection", "server closed the connection"),
        "{said}; once its server is there again, run the same command again, nothing recorded was lost.",
    ),
)
"""What a database says, by words of it, and what is told: what was wrong and what to do."""


def first_line(told: BaseException | None) -> str:
    """What a driver says first."""
    return str(told).strip().splitlines()[0] if str(told).strip() else type(told).__name__
