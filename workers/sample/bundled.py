"""The entries that come with the project, written for it: every shape that the real registry holds, no one's data."""

from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import orjson

from workers.sample.generate import generate
from workers.sample.registry import Item, SampleRegistry

ENTRIES = Path(__file__).with_name("entries.json")
"""An array of items as the registry's API lists them, without isLatest, which the registry works out."""


def entries() -> list[Item]:
    """The bundled items, read anew."""
    items: list[Item] = orjson.loads(ENTRIES.read_bytes())
    return items


def sample_registry(generated: int = 0, seed: int = 0, bundled: bool = True) -> SampleRegistry:
    """A registry with the bundled entries and any number of generated versions beside them."""
    written: Iterator[Item] = iter(entries()) if bundled else iter(())
    return SampleRegistry(chain(written, generate(generated, seed)))
