"""Any number of versions with the shape of the real registry's data: sizes, versions a name, delivery, defects.

Deterministic: the same seed gives the same items, and a smaller number gives the beginning of a larger one. One name is
held at a time. Versions of one name share parts of their documents, so an item is for reading, not for changing.
"""

import math
import random
from collections.abc import Iterator
from itertools import count, islice
from typing import Any

from workers.sample.draft import Document, Draft, draft, sentence
from workers.sample.numbering import numbers
from workers.sample.row import OFFICIAL, PUBLISHER
from workers.sample.times import Micros, read, written
from workers.sample.words import FIRST, SECOND, TOOLS, TOPICS

Item = dict[str, Any]

_SECOND = 1_000_000
_DAY = 86_400 * _SECOND
_FORMS = (
    "io.github.{handle}/{project}",
    "io.github.{Handle}/{project}",
    "com.{handle}/{project}",
    "ai.{handle}/mcp-{project}",
    "dev.{handle}/{project}",
    "ai.hubline/{handle}-{project}",
)
_SPACE = len(_FORMS) * len(FIRST) * len(SECOND) * len(TOPICS) * len(TOOLS)
_STRIDE = 1_000_003  # prime to the space, so that every index has a name of its own

_COUNTS = (1, 2, 3, 4, 5, 6, 8, 11, 15, 22, 40, 72)
_COUNT_WEIGHTS = (520, 165, 90, 60, 45, 38, 36, 25, 16, 10, 6, 2)
_EPOCH = read("2025-09-09T00:00:00Z") or 0
_END = read("2026-08-22T00:00:00Z") or 0
_DOUBLING = 60 * _DAY / math.log(2)


def generate(versions: int, seed: int = 0, extra_keys: int = 0) -> Iterator[Item]:
    """That many items as the API lists them, name by name; `extra_keys` adds as many keys to each that no other has."""
    items = _all(random.Random(seed), seed)
    for index, item in enumerate(islice(items, versions)):
        yield _with_keys(item, index, extra_keys) if extra_keys else item


def _all(rng: random.Random, seed: int) -> Iterator[Item]:
    for index in count():
        name, handle, project = server_name(index + seed * 7919)
        made = draft(rng, name, handle, project)
        wanted = rng.choices(_COUNTS, _COUNT_WEIGHTS)[0]
        times = _times(rng, wanted)
        for version, published in zip(numbers(rng, times), times, strict=True):
            yield {"server": _document(rng, made, version), "_meta": {OFFICIAL: _official(rng, published)}}


def server_name(index: int) -> tuple[str, str, str]:
    """The name of an index, its publisher's handle and its project; 67 million indexes in a row have a name each."""
    rest = index * _STRIDE % _SPACE
    rest, form = divmod(rest, len(_FORMS))
    rest, first = divmod(rest, len(FIRST))
    rest, second = divmod(rest, len(SECOND))
    tool, topic = divmod(rest, len(TOPICS))
    handle, project = FIRST[first] + SECOND[second], f"{TOPICS[topic]}-{TOOLS[tool]}"
    return _FORMS[form].format(handle=handle, Handle=handle.capitalize(), project=project), handle, project


def _times(rng: random.Random, versions: int) -> list[Micros]:
    """When a name's versions were published, rising; all names together double every two months."""
    last = _END - int(_DOUBLING * -math.log(1 - rng.random()))
    times = [last]
    for _ in range(versions - 1):
        last -= int(6 * _DAY * -math.log(1 - rng.random())) + 60 * _SECOND
        times.append(last)
    floor = _EPOCH + rng.randrange(_DAY)
    return [Micros(max(time, floor + index * 3600 * _SECOND)) for index, time in enumerate(reversed(times))]


def _document(rng: random.Random, made: Draft, version: str) -> Document:
    """The document of a version; now and then with publisher metadata, or with a sentence of its own."""
    document = made.at(version)
    if rng.random() < 0.08:
        document["_meta"] = {PUBLISHER: {"tool": "sample-publisher", "build": rng.getrandbits(40)}}
    if rng.random() < 0.1 and len(document.get("description", "")) in range(1, 101):
        document["description"] = sentence(rng)
    return document


def _official(rng: random.Random, published: Micros) -> Item:
    """The registry's own block: of two hundred versions one is deprecated, one deleted and one edited."""
    at = written(published)
    drawn = rng.random()
    if drawn >= 0.015:
        return {"status": "active", "statusChangedAt": at, "publishedAt": at, "updatedAt": at}
    later = written(Micros(published + rng.randrange(_SECOND, max(_END - published, 60 * _SECOND))))
    if drawn < 0.005:
        return {"status": "active", "statusChangedAt": at, "publishedAt": at, "updatedAt": later}
    status = "deprecated" if drawn < 0.01 else "deleted"
    message = {"statusMessage": "Moved to a new name"} if status == "deprecated" else {}
    return {"status": status, "statusChangedAt": later, **message, "publishedAt": at, "updatedAt": later}


def _with_keys(item: Item, index: int, extra_keys: int) -> Item:
    """The item with that many keys that no other item has."""
    server = item["server"]
    meta = server.get("_meta", {})
    own = {f"note{index}x{number}": number for number in range(extra_keys)}
    publisher = {**meta.get(PUBLISHER, {}), **own}
    return {**item, "server": {**server, "_meta": {**meta, PUBLISHER: publisher}}}
