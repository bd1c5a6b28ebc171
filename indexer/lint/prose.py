"""Texts that people and models read: empty words, hidden characters, and words meant for the reading model."""

import re
from collections.abc import Iterator

from indexer.lint.rule import Hit, Look, Rule

_PLACEHOLDER = re.compile(r"\$\{[A-Za-z_][^{}\s]{0,60}\}|<<[^<>\n]{1,60}>>|\{\{[^{}\n]{1,60}\}\}")
_MARKS = ("${", "<<", "{{")
_HIDDEN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180e\u200b\u200e\u200f"
    "\u202a-\u202e\u2060-\u2064\u2066-\u206f\u3164\ufeff\uffa0\ufff9-\ufffb\ud800-\udfff\U000e0000-\U000e007f]"
)
_BOILERPLATE = re.compile(
    r"(?:(?:a|an|my|the|your|new|simple|sample|example|test)\s+)*(?:mcp|model context protocol)[\s-]*(?:server)?\.?"
    r"|(?:a\s+)?(?:short\s+)?description(?:\s+of\s+(?:my|your|the)\s+(?:mcp\s+)?server)?(?:\s+here)?\.?"
    r"|todo:?.*|tbd\.?|n/?a|none|null|undefined|lorem ipsum.*|hello,? world\.?|test(?:ing)?\.?|-+|\.+",
    re.IGNORECASE,
)
_TO_THE_MODEL = re.compile(
    r"\b(?:ignore|disregard|forget)\s+(?:all\s+|any\s+|the\s+|your\s+)*(?:previous|prior|above|earlier|preceding|other)\b"
    r"|\b(?:reveal|print|show|override|replace|repeat)\s+(?:your|the)\s+(?:system|developer)\s+prompt\b"
    r"|</?\s*(?:important|system|instructions?|assistant|secret)\s*>"
    r"|\b(?:you|the\s+(?:ai|assistant|model|agent|llm))\s+(?:must|should|shall|have\s+to|need\s+to)\s+"
    r"(?:always|never|first|only|call|use|invoke|run|read|send|not)\b"
    r"|\b(?:do\s+not|don'?t|never)\s+(?:tell|inform|mention|reveal|show|ask)\s+(?:this\s+)?(?:to\s+)?(?:the\s+)?user\b"
    r"|\balways\s+(?:call|use|invoke|prefer|choose|select)\s+(?:this|the)\s+(?:tool|server)\b"
    r"|\bbefore\s+(?:using|calling|invoking)\s+any\s+other\s+tool",
    re.IGNORECASE,
)
_MODEL_WORDS = re.compile(
    r"ignore|disregard|forget|prompt|<|must|should|shall|have to|need to|user|always|before", re.I
)


def _placeholder(look: Look) -> Iterator[Hit]:
    for pointer, said in (*look.said, ("/version", look.version), *_of_packages(look)):
        if any(mark in said for mark in _MARKS) and (found := _PLACEHOLDER.search(said)):
            yield pointer, f"{found[0][:40]!r} was left in where a value belongs"


def _of_packages(look: Look) -> Iterator[tuple[str, str]]:
    for pointer, package in look.packages:
        for name in ("identifier", "version", "name"):
            value = package.get(name)
            if type(value) is str:
                yield f"{pointer}/{name}", value


def _boilerplate(look: Look) -> Iterator[Hit]:
    said = look.description.strip()
    if said and (said in (look.name, look.title) or (len(said) < 80 and _BOILERPLATE.fullmatch(said))):
        yield "/description", "the description says nothing about this server"


def _blank_title(look: Look) -> Iterator[Hit]:
    if look.title and not look.title.strip():
        yield "/title", "the title is blank"


def _hidden(look: Look) -> Iterator[Hit]:
    if look.prose.isascii() and look.prose.isprintable():
        return
    for pointer, said in look.said:
        if found := _HIDDEN.search(said):
            yield pointer, f"a character that is not seen: U+{ord(found[0]):04X}"


def _to_the_model(look: Look) -> Iterator[Hit]:
    if _MODEL_WORDS.search(look.prose) is None:
        return
    for pointer, said in look.said:
        if found := _TO_THE_MODEL.search(said[:10_000]):
            yield pointer, f"speaks to the model that reads it, not to people: {found[0][:60]!r}"


RULES = (
    Rule("lint/placeholder", "warning", "A placeholder of a template was left in.", _placeholder),
    Rule("lint/description-boilerplate", "warning", "A description says nothing about the server.", _boilerplate),
    Rule("lint/title-blank", "warning", "A title is blank.", _blank_title),
    Rule("lint/hidden-character", "warning", "A text holds characters that are not seen.", _hidden),
    Rule("lint/speaks-to-model", "warning", "A text instructs the model that reads it.", _to_the_model),
)
