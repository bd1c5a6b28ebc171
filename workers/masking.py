"""What may be shown: sentences and addresses without secrets, and an upstream's words without what moves a terminal."""

import re
from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import quote, quote_plus, unquote

import orjson

MASK = "***"

_USERINFO = re.compile(r"(?<=//)[^/\s?#]*@")
_SECRET_PARAMETER = re.compile(r"(?i)token|secret|passw|signature|credential|(?:^|[^a-z]|api)(?:key|sig|auth)$")
_SECRET_VARIABLE = re.compile(r"(?i)token|secret|passw|credential|(?:^|_)(?:key|pat)$")
_SHORTEST_SECRET = 8
_LONGEST_ADDRESS = 500
_LONGEST_WORDS = 200


class Masking:
    """Hides the given secrets, and what looks like one in an address."""

    def __init__(self, secrets: Iterable[str] = ()) -> None:
        spellings = {spelt for secret in secrets for spelt in (secret, quote(secret, safe=""), quote_plus(secret))}
        self._secrets = sorted(spellings - {""}, key=len, reverse=True)

    def hide(self, text: str) -> str:
        """The same text without secrets and without the user part of any address."""
        for secret in self._secrets:
            text = text.replace(secret, MASK)
        return _USERINFO.sub(f"{MASK}@", text)

    def in_body(self, body: bytes) -> bytes:
        """The same body without secrets: an upstream may answer with what it was sent. Short ones are words, too."""
        for secret in self._secrets:
            if len(secret) >= _SHORTEST_SECRET:
                body = body.replace(secret.encode(), MASK.encode())
        return body

    def address(self, url: str) -> str:
        """A URL as it may be shown: without secrets however they are encoded, in one line, and not too long."""
        decoded = unquote(url)
        if any(secret in decoded for secret in self._secrets):
            url = decoded
        bare, question, query = url.partition("?")
        if question:
            query = "&".join(_parameter(pair) for pair in query.split("&"))
        return printable(_shortened(self.hide(bare + question + query), _LONGEST_ADDRESS))

    def words(self, body: bytes) -> str:
        """The upstream's own sentence in the body of an error; empty where it has none."""
        return printable(_shortened(self.hide(_said(body)), _LONGEST_WORDS))


def secrets_of(environment: Mapping[str, str]) -> set[str]:
    """The values of an environment's variables that are called as secrets are."""
    return {
        value for name, value in environment.items() if _SECRET_VARIABLE.search(name) and len(value) >= _SHORTEST_SECRET
    }


def header_secrets(headers: Iterable[str]) -> set[str]:
    """What must not be shown of these header values: each whole, and a token without its scheme."""
    found: set[str] = set()
    for value in headers:
        found |= {value, *(part for part in value.split() if len(part) >= _SHORTEST_SECRET)}
    return found


def printable(text: str) -> str:
    r"""The same text with control, direction and other invisible characters written as ``\x1b``."""
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


def _shortened(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[:longest] + "…"


def _parameter(pair: str) -> str:
    name, equals, value = pair.partition("=")
    return f"{name}={MASK}" if equals and value and _SECRET_PARAMETER.search(name) else pair


def _said(body: bytes) -> str:
    """The sentence in `detail`, `error`, `error.message`, `message` or `title`, with the first of `errors`."""
    try:
        answer = orjson.loads(body)
    except orjson.JSONDecodeError:
        return ""
    if not isinstance(answer, dict):
        return ""
    error = answer.get("error")
    inner = error.get("message") if isinstance(error, dict) else error
    said = _first_text(answer.get("detail"), inner, answer.get("message"), answer.get("title"))
    errors = answer.get("errors")
    first = errors[0] if isinstance(errors, list) and errors else None
    more = first.get("message") if isinstance(first, dict) else None
    return f"{said}: {more}" if said and isinstance(more, str) and more else said


def _first_text(*found: Any) -> str:
    return next((text for text in found if isinstance(text, str) and text), "")
