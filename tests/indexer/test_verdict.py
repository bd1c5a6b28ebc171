import json
import unicodedata
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from jsonschema_rs import Draft7Validator

from indexer.verdict import LONGEST_TEXT, MOST_PROBLEMS, Problem, is_valid, problems
from schemas.definition import SCHEMA_DATES, schema_date
from tests.schemas.generated import documents, json_values, mutated
from tests.schemas.upstream import history, seed

LEAST: dict[str, Any] = {
    "$schema": "https://static.modelcontextprotocol.io/schemas/2025-12-11/server.schema.json",
    "name": "com.example/a",
    "description": "A server",
    "version": "1",
}
RELAXED = settings(deadline=None, max_examples=300, suppress_health_check=[HealthCheck.too_slow])


def found(**changed: Any) -> list[tuple[str, str]]:
    return [(problem.rule, problem.pointer) for problem in problems({**LEAST, **changed})]


def nested(depth: int) -> list[Any]:
    value: list[Any] = []
    for _ in range(depth):
        value = [value]
    return value


def test_a_valid_record_has_no_problems() -> None:
    assert problems(LEAST) == ()
    assert is_valid(problems(LEAST))


def test_only_errors_make_a_record_invalid() -> None:
    hints = [Problem("lint/a", "", "warning", "a"), Problem("lint/b", "", "info", "b")]
    assert is_valid(hints)
    assert not is_valid([*hints, Problem("schema/type", "", "error", "c")])


@pytest.mark.parametrize(
    ("changed", "rule", "pointer"),
    [
        ({"name": 5}, "schema/type", "/name"),
        ({"name": "a"}, "schema/min-length", "/name"),
        ({"name": "a b/c"}, "schema/pattern", "/name"),
        ({"description": "a" * 101}, "schema/max-length", "/description"),
        ({"websiteUrl": "example.com"}, "schema/format", "/websiteUrl"),
        ({"repository": {"url": "https://example.com/a"}}, "schema/required", "/repository"),
        ({"remotes": [{"type": "stdio"}]}, "schema/any-of", "/remotes/0"),
        ({"icons": [{"src": "https://example.com/a", "theme": "blue"}]}, "schema/enum", "/icons/0/theme"),
    ],
)
def test_a_problem_says_which_rule_was_broken_where(changed: dict[str, Any], rule: str, pointer: str) -> None:
    (problem,) = (problem for problem in problems({**LEAST, **changed}) if problem.rule == rule)
    assert problem.pointer == pointer
    assert problem.severity == "error"
    assert problem.message


def test_a_pointer_is_a_json_pointer() -> None:
    assert found(remotes=[{"type": "sse", "url": "https://a/", "variables": {"a/b~c": 1}}]) == [
        ("schema/type", "/remotes/0/variables/a~1b~0c")
    ]


def test_problems_stand_in_the_order_of_their_places_whatever_the_order_of_keys() -> None:
    packages = [{"version": 1, "registryType": "npm", "identifier": "a", "transport": {"type": "x", "url": 1}}] * 12
    document = {**LEAST, "version": 1, "packages": packages, "description": ""}
    other = json.loads(json.dumps(document, sort_keys=True), object_pairs_hook=lambda pairs: dict(reversed(pairs)))
    assert problems(document) == problems(other)
    places = [problem.pointer.split("/")[1:] for problem in problems(document)]
    assert [int(place[1]) for place in places if place[0] == "packages"] == sorted([*range(12), *range(12)])


@pytest.mark.parametrize("declared", ["", None])
def test_no_declared_schema_is_one_error(declared: Any) -> None:
    (problem,) = problems({"$schema": declared, "name": 5})
    assert (problem.rule, problem.pointer, problem.severity) == ("schema/undeclared", "/$schema", "error")
    assert problems({"name": 5}) == (problem,)


@pytest.mark.parametrize("declared", ["https://example.com/server.json", 5, ["draft"], {}, False, "\ud800"])
def test_an_unknown_declared_schema_is_one_error(declared: Any) -> None:
    (problem,) = problems({**LEAST, "$schema": declared, "name": 5})
    assert (problem.rule, problem.pointer, problem.severity) == ("schema/unknown", "/$schema", "error")


@pytest.mark.parametrize("document", [None, [], [LEAST], "", 5, True, 1.5])
def test_what_is_no_object_is_one_error(document: Any) -> None:
    (problem,) = problems(document)
    assert (problem.rule, problem.pointer, problem.severity) == ("schema/type", "", "error")


def test_each_schema_judges_its_own() -> None:
    base = "https://static.modelcontextprotocol.io/schemas"
    assert found(**{"$schema": f"{base}/2025-09-29/server.schema.json#/definitions/ServerDetail"}, title="") == []
    assert found(**{"$schema": f"{base}/2025-10-11/server.schema.json"}, title="") == [("schema/min-length", "/title")]


@pytest.mark.parametrize("value", [10**4000, -(10**30), 1e308, float("nan"), float("inf"), nested(900), "\udfff"])
def test_values_that_the_validator_cannot_write_are_judged_all_the_same(value: Any) -> None:
    assert problems({**LEAST, "_meta": {"com.example/x": value}, "extra": value}) == ()
    assert found(packages=[value]) == [("schema/type", "/packages/0")]
    assert found(remotes=[{"type": value}]) == [("schema/any-of", "/remotes/0")]
    assert ("schema/enum", "/icons/0/theme") in found(icons=[{"src": "https://a/", "theme": value}])


def test_lone_surrogates_count_as_characters_that_no_format_allows() -> None:
    assert found(description="\ud800" * 100, **{"\ud800": "\ud801"}) == []
    assert found(description="\ud800" * 101) == [("schema/max-length", "/description")]
    assert found(name="com.example/\ud800") == [("schema/pattern", "/name")]
    assert found(websiteUrl="https://example.com/\ud800") == [("schema/format", "/websiteUrl")]
    assert found(remotes=[{"type": "sse", "url": "https://example.com/\ud800"}]) == []


def test_messages_and_pointers_are_one_short_line() -> None:
    name = "\x1b[2J\n\u202e\ud800\x7f" + "x" * 9000
    (problem,) = problems({**LEAST, "remotes": [{"type": "sse", "url": "https://a/", "variables": {name: "\x9b"}}]})
    assert problem.pointer.startswith("/remotes/0/variables/\\u001b[2J\\u000a\\u202e\\ud800\\u007fxxx")
    assert problem.message == '"\\u009b" is not of type "object"'
    assert len(problem.pointer) == LONGEST_TEXT
    (problem,) = problems({**LEAST, "remotes": [{"type": "sse", "url": name}]})
    assert problem.message.endswith("xxx\"} is not valid under any of the schemas listed in the 'anyOf' keyword")
    assert len(problem.message) == LONGEST_TEXT
    assert problem.message.isascii() is False  # for the sign of what was left out
    assert problem.message.replace("…", "").isprintable()


def test_as_many_problems_are_listed_as_a_person_reads() -> None:
    assert len(problems({**LEAST, "packages": [0] * 200_000})) == MOST_PROBLEMS
    assert [one[1] for one in found(packages=[0] * 60)] == [f"/packages/{i}" for i in range(MOST_PROBLEMS)]


def test_an_error_far_down_is_found() -> None:
    remotes: list[Any] = [{"type": "sse", "url": "https://example.com/sse"}] * 5000
    assert found(remotes=remotes) == []
    assert found(remotes=[*remotes, {"type": "sse"}]) == [("schema/any-of", "/remotes/5000")]


@given(json_values())
@RELAXED
def test_no_json_value_is_too_odd(document: Any) -> None:
    assert problems(document)


@given(data=st.data())
@RELAXED
def test_no_document_is_too_odd(data: st.DataObject) -> None:
    date = data.draw(st.sampled_from(SCHEMA_DATES))
    declared = {"$schema": f"https://example.com/schemas/{date}/server.schema.json"}
    made = {**data.draw(documents(date)), **declared}
    assert problems(made) == ()
    changed = data.draw(mutated(made))
    for problem in problems({**changed, **declared} if isinstance(changed, dict) else changed):
        assert problem.rule.startswith("schema/")
        assert len(problem.message) <= LONGEST_TEXT
        assert len(problem.pointer) <= LONGEST_TEXT
        assert {unicodedata.category(sign) for sign in problem.message + problem.pointer}.isdisjoint({"Cc", "Cs", "Zl"})


@pytest.mark.upstream
def test_the_live_registry_has_the_problems_that_are_known_of_it(shared: Path) -> None:
    known = json.loads((shared / "upstream" / "examples" / "live-invalid-2025-11-14.json").read_text())
    records = [item["server"] for item in seed(shared, "official-full-2025-11-14")]
    assert len(records) == 1781
    # The file has one message for all declarations that do not help.
    sentences = dict.fromkeys(("schema/undeclared", "schema/unknown"), "unknown, empty or missing")
    told = [
        (
            record["name"],
            record["version"],
            schema_date(record.get("$schema")) or "",
            sorted([problem.pointer, sentences.get(problem.rule, problem.message)] for problem in problems(record)),
        )
        for record in records
        if not is_valid(problems(record))
    ]
    assert len(told) == 393
    assert told == [(one["name"], one["version"], one["schema"], sorted(one["errors"])) for one in known]


@pytest.mark.upstream
@pytest.mark.parametrize("kind", ["valid", "invalid", "valid-from-tests"])
def test_every_example_has_the_problems_that_are_known_of_it(shared: Path, kind: str) -> None:
    folder = shared / "upstream" / "examples" / kind
    index = json.loads((folder / "index.json").read_text())
    for case in index.get("cases") or index["examples"]:
        document = json.loads((folder / case["file"]).read_text())
        if isinstance(document, dict) and schema_date(document.get("$schema")) is None:
            assert [problem.pointer for problem in problems(document)] == ["/$schema"], case["file"]
            continue
        spoken = [f"{as_keyword(problem.rule)}@{problem.pointer or '/'}" for problem in problems(document)]
        assert sorted(spoken) == sorted(case["json_schema_errors"]), case["file"]


def as_keyword(rule: str) -> str:
    first, *more = rule.removeprefix("schema/").split("-")
    return first + "".join(map(str.capitalize, more))


@pytest.mark.upstream
def test_every_document_of_two_months_has_the_verdict_of_the_published_schema_it_declares(shared: Path) -> None:
    folder = shared / "upstream" / "schemas"
    texts = {date: (folder / date / "server.schema.json").read_text() for date in SCHEMA_DATES}
    published = {date: Draft7Validator(json.loads(text), validate_formats=True) for date, text in texts.items()}
    for document in history(shared):
        date = schema_date(document.get("$schema"))
        verdict = date is not None and published[date].is_valid(document)
        assert is_valid(problems(document)) == verdict, document["name"]
