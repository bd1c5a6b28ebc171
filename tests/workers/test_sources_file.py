"""The operators' file: what it may hold, and what is said where it holds something else."""

from contextlib import suppress
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from indexer.errors import ConfigurationError
from workers.sources_file import SourceConfig, chosen, interval, read_sources

LEAST = '[[source]]\nname = "official"\nkind = "registry"\nurl = "https://registry.example"\n'


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "sources.toml"


def written(file: Path, text: str) -> list[SourceConfig]:
    file.write_text(text)
    return read_sources(file)


def refusal(file: Path, text: str) -> str:
    with pytest.raises(ConfigurationError) as raised:
        written(file, text)
    return str(raised.value)


@pytest.mark.parametrize(
    ("text", "meant"),
    [
        ("1s", timedelta(seconds=1)),
        ("90s", timedelta(seconds=90)),
        ("30m", timedelta(minutes=30)),
        ("1h", timedelta(hours=1)),
        ("36h", timedelta(hours=36)),
        ("1d", timedelta(days=1)),
        ("2w", timedelta(weeks=2)),
    ],
)
def test_an_interval_is_a_number_and_a_unit(text: str, meant: timedelta) -> None:
    assert interval(text) == meant


@pytest.mark.parametrize(
    "value",
    [
        *("", "h", "1", "0h", "01h", "-1h", "+1h", "1.5h", "1 h", " 1h", "1h ", "1h30m", "1H", "1y", "hourly", "٣h"),
        *("1h\n", "999999999w", "9" * 400 + "s", 60, 1.0, True, None, ["1h"]),
    ],
)
def test_what_is_no_interval_is_refused(value: Any) -> None:
    with pytest.raises(ValueError, match="an interval"):
        interval(value)


@given(st.text(max_size=12))
def test_any_text_is_an_interval_or_refused(text: str) -> None:
    with suppress(ValueError):
        assert interval(text) > timedelta(0)


def test_the_least_that_a_source_needs_is_name_kind_and_url(file: Path) -> None:
    (source,) = written(file, LEAST)
    assert (source.name, source.kind, source.url) == ("official", "registry", "https://registry.example")
    assert (source.every, source.audit_every) == (timedelta(hours=1), timedelta(days=1))
    assert (source.requests_per_minute, source.token_env, source.enabled, source.republish) == (120, None, True, True)
    assert (source.include, source.exclude, source.options) == ((), (), {})


def test_everything_that_a_source_may_say_is_read(file: Path) -> None:
    more = """
    every = "15m"
    slowest = "6h"
    audit_every = "12h"
    trust = 100
    token_env = "REGISTRY_TOKEN"
    requests_per_minute = 30
    redirect_hosts = ["Mirror.example", "mirror.example:8443"]
    include = ["io.github.*", "com.example/*"]
    exclude = ["io.github.spam/*"]
    enabled = false
    republish = false
    page_size = 50
    path = "/v0/servers"
    """
    (source,) = written(file, LEAST + more)
    assert (source.every, source.audit_every) == (timedelta(minutes=15), timedelta(hours=12))
    assert (source.trust, source.token_env, source.requests_per_minute) == (100, "REGISTRY_TOKEN", 30)
    assert source.slowest == timedelta(hours=6)
    assert source.redirect_hosts == ("mirror.example", "mirror.example:8443")
    assert (source.include, source.exclude) == (("io.github.*", "com.example/*"), ("io.github.spam/*",))
    assert (source.enabled, source.republish) == (False, False)
    assert source.options == {"page_size": 50, "path": "/v0/servers"}


def test_what_the_log_remembers_of_a_source_holds_neither_url_nor_token(file: Path) -> None:
    (source,) = written(file, LEAST + 'token_env = "REGISTRY_TOKEN"\ntrust = 7\ninclude = ["a*"]\n')
    said = source.configured()
    assert (said.source, said.kind, said.trust, said.include, said.enabled) == (
        "official",
        "registry",
        7,
        ("a*",),
        True,
    )
    assert "registry.example" not in said.model_dump_json()
    assert "REGISTRY_TOKEN" not in said.model_dump_json()


def test_sources_are_given_in_the_order_of_the_file(file: Path) -> None:
    names = ["zeta", "alpha", "mid-1"]
    assert [s.name for s in written(file, "".join(LEAST.replace("official", name) for name in names))] == names


@pytest.mark.parametrize(
    "url",
    [
        "https://registry.example",
        "http://127.0.0.1:8080/base/",
        "https://registry.example:443/a/b",
        "http://[::1]:8080",
        "https://regıstry.example/ü",
    ],
)
def test_an_address_that_can_be_asked_is_taken(file: Path, url: str) -> None:
    (source,) = written(file, LEAST.replace("https://registry.example", url))
    assert source.url == url


@pytest.mark.parametrize(
    "url",
    [
        *("", "registry.example", "ftp://registry.example", "https://", "https:///v0", "https://a b.example"),
        *("https://registry.example?x=1", "https://registry.example/#top", "http://[::1", "http://r.example:port"),
        *("http://r.example:65536", "http://r.example:0", "http://a..example", "http://:80", "file:///etc/passwd"),
    ],
)
def test_an_address_that_cannot_be_asked_is_refused(file: Path, url: str) -> None:
    said = refusal(file, LEAST.replace("https://registry.example", url))
    assert f"url = {url!r} cannot be used" in said


@pytest.mark.parametrize("name", ["", "Official", "two words", "ö", "a/b", "x" * 65])
def test_a_name_that_no_stream_can_have_is_refused(file: Path, name: str) -> None:
    assert f"name = {name!r} cannot be used" in refusal(file, LEAST.replace("official", name))


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ('every = "hourly"', "every = 'hourly' cannot be used: an interval is a whole number and s, m, h, d or w"),
        ("trust = 1001", "trust = 1001 cannot be used"),
        ('trust = "high"', "trust = 'high' cannot be used"),
        ("requests_per_minute = 0", "requests_per_minute = 0 cannot be used"),
        ('token_env = "a token"', "token_env = 'a token' cannot be used"),
        ("include = 'io.github.*'", "include = 'io.github.*' cannot be used"),
        ("include = [1]", "include.0 = 1 cannot be used"),
        ("enabled = 7", "enabled = 7 cannot be used"),
        (
            'slowest = "59m"',
            "slowest = '59m' cannot be used: it is how seldom a source may be asked, and so no",
        ),
        ('slowest = "often"', "slowest = 'often' cannot be used: an interval is"),
        ("redirect_hosts = ['https://a.example']", "redirect_hosts.0 = 'https://a.example' cannot be used: a host is"),
        ("redirect_hosts = ['a.example/x']", "redirect_hosts.0 = 'a.example/x' cannot be used"),
        ("redirect_hosts = ['me@a.example']", "redirect_hosts.0 cannot be used"),
        ("redirect_hosts = ['']", "redirect_hosts.0 = '' cannot be used"),
        ("colour = 'red'", "'colour' is no key of a source of this kind"),
        ("options = {}", "'options' is no key of a source of this kind"),
        ("page_size = 1001", "page_size = 1001 cannot be used"),
        ("path = 'v0'", "path = 'v0' cannot be used"),
    ],
)
def test_a_key_that_cannot_be_used_is_named_with_the_file_and_the_source(file: Path, line: str, said: str) -> None:
    found = refusal(file, LEAST.replace("official", "mine") + line)
    assert found.startswith(f"{file}, source 'mine': {said}")
    assert "\n" not in found


def test_a_source_without_a_name_is_spoken_of_by_its_number(file: Path) -> None:
    assert refusal(file, LEAST + '[[source]]\nkind = "registry"').startswith(f"{file}, source 2: 'name' is missing")


@given(st.binary(max_size=200))
def test_any_file_is_read_or_refused(tmp_path_factory: pytest.TempPathFactory, content: bytes) -> None:
    file = tmp_path_factory.getbasetemp() / "any.toml"
    file.write_bytes(content)
    with pytest.raises(ConfigurationError, match=r"any\.toml"):
        read_sources(file)


VALUES = st.none() | st.booleans() | st.integers() | st.text(max_size=20) | st.lists(st.text(max_size=5), max_size=2)


@given(st.sampled_from([*SourceConfig.model_fields, "page_size", "since", "paging"]), VALUES)
def test_any_value_of_any_key_is_taken_or_refused_with_a_sentence(
    tmp_path_factory: pytest.TempPathFactory, key: str, value: Any
) -> None:
    file = tmp_path_factory.getbasetemp() / "value.toml"
    lines = {"name": '"official"', "kind": '"registry"', "url": '"https://registry.example"', key: toml(value)}
    file.write_bytes(("[[source]]\n" + "".join(f"{k} = {v}\n" for k, v in lines.items())).encode("utf-8", "replace"))
    try:
        (source,) = read_sources(file)
    except ConfigurationError as error:
        found = str(error)
    else:
        found = f"{file} holds {source.name}"
    assert str(file) in found


def toml(value: Any) -> str:
    """A value as TOML writes it; what TOML has no word for as a table."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return '"' + "".join(c if c.isalnum() or c in " /:.-" else f"\\U{ord(c):08x}" for c in value) + '"'
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return "{}" if value is None else str(value)


def source(name: str, *, enabled: bool = True) -> SourceConfig:
    return SourceConfig(name=name, kind="registry", url="https://r.test", enabled=enabled)


SOURCES = [source("first"), source("off", enabled=False), source("last")]


def test_all_sources_that_are_enabled_are_chosen() -> None:
    assert [one.name for one in chosen(SOURCES, [])] == ["first", "last"]


def test_sources_are_chosen_by_name_once_each_and_in_the_order_asked_for() -> None:
    assert [one.name for one in chosen(SOURCES, ["last", "off", "last"])] == ["last", "off"]


def test_a_name_that_is_not_configured_is_refused_with_those_that_are() -> None:
    with pytest.raises(ConfigurationError, match="no source 'frist'; configured are first, last, off"):
        chosen(SOURCES, ["first", "frist"])
