"""Recorded events as others read them: CloudEvents 1.0 in JSON, and the JSON Schema of that."""

from typing import Any

from pydantic import TypeAdapter

from schemas.events import AnyEvent, DecisionRedacted, ListingEvent, Recorded, event_data, rfc3339


def cloud_event(recorded: Recorded) -> dict[str, Any]:
    """A recorded event as CloudEvents 1.0 has it, for `events` and for the exchange."""
    event = recorded.event
    time = rfc3339(recorded.recorded_at)
    return {
        "specversion": "1.0",
        "id": str(recorded.position),
        "source": "mcp-indexer",
        "type": event.type,
        "subject": _subject(event),
        "time": time,
        "datacontenttype": "application/json",
        "stream": recorded.stream,
        "revision": recorded.revision,
        "recordedtime": time,
        "crawl": recorded.crawl,
        "data": event_data(event),
    }


def _subject(event: AnyEvent) -> str:
    """What an event is about: a server where it names one, else a source or a record."""
    if isinstance(event, DecisionRedacted):
        return event.name or event.digest
    named = event.name if isinstance(event, ListingEvent) else None
    return named if isinstance(named, str) and named else event.source


def event_schema() -> dict[str, Any]:
    """The JSON Schema of an event as `cloud_event` writes it: the envelope, and for each type its data."""
    text: dict[str, Any] = {"type": "string"}
    envelope: dict[str, Any] = {
        "specversion": {"const": "1.0"},
        "id": text,
        "source": text,
        "type": text,
        "subject": text,
        "time": {**text, "format": "date-time"},
        "datacontenttype": {"const": "application/json"},
        "stream": text,
        "revision": {"type": "integer"},
        "recordedtime": {**text, "format": "date-time"},
        "crawl": {"type": ["string", "null"]},
        "data": {"type": "object"},
    }
    definitions = TypeAdapter(AnyEvent).json_schema(ref_template="#/$defs/{model}")["$defs"]
    kinds = {name: made for name, made in definitions.items() if "type" in made["properties"]}
    for made in kinds.values():
        made["required"] = [field for field in made["properties"] if field != "type"]
    types = {made["properties"].pop("type")["const"]: name for name, made in kinds.items()}
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "type": "object",
        "required": list(envelope),
        "properties": {**envelope, "type": {"enum": sorted(types)}},
        "allOf": [
            {
                "if": {"properties": {"type": {"const": written}}},
                "then": {"properties": {"data": {"$ref": f"#/$defs/{name}"}}},
            }
            for written, name in sorted(types.items())
        ],
        "$defs": definitions,
    }
