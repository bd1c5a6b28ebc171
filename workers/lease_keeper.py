"""Keeps the lease of a crawl while it goes on, however long a page or the index takes."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager

from indexer import leases
from indexer.database import Database
from indexer.errors import LeaseLost, StoreUnavailable
from indexer.leases import Lease

RENEW_SECONDS = 15.0
"""A crawl says so often that it still lives."""


@contextmanager
def kept(database: Database, lease: Lease) -> Iterator[None]:
    """Renews a lease every now and then, in a thread of its own, as long as it is ours."""
    over = threading.Event()
    beat = threading.Thread(target=_renew, args=(database, lease, over), name=f"lease of {lease.source}", daemon=True)
    beat.start()
    try:
        yield
    finally:
        over.set()
        beat.join()


def _renew(database: Database, lease: Lease, over: threading.Event) -> None:
    while not over.wait(RENEW_SECONDS):
        try:
            with database.write() as connection:
                leases.renew(connection, lease)
        except LeaseLost:
            return  # the next page finds out
        except StoreUnavailable:
            continue  # and so does this
