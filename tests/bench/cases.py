"""The cases: what is measured of a round, and what it is to be."""

from collections.abc import Callable

from tests.bench.figures import Json, Measure, Target
from tests.bench.rounds import CHANGES, Round

Case = Callable[[Round], list[Measure]]

LARGER = 3


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


def cold_crawl(of: Round) -> list[Measure]:
    """From nothing to searchable."""
    cold = of.cold
    return [
        Measure("seconds", cold["seconds"], "s"),
        Measure(
            "÷ (bare walk + Meilisearch alone)",
            cold["seconds"] / (of.walk["seconds"] + of.alone_seconds),
            "×",
            Target(at_most=2.0),
        ),
        Measure("versions a second", of.size / cold["seconds"], "/s"),
        Measure("all recorded after", cold["recorded_after"], "s"),
        Measure("CPU seconds of its process", cold["cpu_seconds"], "s"),
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
    ]


def catalogue_rebuilt(of: Round) -> list[Measure]:
    """From the first event to the last, verdicts included."""
    found = of.catalogue
    return [
        Measure("seconds", found["seconds"], "s"),
        Measure("events a second", found["position"] / found["seconds"], "/s", Target(at_least=10_000)),
    ]


def search_rebuilt(of: Round) -> list[Measure]:
    """Beside the live index, compared with the catalogue, swapped in."""
    found = of.search_rebuilt
    return [
        Measure("seconds", found["seconds"], "s"),
        Measure("÷ Meilisearch alone", found["seconds"] / of.alone_seconds, "×", Target(at_most=1.5)),
    ]


def verify(of: Round) -> list[Measure]:
    """Log, catalogue and index, compared whole."""
    return [Measure("seconds", of.verified["seconds"], "s")]


def search(of: Round) -> list[Measure]:
    """What clients of the index wait, each asking again once it is answered."""
    found = []
    for clients, most in ((1, 30), (10, 150)):
        took, who = of.searches(clients), f"{clients} client{'s' if clients > 1 else ''}"
        found.append(Measure(f"p50, {who}", took["p50"], "ms"))
        found.append(Measure(f"p99, {who}", took["p99"], "ms", Target(at_most=most)))
    return found


def peak_memory(of: Round) -> list[Measure]:
    """VmHWM of the process that crawls from nothing, here and at a registry three times as large."""
    here, there = of.cold["peak_mib"], of.larger(LARGER)["peak_mib"]
    growth = None if here is None or there is None else (there / here - 1) * 100
    return [
        Measure(f"at {of.size:,} versions", here, "MiB", Target(at_most=200)),
        Measure(f"at {of.size * LARGER:,} versions", there, "MiB", Target(at_most=200)),
        Measure("growth between them", growth, "%", Target(at_most=5)),
    ]


def _written(found: Json) -> float | None:
    """What a process wrote itself, or what the database's server logged for it."""
    written: float | None = found["written_mib"] if found["wal_mib"] is None else found["wal_mib"]
    return written


CASES: dict[str, Case] = {
    "bare walk": bare_walk,
    "Meilisearch alone": meilisearch_alone,
    "cold crawl to searchable": cold_crawl,
    "unchanged audit": unchanged_audit,
    f"increment of {CHANGES}": increment,
    "catalogue rebuilt": catalogue_rebuilt,
    "search rebuilt": search_rebuilt,
    "verify": verify,
    "search": search,
    "peak memory": peak_memory,
}
