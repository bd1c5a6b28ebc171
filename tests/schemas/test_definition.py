import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft7Validator, meta

from schemas.definition import SCHEMA_DATES, json_schema, schema_date
from tests.schemas.generated import VALUES, containers, documents, fullest, json_values, mutated
from tests.schemas.upstream import history

BASE = "https://static.modelcontextprotocol.io/schemas"
LEAST = {"name": "com.example/a", "description": "A server", "version": "1"}

DATES = st.sampled_from(SCHEMA_DATES)
RELAXED = settings(deadline=None, max_examples=200, suppress_health_check=[HealthCheck.too_slow])

Said = set[tuple[str, str]]


@pytest.fixture(scope="module")
def ours() -> dict[str, Draft7Validator]:
    return {date: Draft7Validator(json_schema(date), validate_formats=True) for date in SCHEMA_DATES}


@pytest.fixture(scope="module")
def published(shared: Path) -> dict[str, Draft7Validator]:
    folder = shared / "upstream" / "schemas"
    texts = {date: (folder / date / "server.schema.json").read_text() for date in SCHEMA_DATES}
    return {date: Draft7Validator(json.loads(text), validate_formats=True) for date, text in texts.items()}


def allowed_from(document: dict[str, Any], ours: dict[str, Draft7Validator]) -> list[str]:
    return [date for date in SCHEMA_DATES if ours[date].is_valid(document)]


def without_surrogates(value: Any) -> Any:
    """The same value with U+E800 to U+EFFF for surrogates, which the validator refuses."""
    return json.loads(json.dumps(value).replace("\\ud", "\\ue"))


def said(validator: Draft7Validator, document: Any) -> Said:
    return {("/".join(map(str, error.instance_path)), error.kind.name) for error in validator.iter_errors(document)}


@pytest.mark.parametrize("date", SCHEMA_DATES)
def test_each_date_gives_a_draft_07_schema(date: str) -> None:
    schema = json_schema(date)
    assert schema["$schema"] == "http://json-schema.org/draft-07/schema#"
    assert meta.is_valid(schema)
    json.dumps(schema)


def test_an_unknown_date_gets_a_sentence() -> None:
    with pytest.raises(ValueError, match="'2024-01-01'; there are: 2025-07-09, "):
        json_schema("2024-01-01")


@pytest.mark.parametrize("missing", ["name", "description", "version"])
def test_three_fields_are_required_at_every_date(missing: str, ours: dict[str, Draft7Validator]) -> None:
    assert allowed_from(LEAST, ours) == list(SCHEMA_DATES)
    assert allowed_from({name: text for name, text in LEAST.items() if name != missing}, ours) == []


@pytest.mark.parametrize(
    ("more", "dates"),
    [
        ({"website_url": 5}, SCHEMA_DATES[1:]),
        ({"websiteUrl": 5}, SCHEMA_DATES[:1]),
        ({"status": "unknown"}, SCHEMA_DATES[2:]),
        ({"_meta": {"io.modelcontextprotocol.registry/official": 5}}, SCHEMA_DATES[2:]),
        ({"_meta": {"io.modelcontextprotocol.registry/publisher-provided": 5}}, ()),
        ({"title": ""}, SCHEMA_DATES[:3]),
        ({"icons": [{}]}, SCHEMA_DATES[:3]),
        ({"remotes": [{"type": "sse", "url": "https://{host}/sse"}]}, ("2025-12-11", "draft")),
        ({"remotes": [{"type": "sse", "url": "{base}/sse"}]}, ("draft",)),
        ({"remotes": [{"type": "streamable-http", "url": "{base}/mcp"}]}, (*SCHEMA_DATES[:5], "draft")),
        ({"remotes": [{"type": "sse", "url": "http://a/", "variables": {"x": 5}}]}, SCHEMA_DATES[:5]),
        ({"remotes": [{"type": "stdio"}]}, ()),
    ],
)
def test_what_a_date_changed(more: dict[str, Any], dates: tuple[str, ...], ours: dict[str, Draft7Validator]) -> None:
    assert allowed_from({**LEAST, **more}, ours) == list(dates)


CAMEL = {"registryType": "npm", "identifier": "a", "version": "1", "transport": {"type": "stdio"}}
SNAKE = {"registry_type": "npm", "identifier": "a", "version": "1", "transport": {"type": "stdio"}}


@pytest.mark.parametrize(
    ("package", "dates"),
    [
        (SNAKE, SCHEMA_DATES[:1]),
        (CAMEL, SCHEMA_DATES[1:]),
        ({name: value for name, value in CAMEL.items() if name != "version"}, SCHEMA_DATES[3:]),
        ({**CAMEL, "extra": 1}, SCHEMA_DATES[3:]),
        ({**CAMEL, "version": "latest"}, ()),
        ({**CAMEL, "version": "1" * 256}, SCHEMA_DATES[1:6]),
        ({**CAMEL, "environmentVariables": [{"name": "A", "placeholder": 5}]}, SCHEMA_DATES[1:3]),
        ({**CAMEL, "packageArguments": [{"type": "positional"}]}, ()),
        ({**CAMEL, "packageArguments": [{"type": "positional", "valueHint": "a"}]}, SCHEMA_DATES[1:]),
        ({**SNAKE, "package_arguments": [{"type": "positional", "value_hint": "a"}]}, SCHEMA_DATES[:1]),
    ],
)
def test_what_a_date_changed_of_packages(
    package: dict[str, Any], dates: tuple[str, ...], ours: dict[str, Draft7Validator]
) -> None:
    assert allowed_from({**LEAST, "packages": [package]}, ours) == list(dates)


@pytest.mark.parametrize(
    ("declared", "date"),
    [
        *((f"{BASE}/{date}/server.schema.json", date) for date in SCHEMA_DATES),
        (f"{BASE}/2025-09-29/server.schema.json#/definitions/ServerDetail", "2025-09-29"),
        (f"{BASE}/2025-09-29/server.schema.json#", "2025-09-29"),
        ("http://mirror.example/schemas/2025-12-11/server.schema.json", "2025-12-11"),
        (f"{BASE}/2025-01-27/server.schema.json", None),
        (f"{BASE}/2025-12-11/server.schema.jsonx", None),
        (f"{BASE}/2025-12-11/server.schema.json\n", None),
        ("https://example.com/x#/schemas/2025-12-11/server.schema.json", None),
        ("2025-12-11", None),
        ("", None),
        (None, None),
        (["draft"], None),
    ],
)
def test_which_date_is_declared(declared: Any, date: str | None) -> None:
    assert schema_date(declared) == date


@given(json_values())
@settings(deadline=None)
def test_anything_may_be_declared(declared: Any) -> None:
    assert schema_date(declared) is None


@given(data=st.data())
@RELAXED
def test_what_is_made_by_a_schema_passes_it(data: st.DataObject, ours: dict[str, Draft7Validator]) -> None:
    date = data.draw(DATES)
    assert ours[date].is_valid(data.draw(documents(date)))


@given(data=st.data())
@RELAXED
@pytest.mark.upstream
def test_made_up_documents_have_the_published_verdict(
    data: st.DataObject, ours: dict[str, Draft7Validator], published: dict[str, Draft7Validator]
) -> None:
    made = data.draw(documents(data.draw(DATES)))
    for document in (made, without_surrogates(data.draw(mutated(made)))):
        for date in SCHEMA_DATES:
            assert ours[date].is_valid(document) == published[date].is_valid(document), date
            assert said(ours[date], document) == said(published[date], document), date


@pytest.mark.parametrize("date", SCHEMA_DATES)
@pytest.mark.upstream
def test_any_change_to_the_fullest_document_has_the_published_verdict(
    date: str, ours: dict[str, Draft7Validator], published: dict[str, Draft7Validator]
) -> None:
    (document,) = fullest(json_schema(date))
    assert said(published[date], document) == set()
    for holder in {id(found): found for found in containers(document)}.values():
        for place in list(holder) if isinstance(holder, dict) else range(len(holder)):
            original = holder[place]
            for value in VALUES:
                holder[place] = value
                assert ours[date].is_valid(document) == published[date].is_valid(document), (place, value)
            if isinstance(holder, dict):
                del holder[place]
                assert said(ours[date], document) == said(published[date], document), place
            holder[place] = original


@pytest.mark.upstream
def test_every_example_has_the_published_verdict(
    shared: Path, ours: dict[str, Draft7Validator], published: dict[str, Draft7Validator]
) -> None:
    folder = shared / "upstream" / "examples"
    paths = [path for kind in ("valid", "invalid", "valid-from-tests") for path in (folder / kind).glob("*.json")]
    assert len(paths) > 250
    for path in paths:
        document = json.loads(path.read_text())
        for date in SCHEMA_DATES:
            assert said(ours[date], document) == said(published[date], document), (path, date)


@pytest.mark.upstream
def test_every_document_of_two_months_has_the_published_verdict_at_every_date(
    shared: Path, ours: dict[str, Draft7Validator], published: dict[str, Draft7Validator]
) -> None:
    told = 0
    for document in history(shared):
        for date in SCHEMA_DATES:
            verdict = ours[date].is_valid(document)
            assert verdict == published[date].is_valid(document), document["name"]
            assert verdict or said(ours[date], document) == said(published[date], document), document["name"]
        told += 1
    assert told > 3000
