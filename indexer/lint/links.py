"""Addresses beside the ways to run a server: repository, website, icons; and what stands at the record's top."""

import re
from collections.abc import Iterable

import orjson

from indexer.lint.rule import Hit, Look, Rule, inner, objects, text
from schemas.definition import SCHEMA_DATES

_CODE_HOSTS = {"github": "github.com", "gitlab": "gitlab.com"}
_REPOSITORY = re.compile(r"https?://(?:www\.)?(?:github|gitlab)\.com/[\w.-]+/[\w.-]+/?")
_FOLDER = r"(?!\.\.?(?:/|\Z))[a-zA-Z0-9\-_.]+"
_SUBFOLDER = re.compile(f"{_FOLDER}(?:/{_FOLDER})*", re.ASCII)
_WEBSITE = re.compile(r"https://[^\s\"'<>]+")
_NEWEST = SCHEMA_DATES[-2]
_PROVIDED = "io.modelcontextprotocol.registry/publisher-provided"
MOST_PROVIDED = 4096


def _outdated(look: Look) -> Iterable[Hit]:
    if look.schema is None or look.schema >= _NEWEST:
        return ()
    return (("/$schema", f"the schema of {look.schema} is declared; the newest is of {_NEWEST}"),)


def _repository(look: Look) -> Iterable[Hit]:
    repository = inner(look.record, "repository")
    url, source = text(repository, "url"), text(repository, "source")
    if not url and not source:
        return ()
    if source not in _CODE_HOSTS:
        return (("/repository/source", "the source of a repository is github or gitlab"),)
    if _REPOSITORY.fullmatch(url) is None or _CODE_HOSTS[source] not in url:
        return (("/repository/url", f"this is not the address of a repository at {_CODE_HOSTS[source]}"),)
    return ()


def _subfolder(look: Look) -> Iterable[Hit]:
    subfolder = text(inner(look.record, "repository"), "subfolder")
    if not subfolder or _SUBFOLDER.fullmatch(subfolder):
        return ()
    return (("/repository/subfolder", "a subfolder is a relative path, without '..' and without '/' at its ends"),)


def _website(look: Look) -> Iterable[Hit]:
    name = "websiteUrl" if "websiteUrl" in look.record else "website_url"
    website = text(look.record, name)
    if not website or _WEBSITE.fullmatch(website):
        return ()
    return ((f"/{name}", "a website is an https:// address without spaces and quotes"),)


def _icon(look: Look) -> Iterable[Hit]:
    if "icons" not in look.record:
        return ()
    sources = [(number, text(icon, "src")) for number, icon in objects(look.record, "icons")]
    return [
        (f"/icons/{number}/src", "an icon is an https:// address")
        for number, src in sources
        if src and not src.startswith("https://")
    ]


def _provided(look: Look) -> Iterable[Hit]:
    provided = inner(look.record, "_meta").get(_PROVIDED)
    if provided is None:
        return ()
    try:
        size = len(orjson.dumps(provided))
    except TypeError:
        return ()
    if size <= MOST_PROVIDED:
        return ()
    return (("/_meta", f"what the publisher provides takes {size:,} bytes; the registry takes {MOST_PROVIDED:,}"),)


RULES = (
    Rule("lint/schema-outdated", "info", "An older schema than the newest is declared.", _outdated),
    Rule(
        "lint/repository-address",
        "warning",
        "A repository is not at the GitHub or GitLab it says.",
        _repository,
    ),
    Rule("lint/repository-subfolder", "warning", "A repository's subfolder is no plain relative path.", _subfolder),
    Rule("lint/website-address", "warning", "A website has no plain https address.", _website),
    Rule("lint/icon-address", "warning", "An icon has no https address.", _icon),
    Rule("lint/publisher-provided-size", "warning", "What the publisher provides takes over 4,096 bytes.", _provided),
)
