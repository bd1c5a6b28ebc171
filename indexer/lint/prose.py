"""Texts that people and models read: empty words, hidden characters, and words meant for the reading model."""

import re
from collections.abc import Iterable, Iterator

from indexer.lint.rule import Hit, Look, Rule, is_plain

_PLACEHOLDER = re.compile(r"\$\{[A-Za-z_][^{}\s]{0,60}\}|<<[^<>\n]{1,60}>>|\{\{[^{}\n]{1,60}\}\}")
_UNSEEN = (
    "\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u2064\u2066-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f"
)
_JOINERS, _SELECTORS = "\u200c\u200d", "\ufe00-\ufe0f\U000e0100-\U000e01ef"
"""They stand in emoji and in several scripts, but not between plain letters, nor twice."""
_UNUSUAL = re.compile(f"[{_UNSEEN}{_JOINERS}{_SELECTORS}]")  # one class of characters is looked for quickly
_HIDDEN = re.compile(f"[{_UNSEEN}]|(?<=[ -~])[{_JOINERS}]+(?=[ -~])|(?<=[A-Za-z ])[{_SELECTORS}]|[{_SELECTORS}]{{2}}")
_FLAG = re.compile("\U0001f3f4[\U000e0030-\U000e0039\U000e0061-\U000e007a]{2,6}\U000e007f")
"""The flag of a region, such as Scotland's."""
_BOILERPLATE = re.compile(
    r"(?:(?:a|an|my|the|your|new|simple|sample|example|test)\s+)*(?:mcp|model context protocol)[\s-]*(?:server)?\.?"
    r"|(?:a\s+)?(?:short\s+)?description(?:\s+of\s+(?:my|your|the)\s+(?:mcp\s+)?server)?(?:\s+here)?\.?"
    r"|.*\[(?:describe|insert|your)\s.*\].*"
    r"|(?:an?\s+)?non[\s-]?functional\s+(?:mcp\s+)?server(?:\s+\(yet\))?\.?|(?:still\s+)?(?:wip|work\s+in\s+progress)\.?"
    r"|todo(?:\s*:.*)?\.?|tbd\.?|n/?a|none|null|undefined|lorem ipsum.*|hello,? world\.?|test(?:ing)?\.?|-+|\.+",
    re.IGNORECASE,
)
TO_THE_MODEL = re.compile(
    r"\b(?:ignore|disregard|forget)\s+(?:all\s+|any\s+|the\s+|your\s+)*(?:previous|prior|above|earlier|preceding|other)\b"
    r"|\b(?:reveal|print|show|override|replace|repeat)\s+(?:your|the)\s+(?:system|developer)\s+prompt\b"
    r"|</?\s*(?:important|system|instructions?|assistant|secret)\s*>|<\|\w{2,20}\|>|\[/?INST\]"
    r"|\byou\s+are\s+now\s+(?:an?|in\s+\w+\s+mode)\b"
    r"|\b(?:you|the\s+(?:ai|assistant|model|agent|llm))\s+(?:must|should|shall|have\s+to|need\s+to)\s+"
    r"(?:always|never|first|only|call|use|invoke|run|read|send|not)\b"
    r"|\b(?:do\s+not|don'?t|never)\s+(?:tell|inform|mention|reveal|show|ask)\s+(?:this\s+)?(?:to\s+)?(?:the\s+)?user\b"
    r"|\balways\s+(?:call|use|invoke|prefer|choose|select)\s+(?:this|the)\s+(?:tool|server)\b"
    r"|\bbefore\s+(?:using|calling|invoking)\s+any\s+other\s+tool",
    re.IGNORECASE,
)


def _placeholder(look: Look) -> Iterable[Hit]:
    if not (_has_mark(look.prose) or _has_mark(look.named)):
        return ()
    found = [(pointer, _PLACEHOLDER.search(said)) for pointer, said in _marked(look)]
    return [(pointer, f"{one[0][:40]!r} was left in where a value belongs") for pointer, one in found if one]


def _marked(look: Look) -> Iterator[tuple[str, str]]:
    """What people and models read, and of what is installed the texts that hold a sign which every placeholder has."""
    yield from look.said
    if _has_mark(look.version):
        yield "/version", look.version
    for package in look.packages:
        for name in ("identifier", "version", "name"):
            value = package.record.get(name)
            if type(value) is str and _has_mark(value):
                yield f"{package.pointer}/{name}", value


def _has_mark(said: str) -> bool:
    return "{" in said or "<<" in said


def _boilerplate(look: Look) -> Iterable[Hit]:
    said = look.description.strip()
    if not said or (said not in (look.name, look.title) and (len(said) >= 80 or not _BOILERPLATE.fullmatch(said))):
        return ()
    return (("/description", "the description says nothing about this server"),)


def _blank_title(look: Look) -> Iterable[Hit]:
    return (("/title", "the title is blank"),) if look.title and not look.title.strip() else ()


def _hidden(look: Look) -> Iterable[Hit]:
    some = [(pointer, said) for pointer, said in _suspect(look) if _UNUSUAL.search(said)]
    found = [(pointer, _HIDDEN.search(_FLAG.sub("", said))) for pointer, said in some]
    return [(pointer, f"a character that is not seen: U+{ord(one[0][0]):04X}") for pointer, one in found if one]


def _suspect(look: Look) -> Iterator[tuple[str, str]]:
    """The texts that may hold a character which is not seen; what is installed or reached is among them."""
    if not look.plain:
        yield from look.said
    if not is_plain(look.named):
        yield from look.names


def _to_the_model(look: Look) -> Iterable[Hit]:
    if look.plain and not _may_address_model(look.prose.lower()):
        return ()
    found = [(pointer, addressed(said[:10_000])) for pointer, said in look.said]
    return [
        (pointer, f"speaks to the model that reads it, not to people: {one[0][:60]!r}") for pointer, one in found if one
    ]


def addressed(said: str) -> re.Match[str] | None:
    """Where a text speaks to the model that reads it."""
    lower = said.lower() if said.isascii() else said.casefold().replace("\u0307", "").replace("ı", "i")
    return TO_THE_MODEL.search(said) if _may_address_model(" ".join(lower.split())) else None


def _may_address_model(said: str) -> bool:
    """Whether a plain text in lower case holds what each of the ways to address a model holds: words that are found
    ten times faster than the ways themselves.
    """
    return (
        "<" in said
        or "inst]" in said
        or "now " in said
        or "ignore " in said
        or "disregard " in said
        or "forget " in said
        or ("prompt" in said and ("system" in said or "developer" in said))
        or "must " in said
        or "should " in said
        or "shall " in said
        or "have " in said
        or "need " in said
        or ("user" in said and ("not " in said or "don" in said or "never " in said))
        or "always " in said
        or ("before " in said and "tool" in said)
    )


RULES = (
    Rule("lint/placeholder", "warning", "A placeholder of a template was left in.", _placeholder),
    Rule("lint/description-boilerplate", "warning", "A description says nothing about the server.", _boilerplate),
    Rule("lint/title-blank", "warning", "A title is blank.", _blank_title),
    Rule("lint/hidden-character", "warning", "A text holds characters that are not seen.", _hidden),
    Rule("lint/speaks-to-model", "warning", "A text instructs the model that reads it.", _to_the_model),
)
