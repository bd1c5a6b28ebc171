"""A source asked for one version by itself, because its list does not show it any more."""

from indexer.absence import Told
from indexer.errors import SourceGone, SourceMalformed, SourceRefused
from indexer.held import ListingSlot
from schemas.names import read_slot, slot, unstored
from schemas.observations import Observation
from workers.source import Source


def look(source: Source, place: ListingSlot) -> Told:
    """What a source says of one version: "there" where it has it in a form that cannot be kept, "unknown" where it
    cannot be asked, or answers something else.

    Raises SourceUnavailable.
    """
    key, in_slot = place
    try:
        found = source.look(unstored(key), read_slot(in_slot))
    except SourceGone:
        return "gone"
    except (SourceRefused, SourceMalformed):
        return "unknown"
    told = (found.key, found.version) if isinstance(found, Observation) else found.version_of
    if told is None or (told[0], slot(told[1])) != place:
        return "unknown"
    return found if isinstance(found, Observation) else "there"
