"""The real data that lies beside the checkout, as lists of items."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any


def seed(shared: Path, name: str) -> list[Any]:
    """The items of one of the recorded lists."""
    read: Any = json.loads(gzip.decompress((shared / "upstream" / "seed" / f"{name}.json.gz").read_bytes()))
    return list(read["servers"] if isinstance(read, dict) else read)


def snapshots(shared: Path) -> Iterator[Any]:
    """Every item that the official registry showed in two months, in each of its states."""
    with gzip.open(shared / "upstream" / "history" / "official-2025-09-15--2025-11-15.jsonl.gz") as lines:
        for line in lines:
            yield from json.loads(line)["upserts"]


def history(shared: Path) -> Iterator[dict[str, Any]]:
    """Every distinct server.json among them."""
    seen: set[str] = set()
    for item in snapshots(shared):
        document = item.get("server", item)
        text = json.dumps(document, sort_keys=True)
        if text not in seen:
            seen.add(text)
            yield document
