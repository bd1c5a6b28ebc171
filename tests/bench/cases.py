"""The cases: what is measured of a round, and what it is to be."""

from collections.abc import Callable

from tests.bench.figures import Json, Measure, Target
from tests.bench.rounds import CHANGES, Round

Case = Callable[[Round], list[Measure]]

LARGER = 3
LARGE = 100_000
"""From so many versions on, a crawl is asked for more: what it does at its start and end weighs less."""


def bare_walk(of: Round) -> list[Measure]:
    """httpx and orjson over the same pages, no more."""
    found = of.walk
    return [
        Measure("seconds", found["seconds"], "s"),
        Measure("pages", found["pages"], ""),
        Measure("size", found["bytes"] / 2**20, "MiB"),
    ]


def meilisearch_alone(of: Round) -> list[Measure]:
    """The same documents, best batching."""
    return [
        Measure("in one post", of.alone["one"], "s"),
        Measure("in posts of 16 MiB", of.alone["many"], "s"),
        Measure("the better one", of.alone_seconds, "s"),
        Measure("documents", of.cold["documents"], ""),
        Measure("size", of.documents.stat().st_size / 2**20, "MiB"),
    ]


def bulk_insert(of: Round) -> list[Measure]:
    """The rows of the log, of what is held and of the catalogue, handed to the database and nothing else."""
    found = of.bulk_insert
    return [
        Measure("seconds", found["inserting_seconds"], "s"),
        Measure("rows", found["rows"], ""),
        Measure("written", _written(found), "MiB"),
    ]


def cold_crawl(of: Round) -> list[Measure]:
    """From nothing to searchable."""
    cold = of.cold
    return [
        Measure("seconds", cold["seconds"], "s"),
        Measure(
            "÷ (bare walk + Meilisearch alone)",
            cold["seconds"] / (of.walk["seconds"] + of.alone_seconds),
            "×",
            Target(at_most=1.5 if of.size >= LARGE else 2.0),
        ),
        Measure("versions a second", of.size / cold["seconds"], "/s"),
        Measure("all recorded after", cold["recorded_after"], "s"),
        Measure("CPU seconds of its process", cold["cpu_seconds"], "s"),
        Measure("CPU a version", cold["cpu_seconds"] / of.size * 1e6, "µs"),
        Measure("requests", cold["counts"]["requests"], ""),
        Measure("written", _written(cold), "MiB"),
    ]


def unchanged_audit(of: Round) -> list[Measure]:
    """A full walk that finds nothing new. On Postgres its ratio is shown and asked for nothing."""
    found = of.audit
    target = Target(at_most=2.0) if of.store.written() is None else None
    return [
        Measure("seconds", found["seconds"], "s"),
        Measure("÷ bare walk", found["seconds"] / of.walk["seconds"], "×", target),
        Measure("events appended", found["events"], "", Target(2, 2)),
        Measure("index tasks", found["index_tasks"], "", Target(0, 0)),
        Measure("written", _written(found), "MiB", Target(at_most=10)),
        Measure("CPU seconds of its process", found["cpu_seconds"], "s"),
    ]


def increment(of: Round) -> list[Measure]:
    """A hundred changes, to searchable."""
    found = of.increment
    return [
        Measure("seconds", found["seconds"], "s"),
        Measure("Meilisearch alone with its documents", found["alone_seconds"], "s"),
        Measure("seconds beyond that", found["seconds"] - found["alone_seconds"], "s", Target(at_most=1.0)),
        Measure("requests", found["counts"]["requests"], "", Target(at_most=3)),
        Measure("CPU seconds of its process", found["cpu_seconds"], "s"),
    ]


def one_change(of: Round) -> list[Measure]:
    """What one change costs us here, and how much more at a registry three times as large."""
    here, there = of.one_change, of.larger(LARGER)["one_change"]
    found = []
    for what, of_it in (("requests", lambda one: one["counts"]["requests"]), ("SQL statements", _statements)):
        found.append(Measure(what, of_it(here), ""))
        found.append(Measure(f"more {what} at {of.size * LARGER:,}", _more(of_it(there), of_it(here)), "%", _SAME))
    found.append(Measure("CPU seconds of its process", here["cpu_seconds"], "s"))
    more = _more(there["cpu_seconds"], here["cpu_seconds"])
    return [*found, Measure(f"more CPU seconds at {of.size * LARGER:,}", more, "%", _SAME)]


def catalogue_rebuilt(of: Round) -> list[Measure]:
    """From the first event to the last, verdicts included."""
    found = of.catalogue
    return [
        Measure("seconds", found["seconds"], "s"),
        Measure("events a second", found["position"] / found["seconds"], "/s", Target(at_least=10_000)),
        Measure("CPU seconds of its process", found["cpu_seconds"], "s"),
    ]


def search_rebuilt(of: Round) -> list[Measure]:
    """Beside the live index, compared with the catalogue, swapped in."""
    found = of.search_rebuilt
    return [
        Measure("seconds", found["seconds"], "s"),
        Measure("÷ Meilisearch alone", found["seconds"] / of.alone_seconds, "×", Target(at_most=1.5)),
        Measure("CPU seconds of its process", found["cpu_seconds"], "s"),
    ]


def verify(of: Round) -> list[Measure]:
    """Log, catalogue and index, compared whole."""
    found = of.verified
    return [
        Measure("seconds", found["seconds"], "s"),
        Measure("CPU seconds of its process", found["cpu_seconds"], "s"),
    ]


def search(of: Round) -> list[Measure]:
    """What clients of the index wait, each asking again once it is answered."""
    found = []
    for clients, most in ((1, 30), (10, 150)):
        took, who = of.searches(clients), f"{clients} client{'s' if clients > 1 else ''}"
        found.append(Measure(f"p50, {who}", took["p50"], "ms"))
        found.append(Measure(f"p99, {who}", took["p99"], "ms", Target(at_most=most)))
    return found


def peak_memory(of: Round) -> list[Measure]:
    """VmHWM of the process that crawls from nothing, here and at a registry three times as large; and others' here."""
    here, there = of.cold["peak_mib"], of.larger(LARGER)["cold"]["peak_mib"]
    growth = None if here is None or there is None else _more(there, here)
    others = (
        ("unchanged audit", of.audit),
        ("catalogue rebuilt", of.catalogue),
        ("search rebuilt", of.search_rebuilt),
        ("verify", of.verified),
    )
    return [
        Measure(f"at {of.size:,} versions", here, "MiB", Target(at_most=150)),
        Measure(f"at {of.size * LARGER:,} versions", there, "MiB", Target(at_most=150)),
        Measure("growth between them", growth, "%", Target(at_most=5)),
        *(Measure(name, found["peak_mib"], "MiB") for name, found in others),
        Measure("Meilisearch, after the cold crawl", of.cold["meilisearch_peak_mib"], "MiB"),
    ]


_SAME = Target(at_most=20)
"""In percent: what one change costs does not depend on what else there is."""


def _more(there: float, here: float) -> float:
    return (there / here - 1) * 100


def _statements(found: Json) -> int:
    count: int = found["statements"]
    return count


def _written(found: Json) -> float | None:
    """What a process wrote itself, or what the database's server logged for it."""
    written: float | None = found["written_mib"] if found["wal_mib"] is None else found["wal_mib"]
    return written


CASES: dict[str, Case] = {
    "bare walk": bare_walk,
    "Meilisearch alone": meilisearch_alone,
    "bulk insert of the same rows": bulk_insert,
    "cold crawl to searchable": cold_crawl,
    "unchanged audit": unchanged_audit,
    f"increment of {CHANGES}": increment,
    "one change": one_change,
    "catalogue rebuilt": catalogue_rebuilt,
    "search rebuilt": search_rebuilt,
    "verify": verify,
    "search": search,
    "peak memory": peak_memory,
}
