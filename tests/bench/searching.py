"""How fast the index answers: searches made of the documents' own words, from a number of clients at once."""

import random
import re
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import orjson

QUERIES = 300
"""Different queries; each client asks so many, all of them, each in an order of its own."""
_WARMING = 30
_WORD = re.compile(r"[^\W\d_]{3,}")


def headers(key: str) -> dict[str, str]:
    """What a request carries.

    Meilisearch sends what it packs in pieces, and on a connection that was used before the second waits 40 ms for the
    first to be acknowledged (Nagle's algorithm and delayed acknowledgements): so nothing is to be packed.
    """
    return {"Authorization": f"Bearer {key}", "Accept-Encoding": "identity"}


def queries(path: Path, seed: int = 0) -> list[str]:
    """Names, words of names, and two words of a description, of documents taken evenly from a file of them."""
    rng = random.Random(seed)
    with path.open("rb") as file:
        lines = file.readlines()
    found: list[str] = []
    for number, line in enumerate(rng.choices(lines, k=QUERIES)):
        document = orjson.loads(line)
        words = _WORD.findall(document["description"] or "") or ["tools"]
        made = (document["label"], document["name"], " ".join(rng.choices(words, k=2)), rng.choice(words))
        found.append(made[number % len(made)])
    return found


def hammer(url: str, key: str, uid: str, path: str, clients: str) -> dict[str, Any]:
    """The milliseconds that searches took, as so many clients saw them who each ask again once they are answered."""
    asked = queries(Path(path))
    took: list[list[float]] = [[] for _ in range(int(clients))]
    threads = [
        threading.Thread(target=_ask, args=(f"{url}/indexes/{uid}/search", key, asked, number, into))
        for number, into in enumerate(took)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if any(len(into) != len(asked) for into in took):
        raise RuntimeError("a client of the index got no answer to a search")
    everything = sorted(one for into in took for one in into)
    at = {name: everything[len(everything) * share // 100] for name, share in (("p50", 50), ("p99", 99))}
    return {"searches": len(everything), **at}


def _ask(url: str, key: str, asked: list[str], seed: int, into: list[float]) -> None:
    order = random.Random(seed).sample(asked, len(asked))
    with httpx.Client(trust_env=False, headers=headers(key), timeout=60) as http:
        for query in order[:_WARMING]:
            http.post(url, json={"q": query}).raise_for_status()
        for query in order:
            began = time.perf_counter()
            http.post(url, json={"q": query}).raise_for_status()
            into.append((time.perf_counter() - began) * 1_000)
