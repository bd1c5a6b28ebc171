"""A sample registry in a process of its own: `python -m tests.bench.upstream VERSIONS`.

It answers on stdout, one JSON object a line: first where it serves and the shape of what it serves; then, for each line
`publish N` on stdin, how many changes it published. It ends when its stdin does.
"""

import statistics
import subprocess
import sys
from collections import Counter
from typing import Any, Self

import orjson

from workers.sample.bundled import sample_registry
from workers.sample.registry import Item, SampleRegistry
from workers.sample.serve import SampleServer

Json = dict[str, Any]


class Upstream:
    """Such a process, from here; a context manager."""

    def __init__(self, versions: int) -> None:
        command = [sys.executable, "-m", "tests.bench.upstream", str(versions)]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        ready = self._answer()
        self.url: str = ready["url"]
        self.shape: Json = ready["shape"]

    def publish(self, changes: int) -> None:
        """Has it publish so many changes, each of another version."""
        assert self._process.stdin is not None
        self._process.stdin.write(f"publish {changes}\n".encode())
        self._process.stdin.flush()
        self._answer()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.communicate()

    def _answer(self) -> Json:
        assert self._process.stdout is not None
        answer: Json = orjson.loads(self._process.stdout.readline())
        return answer


def main(versions: int) -> None:
    """Serves so many generated versions, and publishes what stdin asks for."""
    registry = sample_registry(versions, bundled=False)
    with SampleServer(registry) as server:
        _say({"url": server.url, "shape": shape(registry)})
        published = 0
        for line in sys.stdin:
            changes = int(line.removeprefix("publish "))
            publish(registry, changes, published)
            published += changes
            _say({"published": changes})


def shape(registry: SampleRegistry) -> Json:
    """What the data looks like."""
    items = registry.items()
    counts: Counter[str] = Counter()
    sizes: list[int] = []
    for item in items:
        counts[item["server"]["name"]] += 1
        sizes.append(len(orjson.dumps(item["server"])))
    sizes.sort()
    return {
        "versions": len(sizes),
        "names": len(counts),
        "versions_a_name": {"mean": round(len(sizes) / len(counts), 2), "largest": max(counts.values())},
        "record_bytes": {
            "mean": round(statistics.fmean(sizes)),
            "median": sizes[len(sizes) // 2],
            "p99": sizes[len(sizes) * 99 // 100],
            "largest": sizes[-1],
        },
    }


def publish(registry: SampleRegistry, changes: int, before: int = 0) -> None:
    """Of ten changes six are a name's next version, two an edit, one a status and one a new name; `before` so many were
    published already.
    """
    items = list(registry.items())
    stride = max(1, len(items) // changes)
    for number in range(before, before + changes):
        _change(registry, items[number * stride % len(items)], number)


def _change(registry: SampleRegistry, item: Item, number: int) -> None:
    server, kind = item["server"], number % 10
    name, version = server["name"], server["version"]
    if kind < 6:
        registry.publish({**server, "version": f"1000.0.{number}"})
    elif kind < 8:
        registry.edit(name, version, {**server, "description": f"Edited, and now number {number}"})
    elif kind < 9:
        deleted = item["_meta"]["io.modelcontextprotocol.registry/official"]["status"] == "deleted"
        registry.set_status(name, version, "active" if deleted else "deleted", None if deleted else f"Change {number}")
    else:
        registry.publish({**server, "name": f"io.github.bench/tool-{number}"})


def _say(value: Json) -> None:
    sys.stdout.write(orjson.dumps(value).decode() + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(int(sys.argv[1]))
