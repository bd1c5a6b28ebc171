"""Which rows a listing shows: the query's conditions, joined by AND."""

from collections.abc import Callable

from workers.sample.row import Row
from workers.sample.times import Micros

Test = Callable[[Row], bool]


def visible(since: Micros | None, search: str, version: str, include_deleted: bool) -> Test:
    """A test of one row; an empty condition is none, and `since` is strict."""
    tests: list[Test] = []
    if not include_deleted:
        tests.append(lambda row: row.status != "deleted")
    if since is not None:
        tests.append(lambda row: row.updated > since)
    if version:
        tests.append((lambda row: row.is_latest) if version == "latest" else (lambda row: row.version == version))
    if search:
        tests.append(_containing(search))
    if len(tests) == 1:
        return tests[0]
    return lambda row: all(test(row) for test in tests)


def _containing(search: str) -> Test:
    """A test for a substring of name or description, whatever the case; a look at the bytes ends most."""
    needle = search.lower()
    plain = needle.isascii() and needle.isprintable() and not set('"\\') & set(needle)
    quick = needle.encode() if plain else b""

    def contains(row: Row) -> bool:
        if needle in row.name.lower():
            return True
        if quick not in row.encoded.lower():
            return False
        description = row.server.get("description")
        return isinstance(description, str) and needle in description.lower()

    return contains
