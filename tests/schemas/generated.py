"""Documents made up from a JSON Schema, and what can go wrong with them."""

import copy
from functools import cache
from typing import Any

from hypothesis import strategies as st
from jsonschema_rs import Draft7Validator

from schemas.definition import json_schema

URIS = ("https://example.com/x", "mailto:a@b", "urn:x", "https://[::1]/", "https://a/%c3%a4?b#c")
ODD = (
    *("http://127.0.0.1:{port}/sse", "{base}/mcp", "{base} ", "http://", "http:", "example.com", "//a/b", "ftp://x"),
    *('https://a/"', "https://a b", "https://ä.example/", "https://a/\n", "https://a/%zz", "latest", "latest ", "x"),
    *("", "sse", "stdio", "named", "48x48", "٤x٤", "any\n", "com.example/a", "com.example/a/b", "é" * 100),
    *("a" * 101, "a" * 255, "a" * 256),
)
NAMES = ("value", "value_hint", "valueHint", "version", "type", "url", "status", "title", "isSecret", "~a/b", "_meta")
VALUES: tuple[Any, ...] = (None, True, 0, 1.5, [], [0], [[]], ["a"], [{}], {}, {"a": 0}, {"a": {}}, *ODD)


def json_values() -> st.SearchStrategy[Any]:
    """Any value that a JSON parser may give, lone surrogates, huge integers and odd floats among them."""
    text = st.text(st.characters(), max_size=8) | st.sampled_from(["\ud800", "a\udfff", *URIS, *ODD])
    number = st.integers() | st.sampled_from([10**400, -(2**64)]) | st.floats()
    keys = text | st.sampled_from(NAMES)
    return st.recursive(
        st.none() | st.booleans() | number | text,
        lambda inner: st.lists(inner, max_size=4) | st.dictionaries(keys, inner, max_size=4),
        max_leaves=12,
    )


@cache
def documents(date: str) -> st.SearchStrategy[Any]:
    """server.json documents that the schema of that date allows."""
    return conforming(json_schema(date))


def conforming(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    """Values that a schema such as `json_schema` makes allows."""
    kind = schema.get("type")
    if kind == "object":
        return _objects(schema)
    if "anyOf" in schema:
        return st.one_of([conforming(choice) for choice in schema["anyOf"]])
    if kind == "array":
        return st.lists(conforming(schema["items"]), max_size=2)
    return _strings(schema) if kind == "string" else st.booleans()


def _objects(schema: dict[str, Any]) -> st.SearchStrategy[Any]:
    choices = schema.get("anyOf", [{}])
    if "type" in choices[0]:  # a remote: one of the transports, and variables beside it
        variables = _objects({name: value for name, value in schema.items() if name != "anyOf"})
        return st.tuples(variables, st.one_of(list(map(_objects, choices)))).map(lambda both: both[0] | both[1])
    if isinstance(schema.get("additionalProperties"), dict):
        return st.dictionaries(st.sampled_from(NAMES), conforming(schema["additionalProperties"]), max_size=2)
    values = {name: conforming(value) for name, value in schema.get("properties", {}).items()}

    def having(needed: list[str]) -> st.SearchStrategy[Any]:
        optional = {name: value for name, value in values.items() if name not in needed}
        return st.fixed_dictionaries({name: values[name] for name in needed}, optional=optional)

    return st.one_of([having([*schema.get("required", ()), *choice.get("required", ())]) for choice in choices])


def _strings(schema: dict[str, Any]) -> st.SearchStrategy[str]:
    shortest, longest = schema.get("minLength", 0), schema.get("maxLength", 300)
    if "enum" in schema:
        return st.sampled_from(schema["enum"])
    if schema.get("format") == "uri":
        return st.sampled_from(URIS)
    if "pattern" in schema:
        ascii_text = st.characters(min_codepoint=0x20, max_codepoint=0x7E)
        matching = st.from_regex(schema["pattern"], fullmatch=True, alphabet=ascii_text)
        return matching.filter(lambda text: len(text) <= longest)
    odd = [text for text in ODD if shortest <= len(text) <= longest and text != "latest"]
    return st.text(min_size=shortest, max_size=5) | st.sampled_from(odd)


def fullest(schema: dict[str, Any]) -> list[Any]:
    """Values that have all the schema knows, one for each choice in it."""
    choices = schema.get("anyOf", [{}])
    if "type" in choices[0]:
        return [full for choice in choices for full in fullest({**schema, **choice, "anyOf": [{}]})]
    if schema["type"] == "array":
        return [fullest(schema["items"])]
    if isinstance(schema.get("additionalProperties"), dict):
        return [{"a": full} for full in fullest(schema["additionalProperties"])]
    if schema["type"] == "object":
        values = {name: fullest(value) for name, value in schema.get("properties", {}).items()}
        most = max(map(len, values.values()), default=1)
        return [{name: full[i % len(full)] for name, full in values.items()} for i in range(most)]
    if schema["type"] == "boolean":
        return [True]
    words = [*schema.get("enum", ()), *URIS, *ODD, "a" * 64]
    return [next(word for word in words if Draft7Validator(schema, validate_formats=True).is_valid(word))]


@st.composite
def mutated(draw: st.DrawFn, original: Any) -> Any:
    """An original with one to three things in it dropped, renamed, replaced or added."""
    document = copy.deepcopy(original)
    for _ in range(draw(st.integers(1, 3))):
        holder = draw(st.sampled_from(containers(document)))
        if isinstance(holder, dict):
            _mutate_object(draw, holder)
        elif holder and draw(st.booleans()):
            holder.pop()
        else:
            holder.append(draw(json_values()))
    return document


def _mutate_object(draw: st.DrawFn, holder: dict[str, Any]) -> None:
    name = draw(st.sampled_from([*sorted(holder), draw(st.sampled_from(NAMES))]))
    match draw(st.sampled_from(["drop", "rename", "replace"])):
        case "drop":
            holder.pop(name, None)
        case "rename" if name in holder:
            holder[draw(st.sampled_from(NAMES))] = holder.pop(name)
        case _:
            holder[name] = draw(st.sampled_from(ODD) | json_values())


def containers(value: Any) -> list[Any]:
    """Every object and list of a JSON value."""
    inner = value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()
    own = [value] if isinstance(value, dict | list) else []
    return own + [found for item in inner for found in containers(item)]
