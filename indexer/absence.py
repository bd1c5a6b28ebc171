"""What a complete walk did not see, and what follows from it.

Nothing is withdrawn for not being seen once. At its end a walk has candidates: those that the complete walk before did
not see either are withdrawn, the others are asked for one by one. Too many of them park the crawl, and a walk that saw
less than half of what was held withdraws nothing at all until a person approves.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

from sqlalchemy import Connection

from indexer import candidates
from indexer.crawls import CrawlState
from indexer.held import ListingSlot, Span
from indexer.listing import Held, is_deleted
from indexer.walks import Settling, Walk
from schemas.names import SourceName
from schemas.observations import Observation

ALWAYS_FEW = 20
SHARE_OF_HELD = 10
"""More candidates than `ALWAYS_FEW` and than one in `SHARE_OF_HELD` of what is held park a crawl."""
WITHDRAWN_AT_ONCE = 500


@dataclass(frozen=True, slots=True)
class Withdraw:
    """These versions are to be withdrawn; `reason` says why."""

    places: list[ListingSlot]
    reason: str


@dataclass(frozen=True, slots=True)
class AskFor:
    """The source is to be asked for this version by itself: a candidate, or one that it surely has (`surely_there`), to
    see whether it can be asked at all.
    """

    place: ListingSlot
    surely_there: bool = False


Told = Observation | Literal["there", "gone", "unknown", "no answer"]
"""What a source says of one version that it is asked for by itself; with "no answer" it is asked for no other."""


def judge(*, held: int, unseen: int, twice: int) -> Settling:
    """What follows from `unseen` of `held` versions, `twice` of which the complete walk before did not see either."""
    if 2 * unseen > held:
        return Settling(withdraw=False, parked=unseen, needs_approval=True)
    fresh = unseen - twice
    parks = fresh > max(ALWAYS_FEW, held / SHARE_OF_HELD)
    return Settling(withdraw=True, parked=fresh if parks else 0)


def begin(
    connection: Connection, source: SourceName, state: CrawlState, *, listing_is_complete: bool, lists_deleted: bool
) -> CrawlState:
    """The state of a walk that has just begun, with what it will be compared with: what is known to be deleted only
    where the source lists that, too.
    """
    walk = state.walk
    assert walk is not None, "it has just begun"
    if not walk.complete:
        return state
    candidates.forget_unfinished(connection, source, complete=state.complete)
    held = candidates.listed(connection, source, deleted=lists_deleted)
    compares = listing_is_complete and held > 0
    begun = walk.model_copy(update={"held": held, "compares": compares, "lists_deleted": lists_deleted})
    return state.model_copy(update={"walk": begun})


def span_of(walk: Walk, places: Sequence[ListingSlot], *, last: bool) -> Span | None:
    """What a page that showed some places speaks of: all from the end of the page before to its own, where a complete
    walk meets places in their order. None else.
    """
    if not (walk.complete and walk.ordered and (places or last) and _in_order(walk.after, places)):
        return None
    return Span(walk.after, None if last else places[-1])


def compare(
    connection: Connection,
    source: SourceName,
    state: CrawlState,
    places: Sequence[ListingSlot],
    *,
    span: Span | None,
    others: Mapping[ListingSlot, Held] | None,
) -> Walk:
    """The walk after a page that showed some places; what else is held in its span is a candidate. `others` are read
    already, where they are not None.
    """
    walk = state.walk
    assert walk is not None, "a page belongs to a walk"
    if places and (state.candidates or state.aside is not None):
        candidates.forget_seen(connection, source, places)
    if not walk.complete:
        return walk
    if walk.compares and state.unordered:
        candidates.note_seen(connection, source, places)
    elif walk.compares and span is not None and _any_unseen(others, deleted=walk.lists_deleted):
        candidates.keep_unseen(connection, source, span, places, walk=walk.number, deleted=walk.lists_deleted)
    ordered = span is not None or (walk.ordered and not places)
    return walk.model_copy(update={"ordered": ordered, "after": places[-1] if places else walk.after})


def settle(connection: Connection, source: SourceName, state: CrawlState) -> CrawlState:
    """The state at the end of a walk's pages: with what is left to do, where something was not seen."""
    walk = state.walk
    assert walk is not None, "it is at its end"
    if not walk.compares:
        return state
    if state.unordered:
        candidates.keep_unnoted(connection, source, walk=walk.number, deleted=walk.lists_deleted)
    elif not walk.ordered:  # what it passed over may have stood elsewhere: the next one notes what it sees
        candidates.forget_unfinished(connection, source, complete=state.complete)
        return state
    unseen, twice = candidates.end_walk(connection, source, walk=walk.number, complete=state.complete)
    if not unseen:
        return state
    settling = judge(held=walk.held, unseen=unseen, twice=twice)
    return state.model_copy(update={"walk": walk.model_copy(update={"settling": settling})})


def next_step(connection: Connection, source: SourceName, state: CrawlState) -> Withdraw | AskFor | None:
    """What is to be done next about the candidates; None where that is all for now."""
    if state.parked is not None and state.parked.approved:
        places = candidates.confirmed(connection, source, complete=state.complete, limit=WITHDRAWN_AT_ONCE)
        return Withdraw(places, "not listed by a complete walk, and approved by a person") if places else None
    walk = state.walk
    settling = None if walk is None else walk.settling
    if walk is None or settling is None:
        return None
    if settling.withdraw:
        places = candidates.confirmed(connection, source, complete=state.complete, limit=WITHDRAWN_AT_ONCE)
        if places:
            return Withdraw(places, "not listed by two complete walks")
    if settling.parked or settling.askable is False:
        return None
    place = candidates.to_ask_for(connection, source, complete=state.complete)
    if place is None or settling.askable:
        return None if place is None else AskFor(place)
    known = candidates.surely_there(connection, source, deleted=walk.lists_deleted)
    return None if known is None else AskFor(known, surely_there=True)


def _any_unseen(others: Mapping[ListingSlot, Held] | None, *, deleted: bool) -> bool:
    """Whether any of some versions is listed, `deleted` ones among them or not, as far as is known."""
    if others is None:
        return True
    return any(not one.withdrawn and (deleted or not is_deleted(one)) for one in others.values())


def _in_order(after: ListingSlot | None, places: Sequence[ListingSlot]) -> bool:
    """Whether places rise, from the last one of the page before on."""
    before = after
    for place in places:
        if before is not None and place < before:
            return False
        before = place
    return True
