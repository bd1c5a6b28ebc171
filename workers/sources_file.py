"""The sources file: what operators configure, checked before anything is done."""

import re
import tomllib
from datetime import timedelta
from pathlib import Path
from typing import Annotated, Any
from urllib.parse import urlsplit

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
)

from indexer.errors import ConfigurationError
from schemas.events import SourceConfigured
from schemas.names import SourceName
from workers.kinds import KINDS

LONGEST_INTERVAL = timedelta(days=3653)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days", "w": "weeks"}


def interval(text: Any) -> timedelta:
    """An interval as the file writes it: a whole number and s, m, h, d or w. Raises ValueError."""
    found = re.fullmatch(r"([1-9]\d{0,8})([smhdw])", text) if isinstance(text, str) else None
    if found is None:
        raise ValueError('an interval is a whole number and s, m, h, d or w, such as "30m", "1h" or "1d"')
    time = timedelta(**{_UNITS[found[2]]: min(int(found[1]), 999_999)})
    if time > LONGEST_INTERVAL:
        raise ValueError("an interval is at most ten years")
    return time


def address(url: str) -> str:
    """A URL that can be asked, as it is. Raises ValueError."""
    parts = urlsplit(url)
    if not parts.hostname or parts.port == 0:
        raise ValueError("an address is https:// or http://, a host, and a port if need be")
    if parts.username is not None or parts.password is not None:
        raise ValueError("a secret in it would be shown; put it into the environment and name it in token_env")
    parts.hostname.encode("idna")
    return url


def host(text: str) -> str:
    """A host, with a port if need be. Raises ValueError."""
    try:
        found = urlsplit(address(f"https://{text}"))
    except ValueError:
        found = None
    if found is None or found.netloc != text or "@" in text:
        raise ValueError('a host is written as "registry.example" or "registry.example:8443"')
    return text.lower()


def interval_text(time: timedelta) -> str:
    """An interval as the file would write it, in its largest whole unit."""
    seconds = int(time.total_seconds())
    sizes = (("w", 604_800), ("d", 86_400), ("h", 3_600), ("m", 60), ("s", 1))
    unit, size = next((unit, size) for unit, size in sizes if seconds % size == 0)
    return f"{seconds // size}{unit}"


Interval = Annotated[timedelta, BeforeValidator(interval)]


class SourceConfig(BaseModel):
    """One `[[source]]` of the file. `options` are what the kind defines itself."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: Annotated[str, Field(pattern=r"^[a-z0-9-]{1,64}$")]
    kind: str
    url: Annotated[str, Field(pattern=r"^https?://[^\s/?#]+[^\s?#]*$"), AfterValidator(address)]
    every: Interval = timedelta(hours=1)
    slowest: Interval | None = None
    audit_every: Interval = timedelta(days=1)
    trust: Annotated[int, Field(ge=0, le=1_000)] = 50
    token_env: Annotated[str, Field(pattern=r"^[A-Za-z_][A-Za-z0-9_]*$")] | None = None
    requests_per_minute: Annotated[int, Field(ge=1, le=1_000_000)] = 120
    redirect_hosts: tuple[Annotated[str, AfterValidator(host)], ...] = ()
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    enabled: bool = True
    republish: bool = True
    options: dict[str, Any] = {}

    @field_validator("slowest")
    @classmethod
    def _slower_than_usual(cls, slowest: timedelta | None, others: ValidationInfo) -> timedelta | None:
        if slowest is not None and slowest < others.data.get("every", slowest):
            raise ValueError("it is how seldom a source may be asked, and so no less than every")
        return slowest

    def configured(self) -> SourceConfigured:
        """What the log remembers of it."""
        return SourceConfigured(
            source=SourceName(self.name),
            kind=self.kind,
            trust=self.trust,
            include=self.include,
            exclude=self.exclude,
            enabled=self.enabled,
            republish=self.republish,
        )


def read_sources(path: Path) -> list[SourceConfig]:
    """The configured sources. Raises ConfigurationError with what is wrong, where, and what to do."""
    try:
        with path.open("rb") as file:
            content = tomllib.load(file)
    except FileNotFoundError as error:
        raise ConfigurationError(
            f"There is no sources file at {path}; write one with a [[source]] (see README, Configuration), "
            "or set MCP_INDEXER_SOURCES to where it is."
        ) from error
    except OSError as error:
        raise ConfigurationError(
            f"The sources file {path} cannot be read: {error.strerror}; set MCP_INDEXER_SOURCES to one that can."
        ) from error
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"The sources file {path} is not TOML: {error}.") from error
    unknown = sorted(content.keys() - {"source"})
    if unknown:
        raise ConfigurationError(f"{path} has {unknown[0]!r} at its top; it holds [[source]] tables and nothing else.")
    entries = content.get("source", [])
    if not isinstance(entries, list) or not entries:
        raise ConfigurationError(f"{path} configures no source; add a [[source]] with name, kind and url.")
    sources = [_source(path, number, entry) for number, entry in enumerate(entries, start=1)]
    seen: set[str] = set()
    for source in sources:
        if source.name in seen:
            raise ConfigurationError(f"{path} has two sources named {source.name!r}; give one of them another name.")
        seen.add(source.name)
    return sources


def chosen(sources: list[SourceConfig], names: list[str], *, all_of_them: bool = False) -> list[SourceConfig]:
    """The named sources; without names those that are enabled, or `all_of_them`.

    Raises ConfigurationError for a name that is not configured.
    """
    known = {source.name: source for source in sources}
    for name in names:
        if name not in known:
            raise ConfigurationError(f"There is no source {name!r}; configured are {', '.join(sorted(known))}.")
    if names:
        return [known[name] for name in dict.fromkeys(names)]
    return [source for source in sources if source.enabled or all_of_them]


def _source(path: Path, number: int, entry: Any) -> SourceConfig:
    if not isinstance(entry, dict):
        raise ConfigurationError(f"{path}, source {number}: write it as a [[source]] table.")
    where = f"{path}, source {entry.get('name', number)!r}"
    known = {key: value for key, value in entry.items() if key in SourceConfig.model_fields and key != "options"}
    rest = {key: value for key, value in entry.items() if key not in known}
    _refuse_unknown_kind(where, entry.get("kind"))
    try:
        config = SourceConfig(**known)
    except ValidationError as error:
        raise ConfigurationError(f"{where}: {_problem(error)}.") from error
    try:
        KINDS[config.kind].Options.model_validate(rest)
    except ValidationError as error:
        raise ConfigurationError(f"{where}: {_problem(error)}.") from error
    return config.model_copy(update={"options": rest})


def _refuse_unknown_kind(where: str, kind: Any) -> None:
    if isinstance(kind, str) and kind not in KINDS:
        raise ConfigurationError(f"{where}: kind {kind!r} is not known; known are {', '.join(sorted(KINDS))}.")


_WANTED = {
    "name": "a name is 1 to 64 small letters, digits and -",
    "url": "an address is https:// or http://, a host, a port if need be and a path, without ? and #",
    "token_env": "it is the name of an environment variable, not the token",
}


def _problem(error: ValidationError) -> str:
    """The first of pydantic's findings as half a sentence."""
    problem = error.errors()[0]
    key = ".".join(str(part) for part in problem["loc"])
    if problem["type"] == "missing":
        return f"{key!r} is missing"
    if problem["type"] == "extra_forbidden":
        return f"{key!r} is no key of a source of this kind; README, Configuration, lists them"
    if problem["type"] == "tuple_type":
        problem["msg"] = 'it is a list, such as ["one", "another"]'
    if problem["type"] == "string_pattern_mismatch":
        problem["msg"] = _WANTED.get(key, problem["msg"])
    said = problem["msg"].removeprefix("Value error, ")
    given = "" if "@" in str(problem["input"]) else f" = {problem['input']!r}"
    return f"{key}{given} cannot be used: {said[:1].lower()}{said[1:]}"
