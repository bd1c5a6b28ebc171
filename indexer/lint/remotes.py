"""Remotes: places where a server already runs must be reachable by others, and their variables defined."""

import re
from collections.abc import Iterable, Iterator

from indexer.lint.rule import Hit, Look, Rule, inner

_HERE = re.compile(
    r"https?://(?:[^/@\s]*@)?(?:localhost|[^/:\s]*\.localhost|127\.[\d.]+|0\.0\.0\.0|\[::1?\])(?:[:/?#]|$)", re.I
)
_VARIABLE = re.compile(r"\$?\{([A-Za-z0-9_.-]+)\}")


def _local(look: Look) -> Iterable[Hit]:
    return [
        (f"{one.pointer}/url", "this address is the reader's own machine")
        for one in look.remotes
        if _HERE.match(one.url)
    ]


def _plain(look: Look) -> Iterable[Hit]:
    return [
        (f"{one.pointer}/url", "a remote is reached by https")
        for one in look.remotes
        if one.url[:7].lower() == "http://" and _HERE.match(one.url) is None
    ]


def _variable(look: Look) -> Iterator[Hit]:
    for one in look.remotes:
        if "{" not in one.url:
            continue
        known = inner(one.record, "variables")
        for name in _VARIABLE.findall(one.url):
            if name not in known:
                yield f"{one.pointer}/url", f"nothing defines the variable {{{name[:40]}}}"


def _type(look: Look) -> Iterable[Hit]:
    return [
        (one.pointer, "a remote is of type streamable-http or sse")
        for one in look.remotes
        if one.type not in ("streamable-http", "sse")
    ]


def _duplicate(look: Look) -> Iterable[Hit]:
    return _repeated(look) if len(look.remotes) > 1 else ()


def _repeated(look: Look) -> Iterator[Hit]:
    seen: set[tuple[str, str]] = set()
    for one in look.remotes:
        key = one.type, one.url
        if one.url and key in seen:
            yield one.pointer, "this address is listed twice with the same type"
        seen.add(key)


RULES = (
    Rule("lint/remote-local", "warning", "A remote is on the reader's own machine.", _local),
    Rule("lint/remote-plain-http", "warning", "A remote is reached without encryption.", _plain),
    Rule("lint/remote-variable", "warning", "A remote's address uses a variable that nothing defines.", _variable),
    Rule("lint/remote-type", "warning", "A remote is of a type that is not reached from elsewhere.", _type),
    Rule("lint/duplicate-remote", "warning", "A remote is listed twice with one type and address.", _duplicate),
)
