"""A generated server.json before it has a version: what is delivered and how, and the defects of its name."""

import random
from typing import Any, NamedTuple

from workers.sample.wire import snake_document
from workers.sample.words import AUDIENCES, SETTINGS, TOPICS, VERBS

SCHEMA = "https://static.modelcontextprotocol.io/schemas/{}/server.schema.json"
VERSION = "{version}"
"""Stands in texts where a version will stand."""

Document = dict[str, Any]

_DATES = ("2025-12-11", "2025-10-17", "2025-10-11", "2025-09-29", "2025-09-16", "2025-07-09")
_DATE_WEIGHTS = (60, 16, 3, 12, 7, 2)
_KINDS = ("remote", "npm", "pypi", "oci", "mcpb", "none", "nuget", "both")
_KIND_WEIGHTS = (45, 33, 14, 2, 2, 2, 1, 1)
_HINTS = {"npm": "npx", "pypi": "uvx", "oci": "docker", "nuget": "dnx"}
_SETTINGS = (0, 1, 2, 3, 5, 8, 12, 20, 27, 400)
_SETTING_WEIGHTS = (2600, 2800, 1600, 1000, 600, 500, 380, 260, 150, 3)
_DEFECTS = (
    None, "no repository", "long description", "empty schema", "no schema", "unknown schema", "no description",
    "latest package", "bad icon",
)  # fmt: skip
_DEFECT_WEIGHTS = (850, 95, 15, 10, 7, 3, 5, 10, 5)


_TOKEN = {
    "name": "Authorization",
    "description": "Bearer token of the account",
    "isRequired": True,
    "isSecret": True,
}


class Draft(NamedTuple):
    """A document without its version; what of it changes with the version is `packages`, which carry it."""

    document: Document
    packages: tuple[Document, ...]

    def at(self, version: str) -> Document:
        """The document of that version; parts that do not depend on it are shared."""
        made = self.document.copy()
        made["version"] = version
        if self.packages:
            made["packages"] = [_stamped(package, version) for package in self.packages]
        return made


def draft(rng: random.Random, name: str, handle: str, project: str) -> Draft:
    """What a name publishes, drawn anew."""
    date = rng.choices(_DATES, _DATE_WEIGHTS)[0]
    kind = rng.choices(_KINDS, _KIND_WEIGHTS)[0]
    document: Document = {"$schema": SCHEMA.format(date), "name": name, "description": sentence(rng)}
    if date >= "2025-10-11" and rng.random() < 0.4:
        document["title"] = project.replace("-", " ").title()
        if rng.random() < 0.3:
            document["icons"] = [
                {"src": f"https://{handle}.example/icon.png", "mimeType": "image/png", "sizes": ["64x64"]}
            ]
    if rng.random() < 0.5:
        document["websiteUrl"] = f"https://{handle}.example/{project}"
    if rng.random() < 0.9:
        document["repository"] = _repository(rng, handle, project)
    document["version"] = ""
    packages = _packages(rng, kind, date, handle, project)
    if packages:
        document["packages"] = packages
    if kind in ("remote", "both"):
        document["remotes"] = _remotes(rng, handle, project)
    _spoil(rng.choices(_DEFECTS, _DEFECT_WEIGHTS)[0], document, date)
    if date == "2025-07-09":
        document = snake_document(document)
    return Draft(document, tuple(document.get("packages", ())))


def sentence(rng: random.Random) -> str:
    """A description that fits."""
    subject = f"{_plural(rng.choice(TOPICS))} and {_plural(rng.choice(TOPICS))}"
    return f"{rng.choice(VERBS)} {subject} {rng.choice(AUDIENCES)}"


def _plural(word: str) -> str:
    if word.endswith("y") and word[-2] not in "aeiou":
        return word[:-1] + "ies"
    return word + ("es" if word.endswith(("s", "x", "ch")) else "s")


def _repository(rng: random.Random, handle: str, project: str) -> Document:
    if rng.random() < 0.03:
        return {"url": f"https://gitlab.com/{handle}/{project}", "source": "gitlab"}
    repository = {"url": f"https://github.com/{handle}/{project}", "source": "github"}
    if rng.random() < 0.05:
        repository["subfolder"] = f"packages/{project}"
    return repository


def _packages(rng: random.Random, kind: str, date: str, handle: str, project: str) -> list[Document]:
    if kind in ("remote", "none"):
        return []
    kind = "npm" if kind == "both" else kind
    bare = kind == "oci" and date >= "2025-10-11"
    package: Document = {"registryType": kind, "identifier": _identifier(kind, bare, handle, project)}
    if not bare:
        package["version"] = VERSION
    if kind == "mcpb":
        package["fileSha256"] = f"{rng.getrandbits(256):064x}"
    elif rng.random() < 0.4:
        package["runtimeHint"] = _HINTS[kind]
    package["transport"] = {"type": "stdio"}
    if rng.random() < 0.03:
        package["transport"] = {"type": "streamable-http", "url": "http://127.0.0.1:8931/mcp"}
    settings = rng.choices(_SETTINGS, _SETTING_WEIGHTS)[0]
    if settings:
        package["environmentVariables"] = [_setting(project, index) for index in range(settings)]
    return [package]


def _identifier(kind: str, bare: bool, handle: str, project: str) -> str:
    if kind == "oci":
        return f"ghcr.io/{handle}/{project}:{VERSION}" if bare else f"{handle}/{project}"
    if kind == "mcpb":
        return f"https://github.com/{handle}/{project}/releases/download/{VERSION}/{project}-mcp.mcpb"
    if kind == "npm":
        return f"@{handle}/{project}"
    return f"{handle.title()}.{project.title()}" if kind == "nuget" else f"{handle}-{project}"


def _setting(project: str, index: int) -> Document:
    """One environment variable; all of one project differ."""
    suffix, description, secret = SETTINGS[index % len(SETTINGS)]
    number = "" if index < len(SETTINGS) else f"_{index}"
    name = f"{project.upper().replace('-', '_')}_{suffix}{number}"
    setting: Document = {"name": name, "description": description, "format": "string"}
    return {**setting, "isRequired": True, "isSecret": True} if secret else setting


def _remotes(rng: random.Random, handle: str, project: str) -> list[Document]:
    remote: Document = {"type": "streamable-http", "url": f"https://mcp.{handle}.example/{project}"}
    if rng.random() < 0.45:
        remote["headers"] = [_TOKEN]
    more = rng.choices((0, 1, 3, 12), (80, 18, 1.6, 0.4))[0]
    return [remote, *({"type": "sse", "url": f"https://mcp.{handle}.example/{project}/sse/{n}"} for n in range(more))]


def _spoil(defect: str | None, document: Document, date: str) -> None:
    """Give a document the defect, or another where it has no place for this one."""
    packages = document.get("packages")
    if defect == "long description":
        document["description"] += ", and " + document["description"].lower() + ", each time with its sources and dates"
    elif defect == "no description":
        del document["description"]
    elif defect == "no schema":
        del document["$schema"]
    elif defect == "empty schema":
        document["$schema"] = ""
    elif defect == "unknown schema":
        document["$schema"] = SCHEMA.format("2025-11-31")
    elif defect == "latest package" and packages:
        packages[0]["version"] = "latest"
    elif defect == "bad icon" and date >= "2025-10-11":
        document["icons"] = [{"src": "https://icons.example/wide.png", "sizes": ["large"]}]
    elif defect:
        document["repository"] = {}


def _stamped(package: Document, version: str) -> Document:
    stamped = package.copy()
    if stamped.get("version") == VERSION:
        stamped["version"] = version
    if VERSION in stamped["identifier"]:
        stamped["identifier"] = stamped["identifier"].replace(VERSION, version)
    return stamped
