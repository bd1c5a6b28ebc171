"""The environment, read once.

Every variable begins with MCP_INDEXER_. Secrets stay in the environment: a source names the variable that holds its
token.
"""

import re
from pathlib import Path
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from indexer.errors import ConfigurationError

EMBEDDED_BROKER = "filesystem://localhost//"


class Settings(BaseSettings):
    """What an operator sets in the environment."""

    model_config = SettingsConfigDict(env_prefix="MCP_INDEXER_", env_ignore_empty=True, extra="ignore")

    home: Path = Path(".mcp-indexer")
    sources: Path = Path("sources.toml")
    database_url: SecretStr | None = None
    broker_url: SecretStr | None = None
    meili_url: str | None = Field(default=None, pattern=r"^https?://[^\s/?#]+(/[^\s?#]*)?$")
    meili_key: SecretStr | None = None
    meili_binary: str | None = None
    index: str = Field(default="servers", pattern=r"^[A-Za-z0-9_-]{1,400}$")
    metrics_port: int | None = Field(default=None, ge=1, le=65_535)
    metrics_host: str = "127.0.0.1"
    contact: str | None = Field(default=None, max_length=200, pattern=r"^[\x21-\x7e]+$")

    @field_validator("meili_url")
    @classmethod
    def _has_a_port(cls, url: str | None) -> str | None:
        if url is not None and urlsplit(url).port == 0:  # which raises where it is no number, or too large
            raise ValueError("no port")
        return url

    @field_validator("meili_key")
    @classmethod
    def _fits_a_header(cls, key: SecretStr | None) -> SecretStr | None:
        if key is not None and not re.fullmatch(r"[\x20-\x7e]+", key.get_secret_value()):
            raise ValueError("no header")
        return key

    @property
    def database(self) -> str:
        """The database's URL: the one that is set, or SQLite under home."""
        if self.database_url is not None:
            return self.database_url.get_secret_value()
        return f"sqlite:///{self.home.resolve() / 'log.sqlite'}"

    @property
    def broker(self) -> str:
        """The broker's URL: the one that is set, or the folder under home that needs none to be installed."""
        return EMBEDDED_BROKER if self.broker_url is None else self.broker_url.get_secret_value()

    @property
    def publishes(self) -> bool:
        """Whether there is an exchange: messages that are files under home reach nobody else."""
        return not self.broker.startswith("filesystem")


_WANTED = {
    "meili_url": "it is the address of a Meilisearch, such as http://127.0.0.1:7700",
    "meili_key": "a key is letters, digits and signs of ASCII",
    "index": "an index's uid is letters, digits, - and _",
    "metrics_port": "it is a port from 1 to 65535",
    "contact": "it is a URL or an address without spaces, in ASCII, of at most 200 characters",
}


def read_settings() -> Settings:
    """The settings of this process. Raises ConfigurationError naming the variable that cannot be used."""
    try:
        return Settings()
    except ValidationError as error:
        problem = error.errors()[0]
        name = str(problem["loc"][0])
        wanted = _WANTED.get(name, problem["msg"])
        raise ConfigurationError(
            f"MCP_INDEXER_{name.upper()} cannot be used: {wanted}; change it or unset it."
        ) from error
