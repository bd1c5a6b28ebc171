"""Answers, and the bodies of those that refuse: `application/problem+json`, as the real server's framework has it."""

from http import HTTPStatus
from typing import Any, NamedTuple

import orjson

JSON = "application/json"
PROBLEM = "application/problem+json"


class Answer(NamedTuple):
    """Status, headers and body of an HTTP response."""

    status: int
    headers: dict[str, str]
    body: bytes


class Refused(Exception):
    """A request that ends here, with the answer that says so."""

    def __init__(self, refusal: Answer) -> None:
        super().__init__(refusal)
        self.answer = refusal


def ok(body: bytes) -> Answer:
    """A good answer in JSON."""
    return Answer(200, {"Content-Type": JSON}, body)


def problem(status: int, detail: str, **more: Any) -> Answer:
    """A refusal."""
    title = HTTPStatus(status).phrase
    return Answer(
        status,
        {"Content-Type": PROBLEM},
        orjson.dumps({"title": title, "status": status, "detail": detail, **more}),
    )


def invalid(parameter: str, message: str, value: str | int) -> Refused:
    """A query parameter that is outside what the interface allows: 422."""
    error = {"message": message, "location": f"query.{parameter}", "value": value}
    answer = problem(HTTPStatus.UNPROCESSABLE_ENTITY, "validation failed", errors=[error])
    return Refused(answer._replace(body=answer.body.replace(b"Unprocessable Content", b"Unprocessable Entity")))
