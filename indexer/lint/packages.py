"""Packages: identifiers, versions, hashes, transports and arguments. Hosts of package registries are not compared."""

import re
from collections.abc import Iterator
from typing import Any

from indexer.lint.naming import RESERVED, is_range
from indexer.lint.rule import Hit, Json, Look, Rule, inner, objects, text
from schemas.definition import schema_date

_VARIABLE = re.compile(r"\{([A-Za-z0-9_.-]+)\}")
_UNNAMED = re.compile(r"[<> $]")
_BY_VERSION = ("npm", "pypi", "nuget")
_OCI_BY_IDENTIFIER = "2025-10-11"
"""Schemas of before asked images for a version, too."""
_WITHOUT_HASH = (*_BY_VERSION, "oci")


def kind(package: Json) -> str:
    """A package's registry type."""
    return text(package, "registryType", "registry_type", "registry_name")


def _nothing(look: Look) -> Iterator[Hit]:
    if not look.packages and not look.remotes:
        yield "", "there is neither a package to install nor a remote to reach"


def _duplicate(look: Look) -> Iterator[Hit]:
    if len(look.packages) < 2:
        return
    seen: set[Any] = set()
    for pointer, package in look.packages:
        transport = inner(package, "transport")
        key = (kind(package), text(package, "identifier", "name"), text(package, "version"), text(transport, "type"))
        if key in seen:
            yield pointer, f"the package {key[1][:60]!r} is listed twice with the same version and transport"
        seen.add(key)


def _identifier(look: Look) -> Iterator[Hit]:
    for pointer, package in look.packages:
        if " " in text(package, "identifier"):
            yield f"{pointer}/identifier", "an identifier has no spaces"


def _version(look: Look) -> Iterator[Hit]:
    for pointer, package in look.packages:
        version = text(package, "version")
        if version.lower() == RESERVED:
            yield f"{pointer}/version", "'latest' is no version: what is installed changes without a word"
        elif version and is_range(version):
            yield f"{pointer}/version", f"{version[:40]!r} names a range, not one version"


def _unversioned(look: Look) -> Iterator[Hit]:
    for pointer, package in look.packages:
        if kind(package) in _BY_VERSION and not text(package, "version"):
            yield pointer, "a package of this type needs a version"


def _oci(look: Look) -> Iterator[Hit]:
    if (schema_date(look.record.get("$schema")) or "") < _OCI_BY_IDENTIFIER:
        return
    for pointer, package in look.packages:
        if kind(package) == "oci" and text(package, "version"):
            yield f"{pointer}/version", "an image's version stands in its identifier"


def _hash(look: Look) -> Iterator[Hit]:
    for pointer, package in look.packages:
        of_type, found = kind(package), text(package, "fileSha256", "file_sha256")
        if of_type == "mcpb" and not found:
            yield pointer, "a bundle needs the SHA-256 of its file"
        elif found and of_type in _WITHOUT_HASH:
            yield pointer, "a package of this type has no file whose hash could be checked"


def _bundle(look: Look) -> Iterator[Hit]:
    for pointer, package in look.packages:
        identifier = text(package, "identifier")
        if kind(package) == "mcpb" and not (identifier.startswith("https://") and "mcp" in identifier.lower()):
            yield f"{pointer}/identifier", "a bundle's identifier is an https:// address with 'mcp' in it"


def _transport(look: Look) -> Iterator[Hit]:
    for pointer, package in look.packages:
        transport = inner(package, "transport")
        of_type, url = text(transport, "type"), text(transport, "url")
        if of_type == "stdio" and url:
            yield f"{pointer}/transport/url", "stdio has no address"
        elif of_type in ("streamable-http", "sse") and not url:
            yield f"{pointer}/transport", f"{of_type} needs an address"


def _variable(look: Look) -> Iterator[Hit]:
    for pointer, package in look.packages:
        url = text(inner(package, "transport"), "url")
        if "{" not in url:
            continue
        known = set(_known(package))
        for name in _VARIABLE.findall(url):
            if name not in known:
                yield f"{pointer}/transport/url", f"nothing defines the variable {{{name[:40]}}}"


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
    for names in (("packageArguments", "package_arguments"), ("runtimeArguments", "runtime_arguments")):
        found += [(f"/{names[0]}/{number}", argument) for number, argument in objects(package, *names)]
    return found


def _argument(look: Look) -> Iterator[Hit]:
    for pointer, package in look.packages:
        for where, argument in _arguments(package):
            if text(argument, "type") == "named":
                name = text(argument, "name")
                if not name or _UNNAMED.search(name):
                    yield f"{pointer}{where}/name", "a named argument has a name, without spaces, '<', '>' and '$'"
                elif any(text(argument, key).startswith(name) for key in ("value", "default")):
                    yield f"{pointer}{where}", "the value of a named argument does not repeat its name"


RULES = (
    Rule("lint/nothing-to-run", "warning", "There are neither packages nor remotes.", _nothing),
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
    Rule("lint/bundle-address", "warning", "A bundle's identifier is no https address that names mcp.", _bundle),
    Rule("lint/package-transport", "warning", "A package's transport lacks its address, or stdio has one.", _transport),
    Rule("lint/package-variable", "warning", "A package's address uses a variable that nothing defines.", _variable),
    Rule("lint/argument-form", "warning", "A named argument has no plain name, or repeats it in its value.", _argument),
)
