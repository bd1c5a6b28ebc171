"""The environment, read."""

from pathlib import Path

import pytest

from indexer.errors import ConfigurationError
from workers.settings import read_settings

VARIABLES = ("HOME", "SOURCES", "DATABASE_URL", "MEILI_URL", "MEILI_KEY", "MEILI_BINARY", "INDEX", "CONTACT")


@pytest.fixture(autouse=True)
def bare(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """An environment in which nothing is set."""
    monkeypatch.chdir(tmp_path)
    for name in VARIABLES:
        monkeypatch.delenv(f"MCP_INDEXER_{name}", raising=False)


def test_without_variables_everything_is_below_the_working_folder(tmp_path: Path) -> None:
    settings = read_settings()
    assert (settings.home, settings.sources) == (Path(".mcp-indexer"), Path("sources.toml"))
    assert (settings.index, settings.contact, settings.meili_url, settings.meili_key) == ("servers", None, None, None)
    assert settings.database == f"sqlite:///{tmp_path / '.mcp-indexer' / 'log.sqlite'}"


def test_an_empty_variable_is_one_that_is_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in VARIABLES:
        monkeypatch.setenv(f"MCP_INDEXER_{name}", "")
    settings = read_settings()
    assert (settings.index, settings.home, settings.database_url) == ("servers", Path(".mcp-indexer"), None)


def test_a_database_that_is_set_is_taken_as_it_is_and_shown_to_nobody(monkeypatch: pytest.MonkeyPatch) -> None:
    url = "postgresql+psycopg://indexer:secret@db.example/log"
    monkeypatch.setenv("MCP_INDEXER_DATABASE_URL", url)
    monkeypatch.setenv("MCP_INDEXER_MEILI_KEY", "master secret")
    settings = read_settings()
    assert settings.database == url
    assert "secret" not in repr(settings)


def test_variables_of_other_programs_are_left_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MCP_INDEXER_SOMETHING_NEW", "1")
    monkeypatch.setenv("INDEX", "others")
    assert read_settings().index == "servers"


@pytest.mark.parametrize("index", ["servers", "Servers_2-b", "x" * 400])
def test_an_index_that_meilisearch_takes_is_taken(monkeypatch: pytest.MonkeyPatch, index: str) -> None:
    monkeypatch.setenv("MCP_INDEXER_INDEX", index)
    assert read_settings().index == index


@pytest.mark.parametrize(
    ("variable", "value"),
    [
        ("INDEX", "of/servers"),
        ("INDEX", "sérvers"),
        ("INDEX", "servers\n"),
        ("INDEX", "x" * 401),
        ("CONTACT", "two words"),
        ("CONTACT", "a\r\nHost: elsewhere"),
        ("CONTACT", "me@exämple.org"),
        ("CONTACT", "x" * 201),
    ],
)
def test_a_value_that_cannot_be_used_is_refused_by_its_variable(
    monkeypatch: pytest.MonkeyPatch, variable: str, value: str
) -> None:
    monkeypatch.setenv(f"MCP_INDEXER_{variable}", value)
    with pytest.raises(
        ConfigurationError, match=f"^MCP_INDEXER_{variable} cannot be used: .*; change it or unset it.$"
    ):
        read_settings()
