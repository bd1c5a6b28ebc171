"""`python -m tests.bench`: measures, prints the table, writes the JSON. A missed target is shown and fails nothing."""

import argparse
import os
import sys
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import orjson

from indexer.errors import McpIndexerError
from tests.bench.cases import CASES, LARGER
from tests.bench.environment import environment, load
from tests.bench.figures import Figure, Json, Measure, figures, number, table
from tests.bench.rounds import BenchFailed, Round
from tests.bench.stores import STORES, Store
from tests.server_process import ServerFailed
from tests.servers import ServerMissing
from workers.meili_binary import find_binary

CHECKOUT = Path(__file__).parents[2]


def main(arguments: Sequence[str] | None = None) -> int:
    """0 once everything was measured; 1 with a sentence where something did not work."""
    given = _parser().parse_args(arguments)
    try:
        meilisearch = find_binary(CHECKOUT / ".mcp-indexer", os.environ.get("MCP_INDEXER_MEILI_BINARY"), _say)
        with STORES[given.database]() as store:
            found = _measure(given, store, meilisearch)
    except (BenchFailed, McpIndexerError, ServerFailed, ServerMissing) as error:
        _say(str(error))
        return 1
    except KeyboardInterrupt:
        return 130
    given.json.write_bytes(orjson.dumps(found, option=orjson.OPT_INDENT_2) + b"\n")
    _say(f"written to {given.json}")
    return 0


def _measure(given: argparse.Namespace, store: Store, meilisearch: Path) -> Json:
    began = time.monotonic()
    about = environment(meilisearch, store.version)
    _line(", ".join(f"{key} {value}" for key, value in about.items()))
    measured: dict[str, list[list[Measure]]] = {name: [] for name in CASES if name in (given.case or CASES)}
    shape: Json = {}
    for turn in range(1, given.repeat + 1):
        _say(f"round {turn} of {given.repeat}")
        with Round(given.size, store, meilisearch, lambda doing: _say(f"  {doing}")) as one:
            if not shape:
                shape = _shape(one)
            for name, rounds in measured.items():
                rounds.append(CASES[name](one))
    found = [figure for name, rounds in measured.items() for figure in figures(name, rounds)]
    seconds = time.monotonic() - began
    _show(found, given.repeat, seconds)
    return {
        "at": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": f"python -m tests.bench --size {given.size} --repeat {given.repeat} --database {given.database}",
        "environment": {**about, "load_at_end": load()},
        "data": shape,
        "seconds": round(seconds),
        "figures": [figure.json() for figure in found],
    }


def _shape(of: Round) -> Json:
    """What the data looks like, invalid ones as the crawl counted them; printed."""
    shape, counts = of.upstream.shape, of.cold["counts"]
    shape["invalid_share"] = round(counts["invalid"] / counts["observed"], 3)
    a_name, sizes = shape["versions_a_name"], shape["record_bytes"]
    _line(
        f"data: {shape['versions']:,} versions of {shape['names']:,} names, {a_name['mean']} a name (largest "
        f"{a_name['largest']}); records of {sizes['median']:,} bytes (mean {sizes['mean']:,}, p99 {sizes['p99']:,}, "
        f"largest {sizes['largest']:,}); {shape['invalid_share']:.1%} invalid"
    )
    return shape


def _show(found: list[Figure], repeat: int, seconds: float) -> None:
    for line in ("", *table(found), ""):
        _line(line)
    verdicts = [figure.verdict for figure in found]
    _line(
        f"{verdicts.count('met')} targets met, {verdicts.count('missed')} missed; medians of {repeat}, ratios within a "
        f"round; {number(seconds)} s in all; load {load()} at the end"
    )


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description="How fast, how big, beside floors.")
    parser.add_argument("--size", type=_count, default=20_000, help=f"versions; memory also at {LARGER} times as many")
    parser.add_argument("--repeat", type=_count, default=3, help="rounds; each figure is their median")
    parser.add_argument("--json", type=Path, default=Path("bench.json"), help="where the figures are written")
    parser.add_argument("--database", choices=STORES, default="sqlite")
    parser.add_argument("--case", action="append", choices=CASES, help="only this one, and what it needs; repeatable")
    return parser


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number of 1 or more")
    return int(text)


def _line(text: str) -> None:
    sys.stdout.write(text + "\n")
    sys.stdout.flush()


def _say(text: str) -> None:
    sys.stderr.write(text + "\n")
    sys.stderr.flush()


if __name__ == "__main__":
    sys.exit(main())
