"""The table of kinds: one line for each adapter."""

from workers.source import Kind
from workers.sources.registry import Registry

KINDS: dict[str, Kind] = {"registry": Registry}
