"""Packages: identifiers, versions, hashes, transports and arguments. Hosts of package registries are not compared."""

import re
from collections.abc import Iterable, Iterator
from typing import Any

from indexer.lint.naming import RESERVED, is_range
from indexer.lint.rule import Hit, Json, Look, Package, Rule, inner, objects, text

_VARIABLE = re.compile(r"\{([A-Za-z0-9_.-]+)\}")
_UNNAMED = re.compile(r"[<> $]")
_BY_VERSION = ("npm", "pypi", "nuget")
_OCI_BY_IDENTIFIER = "2025-10-11"
"""Schemas of before asked images for a version, too."""
TYPES = ("npm", "pypi", "oci", "nuget", "mcpb", "cargo")
_BY_IDENTIFIER = ("oci", "mcpb")
_RELEASED = re.compile(
    r"https://(?:www\.)?(?:github\.com/[^/]+/[^/]+/releases/download/[^/]+/[^/]+"
    r"|gitlab\.com/.+/-/(?:releases/[^/]+/downloads/.+|package_files/\d+/download))$",
    re.IGNORECASE,
)
_WITHOUT_HASH = (*_BY_VERSION, "oci")
_OF_PACKAGE, _OF_RUNTIME = ("packageArguments", "package_arguments"), ("runtimeArguments", "runtime_arguments")
_ARGUMENTS = {*_OF_PACKAGE, *_OF_RUNTIME}


def _nothing(look: Look) -> Iterable[Hit]:
    if look.packages or look.remotes:
        return ()
    return (("", "there is neither a package to install nor a remote to reach"),)


def _duplicate(look: Look) -> Iterable[Hit]:
    return _repeated(look) if len(look.packages) > 1 else ()


def _repeated(look: Look) -> Iterator[Hit]:
    seen: set[Any] = set()
    for one in look.packages:
        key = (one.kind, text(one.record, "identifier", "name"), one.version, one.transport)
        if key in seen:
            yield one.pointer, f"the package {key[1][:60]!r} is listed twice with the same version and transport"
        seen.add(key)


def _identifier(look: Look) -> Iterable[Hit]:
    return [
        (f"{one.pointer}/identifier", "an identifier has no spaces") for one in look.packages if " " in one.identifier
    ]


def _version(look: Look) -> Iterator[Hit]:
    for one in look.packages:
        if one.version.lower() == RESERVED:
            yield f"{one.pointer}/version", "'latest' is no version: what is installed changes without a word"
        elif one.version and is_range(one.version):
            yield f"{one.pointer}/version", f"{one.version[:40]!r} names a range, not one version"


def _unversioned(look: Look) -> Iterable[Hit]:
    return [
        (one.pointer, "a package of this type needs a version")
        for one in look.packages
        if not one.version and one.kind in _BY_VERSION
    ]


def _oci(look: Look) -> Iterable[Hit]:
    images = [one for one in look.packages if one.kind == "oci" and one.version]
    if not images or not _by_identifier(look):
        return ()
    return [(f"{one.pointer}/version", "an image's version stands in its identifier") for one in images]


def _hash(look: Look) -> Iterator[Hit]:
    for one in look.packages:
        found = text(one.record, "fileSha256", "file_sha256")
        if one.kind == "mcpb" and not found:
            yield one.pointer, "a bundle needs the SHA-256 of its file"
        elif found and one.kind in _WITHOUT_HASH:
            yield one.pointer, "a package of this type has no file whose hash could be checked"


def _bundle(look: Look) -> Iterable[Hit]:
    return [
        (f"{one.pointer}/identifier", "a bundle is a release's file at GitHub or GitLab, and its address names mcp")
        for one in look.packages
        if one.kind == "mcpb" and not (_RELEASED.match(one.identifier) and "mcp" in one.identifier.lower())
    ]


def _type(look: Look) -> Iterable[Hit]:
    return [
        (f"{one.pointer}/registryType", f"{one.kind[:40]!r} is none of {', '.join(TYPES)}")
        for one in look.packages
        if one.kind not in TYPES
    ]


def _base(look: Look) -> Iterable[Hit]:
    return [
        (f"{one.pointer}/registryBaseUrl", "a package of this type is found by its identifier alone")
        for one in look.packages
        if one.kind in _BY_IDENTIFIER and text(one.record, "registryBaseUrl", "registry_base_url")
        if one.kind != "oci" or _by_identifier(look)
    ]


def _by_identifier(look: Look) -> bool:
    """Whether the declared schema lets an image be named by its identifier alone."""
    return (look.schema or "") >= _OCI_BY_IDENTIFIER


def _transport(look: Look) -> Iterator[Hit]:
    for one in look.packages:
        if one.transport == "stdio" and one.url:
            yield f"{one.pointer}/transport/url", "stdio has no address"
        elif one.transport in ("streamable-http", "sse") and not one.url:
            yield f"{one.pointer}/transport", f"{one.transport} needs an address"


def _variable(look: Look) -> Iterator[Hit]:
    for one in look.packages:
        if "{" not in one.url:
            continue
        known = set(_known(one.record))
        for name in _VARIABLE.findall(one.url):
            if name not in known:
                yield f"{one.pointer}/transport/url", f"nothing defines the variable {{{name[:40]}}}"


def _known(package: Json) -> Iterator[str]:
    """What an address of a package may use: its environment variables, arguments and their values."""
    for _, variable in objects(package, "environmentVariables", "environment_variables"):
        yield text(variable, "name")
    for _, argument in _arguments(package):
        yield from (
            text(argument, "name"),
            text(argument, "name").lstrip("-"),
            text(argument, "valueHint", "value_hint"),
        )
        yield from inner(argument, "variables")
    yield from inner(inner(package, "transport"), "variables")


def _arguments(package: Json) -> list[tuple[str, Json]]:
    found = []
    for names in _OF_PACKAGE, _OF_RUNTIME:
        name = next((one for one in names if one in package), names[0])
        found += [(f"/{name}/{number}", argument) for number, argument in objects(package, name)]
    return found


def _argument(look: Look) -> Iterable[Hit]:
    return [hit for one in look.packages if one.record.keys() & _ARGUMENTS for hit in _of_arguments(one)]


def _of_arguments(package: Package) -> Iterator[Hit]:
    for where, argument in _arguments(package.record):
        if text(argument, "type") == "named":
            name = text(argument, "name")
            if not name or _UNNAMED.search(name):
                yield f"{package.pointer}{where}/name", "a named argument has a name, without spaces, '<', '>' and '$'"
            elif any(text(argument, key).startswith(name) for key in ("value", "default")):
                yield f"{package.pointer}{where}", "the value of a named argument does not repeat its name"


NOTHING = Rule("lint/nothing-to-run", "warning", "There are neither packages nor remotes.", _nothing)
OF_PACKAGES = (
    Rule("lint/duplicate-package", "warning", "A package is listed twice with one version and transport.", _duplicate),
    Rule("lint/package-identifier", "warning", "A package's identifier has spaces.", _identifier),
    Rule("lint/package-version", "warning", "A package's version is latest, or a range.", _version),
    Rule("lint/package-unversioned", "warning", "A package of a type that needs a version has none.", _unversioned),
    Rule("lint/oci-version", "warning", "An image has a version beside its identifier.", _oci),
    Rule(
        "lint/package-hash",
        "warning",
        "A bundle has no hash, or another package has one.",
        _hash,
    ),
    Rule("lint/package-type", "warning", "A package is of a type that the official registry does not know.", _type),
    Rule("lint/package-base-url", "warning", "An image or bundle says at which registry it is.", _base),
    Rule("lint/bundle-address", "warning", "A bundle is no release's file of GitHub or GitLab named mcp.", _bundle),
    Rule("lint/package-transport", "warning", "A package's transport lacks its address, or stdio has one.", _transport),
    Rule("lint/package-variable", "warning", "A package's address uses a variable that nothing defines.", _variable),
    Rule("lint/argument-form", "warning", "A named argument has no plain name, or repeats it in its value.", _argument),
)
"""What can be said of a package; in vain where there is none."""
RULES = (NOTHING, *OF_PACKAGES)
