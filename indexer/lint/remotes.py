"""Remotes: places where a server already runs must be reachable by others, and their variables defined."""

import re
from collections.abc import Iterator

from indexer.lint.rule import Hit, Look, Rule, inner, text

_HERE = re.compile(
    r"https?://(?:[^/@\s]*@)?(?:localhost|[^/:\s]*\.localhost|127\.[\d.]+|0\.0\.0\.0|\[::1?\])(?:[:/?#]|$)", re.I
)
_VARIABLE = re.compile(r"\$?\{([A-Za-z0-9_.-]+)\}")


def _local(look: Look) -> Iterator[Hit]:
    for pointer, remote in look.remotes:
        if _HERE.match(text(remote, "url")):
            yield f"{pointer}/url", "this address is the reader's own machine"


def _plain(look: Look) -> Iterator[Hit]:
    for pointer, remote in look.remotes:
        url = text(remote, "url")
        if url[:7].lower() == "http://" and _HERE.match(url) is None:
            yield f"{pointer}/url", "a remote is reached by https"


def _variable(look: Look) -> Iterator[Hit]:
    for pointer, remote in look.remotes:
        url = text(remote, "url")
        if "{" not in url:
            continue
        known = inner(remote, "variables")
        for name in _VARIABLE.findall(url):
            if name not in known:
                yield f"{pointer}/url", f"nothing defines the variable {{{name[:40]}}}"


def _type(look: Look) -> Iterator[Hit]:
    for pointer, remote in look.remotes:
        if text(remote, "type", "transport_type") not in ("streamable-http", "sse"):
            yield pointer, "a remote is of type streamable-http or sse"


def _duplicate(look: Look) -> Iterator[Hit]:
    seen: set[tuple[str, str]] = set()
    for pointer, remote in look.remotes:
        key = text(remote, "type", "transport_type"), text(remote, "url")
        if key[1] and key in seen:
            yield pointer, "this address is listed twice with the same type"
        seen.add(key)


RULES = (
    Rule("lint/remote-local", "warning", "A remote is on the reader's own machine.", _local),
    Rule("lint/remote-plain-http", "warning", "A remote is reached without encryption.", _plain),
    Rule("lint/remote-variable", "warning", "A remote's address uses a variable that nothing defines.", _variable),
    Rule("lint/remote-type", "warning", "A remote is of a type that is not reached from elsewhere.", _type),
    Rule("lint/duplicate-remote", "warning", "A remote is listed twice with one type and address.", _duplicate),
)
