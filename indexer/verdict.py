"""The verdict on a record: what its declared server.json schema says of it, with formats asserted.

The validator first decides, fast. Errors are looked for only in what it refused, in a copy that it can always read
and whose lists are bounded: it makes all errors at once, and a hostile record can have a hundred thousand.
"""

import re
from collections.abc import Iterable
from functools import cache
from typing import Any, Literal, NamedTuple

from jsonschema_rs import Draft7Validator, ValidationError

from schemas.definition import json_schema, schema_date

MOST_PROBLEMS = 50
"""Problems reported of one record; the first, by where they are."""
LONGEST_TEXT = 200
"""Characters of a message or pointer; what is longer loses its middle."""

# Twice as deep as any rule of the schema looks; the validator cannot write a value deeper than 255 into a message.
_DEEPEST = 16
# Of all lists of a record together, where errors are listed. The verdict looks at all.
_ITEMS_LOOKED_AT = 1000
# Added to a lone surrogate it gives a private character, which no pattern, format or list of words allows either.
_STAND_IN = 0x100000
_TAIL = 80

_CAPITAL = re.compile("[A-Z]")
_SURROGATE = re.compile("[\ud800-\udfff]")
_UNPRINTABLE = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\U0010d800-\U0010dfff]"
)


class Problem(NamedTuple):
    """One thing said against a record; an error makes it invalid, a warning or an info does not."""

    rule: str
    pointer: str
    severity: Literal["error", "warning", "info"]
    message: str


_NOT_AN_OBJECT = Problem("schema/type", "", "error", "a server.json is an object")
_UNDECLARED = Problem("schema/undeclared", "/$schema", "error", "no schema is declared")
_UNKNOWN = Problem("schema/unknown", "/$schema", "error", "the declared schema is none of the published ones")


def problems(document: Any) -> tuple[Problem, ...]:
    """What is wrong with a record by the schema it declares, whatever JSON value it is; empty for a valid one."""
    if not isinstance(document, dict):
        return (_NOT_AN_OBJECT,)
    declared = document.get("$schema")
    date = schema_date(declared)
    if date is None:
        return (_UNDECLARED if declared is None or declared == "" else _UNKNOWN,)
    validator = _validator(date)
    try:
        if validator.is_valid(document):
            return ()
    except ValueError:  # lone surrogates; the copy has none
        pass
    return tuple(_as_problem(error) for error in _errors(validator, document))


def fulfils(document: Any) -> bool:
    """Whether a record fulfils the schema that it declares: no problem would be an error. Looks for none by name."""
    if not isinstance(document, dict) or (date := schema_date(document.get("$schema"))) is None:
        return False
    try:
        return _validator(date).is_valid(document)
    except ValueError:  # lone surrogates
        return is_valid(problems(document))


def is_valid(found: Iterable[Problem]) -> bool:
    """Whether no error is among the problems."""
    return all(problem.severity != "error" for problem in found)


@cache
def _validator(date: str) -> Draft7Validator:
    return Draft7Validator(json_schema(date), validate_formats=True)


def _errors(validator: Draft7Validator, document: dict[str, Any]) -> list[ValidationError]:
    """The errors in document order, keys sorted; where they all lie beyond what is looked at, the first of them."""
    found = list(validator.iter_errors(_Copy(_ITEMS_LOOKED_AT).of(document)))
    if found:
        return sorted(found, key=lambda error: (error.instance_path, error.kind.name))[:MOST_PROBLEMS]
    try:
        validator.validate(_Copy(None).of(document))
    except ValidationError as error:
        return [error]
    return []


class _Copy:
    """Copies a JSON value into one that the validator can read and write, and judges as it would the original.

    Lone surrogates become stand-ins, what lies deeper than any rule looks is emptied, keys are sorted so that a record
    has the same problems in any order of its keys, and after so many items all lists end.
    """

    def __init__(self, items: int | None) -> None:
        self.items = items

    def of(self, value: Any, depth: int = 0) -> Any:
        kind = type(value)
        if kind is str:
            return value if value.isascii() else _stood_in(value)
        if kind is dict:
            if depth == _DEEPEST:
                return {}
            return {_stood_in(key): self.of(value[key], depth + 1) for key in sorted(value)}
        if kind is list:
            return [self.of(item, depth + 1) for item in self._taken(value)] if depth < _DEEPEST else []
        return value

    def _taken(self, items: list[Any]) -> list[Any]:
        if self.items is None:
            return items
        taken = items[: self.items]
        self.items -= len(taken)
        return taken


def _stood_in(text: str) -> str:
    return _SURROGATE.sub(lambda found: chr(ord(found[0]) + _STAND_IN), text)


def _as_problem(error: ValidationError) -> Problem:
    rule = "schema/" + _CAPITAL.sub(lambda found: "-" + found[0].lower(), error.kind.name)
    pointer = "".join("/" + str(part).replace("~", "~0").replace("/", "~1") for part in error.instance_path)
    return Problem(rule, shown(pointer), "error", shown(error.message))


def shown(text: str) -> str:
    r"""The text in one line and one direction, shortened in its middle; what would break that as ``\u200e``."""
    text = _shortened(text)
    if text.isascii() and text.isprintable():  # most are, and a regular expression takes five times as long
        return text
    return _shortened(_UNPRINTABLE.sub(_escaped, text))


def _escaped(found: re.Match[str]) -> str:
    code = ord(found[0])
    return f"\\u{code - _STAND_IN if code > _STAND_IN else code:04x}"


def _shortened(text: str) -> str:
    return text if len(text) <= LONGEST_TEXT else f"{text[: LONGEST_TEXT - _TAIL - 1]}…{text[-_TAIL:]}"
