"""The fetcher: what it asks, what it takes, what it tries again, and what it says when it gives up."""

import gzip
import json
import logging
import pickle
import socket
import threading
import zlib
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import httpx
import pytest

from indexer.errors import (
    ConfigurationError,
    CursorRefused,
    McpIndexerError,
    SourceGone,
    SourceMalformed,
    SourceRefused,
    SourceTooLarge,
    SourceUnavailable,
)
from workers.bodies import Limits
from workers.client import client
from workers.fetch import Fetcher

URL = "https://r.test/v0.1/servers"
NOW = datetime(2026, 9, 1, 12, tzinfo=UTC)
TOKEN = "s3cret-token-of-the-source"

Handler = Callable[[httpx.Request], httpx.Response]


class RecordingBudget:
    """A budget that lets all through unless told to wait, and remembers who was to rest."""

    def __init__(self, wait: float = 0.0) -> None:
        self.wait = wait
        self.reserved: list[tuple[str, int]] = []
        self.rested: list[tuple[str, float]] = []

    def reserve(self, host: str, per_minute: int) -> float:
        self.reserved.append((host, per_minute))
        return self.wait

    def rest(self, host: str, seconds: float) -> None:
        self.rested.append((host, seconds))


class Upstream:
    """Answers in order, the last one again and again; remembers what it was asked and how long was slept."""

    def __init__(
        self,
        *answers: httpx.Response | Exception | Handler,
        wait: float = 0.0,
        with_public: bool = False,
        **options: Any,
    ) -> None:
        self.asked: list[httpx.Request] = []
        self.slept: list[float] = []
        self.budget = RecordingBudget(wait)
        self._answers = list(answers)
        http = client("https://ops.test", httpx.MockTransport(self._answer))
        self.fetcher = Fetcher(
            http,
            self.budget,
            **{
                "per_minute": 120,
                "sleep": self.slept.append,
                "jitter": lambda: 1.0,
                "clock": lambda: NOW,
                "ticks": lambda: 0.0,
                "public": (lambda: http) if with_public else None,
                **options,
            },
        )

    def _answer(self, request: httpx.Request) -> httpx.Response:
        self.asked.append(request)
        answer = self._answers.pop(0) if len(self._answers) > 1 else self._answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer(request) if callable(answer) else answer


def streamed(body: bytes, status: int = 200, **headers: str) -> Handler:
    """An answer whose bytes come as they are, in pieces of 64 KiB."""

    def answer(_: httpx.Request) -> httpx.Response:
        pieces = (body[at : at + 65_536] for at in range(0, len(body), 65_536))
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return httpx.Response(status, headers=named, content=pieces)

    return answer


def status(code: int, body: Any = None, **headers: str) -> Handler:
    return streamed(b"" if body is None else json.dumps(body).encode(), code, **headers)


OK = status(200, {"servers": []})


def failure(kind: type[McpIndexerError], upstream: Upstream, url: str = URL) -> str:
    """The sentence of the error that asking ends with; it must be of just that kind, and survive pickling."""
    with pytest.raises(kind) as raised:
        upstream.fetcher.get_json(url)
    assert type(raised.value) is kind
    assert str(pickle.loads(pickle.dumps(raised.value))) == str(raised.value)
    return str(raised.value)


# What is asked


def test_an_answer_has_its_value_its_clock_and_its_size() -> None:
    upstream = Upstream(streamed(b'{"a": 1}', Date="Tue, 01 Sep 2026 11:59:58 GMT"))
    answer = upstream.fetcher.get_json(URL, {"limit": "2"})
    assert answer.value == {"a": 1}
    assert answer.served_at == datetime(2026, 9, 1, 11, 59, 58, tzinfo=UTC)
    assert (answer.status, answer.size, answer.url) == (200, 8, URL + "?limit=2")
    assert upstream.fetcher.requests == 1


@pytest.mark.parametrize("date", ["", "yesterday", "Tue, 99 Sep 2026 11:59:58 GMT", "0"])
def test_a_date_that_is_none_is_no_clock(date: str) -> None:
    assert Upstream(streamed(b"{}", Date=date)).fetcher.get_json(URL).served_at is None


def test_it_says_who_asks_and_for_what() -> None:
    upstream = Upstream(OK)
    upstream.fetcher.get_json(URL)
    sent = upstream.asked[0].headers
    assert sent["user-agent"].startswith("mcp-indexer/")
    assert sent["user-agent"].endswith(" (+https://ops.test)")
    assert sent["accept"] == "application/json"
    assert sent["accept-encoding"] == "gzip, deflate"


def test_without_a_contact_the_agent_is_plain() -> None:
    with client(None, httpx.MockTransport(lambda _: httpx.Response(200))) as http:
        assert "(" not in http.headers["user-agent"]


def test_a_contact_that_no_header_holds_is_refused() -> None:
    with pytest.raises(ConfigurationError, match="MCP_INDEXER_CONTACT"):
        client("me\r\nX-Evil: 1")


def test_parameters_are_encoded_and_join_those_of_the_address() -> None:
    upstream = Upstream(OK)
    upstream.fetcher.get_json(URL + "?tenant=a&limit=1", [("limit", "2"), ("cursor", "a/b:1.0+x é")])
    assert dict(upstream.asked[0].url.params) == {"tenant": "a", "limit": "2", "cursor": "a/b:1.0+x é"}
    assert b"%2Bx" in upstream.asked[0].url.query


def test_headers_are_sent_and_cookies_are_not_kept() -> None:
    upstream = Upstream(status(200, {}, Set_Cookie="id=1; Path=/"), headers={"Authorization": f"Bearer {TOKEN}"})
    upstream.fetcher.get_json(URL)
    upstream.fetcher.get_json(URL)
    assert upstream.asked[1].headers["authorization"] == f"Bearer {TOKEN}"
    assert "cookie" not in upstream.asked[1].headers


def test_a_token_that_no_header_holds_is_refused_without_being_shown() -> None:
    with pytest.raises(ConfigurationError, match="Authorization") as raised:
        Upstream(OK, headers={"Authorization": f"Bearer {TOKEN}\n"})
    assert TOKEN not in str(raised.value)


@pytest.mark.parametrize(
    "url",
    [
        "ftp://r.test/x",
        "r.test/x",
        "https://",
        "https://[::1/x",
        "https://r.test:99999999/",
        "https://a..b/",
        "https://r.test/\x00",
        "",
    ],
)
def test_an_address_that_is_none_is_the_operators_to_correct(url: str) -> None:
    upstream = Upstream(OK)
    assert "correct the source's url" in failure(ConfigurationError, upstream, url)
    assert upstream.asked == []


# The budget


def test_every_request_is_taken_from_its_hosts_budget() -> None:
    upstream = Upstream(status(503), OK)
    upstream.fetcher.get_json("http://127.0.0.1:8080/x")
    assert upstream.budget.reserved == [("127.0.0.1:8080", 120)] * 2
    assert upstream.fetcher.requests == 2


def test_it_waits_for_its_turn_before_it_asks() -> None:
    upstream = Upstream(OK, wait=2.5)
    upstream.fetcher.get_json(URL)
    assert upstream.slept == [2.5]


def test_a_turn_too_far_away_is_left_for_later() -> None:
    upstream = Upstream(OK, wait=3600.0)
    assert "2026-09-01 13:00:00 UTC" in failure(SourceUnavailable, upstream)
    assert upstream.asked == []
    assert upstream.slept == []


# What is tried again


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503, 504, 522])
def test_what_may_pass_is_tried_again(code: int) -> None:
    upstream = Upstream(status(code), OK)
    assert upstream.fetcher.get_json(URL).value == {"servers": []}
    assert len(upstream.asked) == 2


@pytest.mark.parametrize(
    "error",
    [
        httpx.ConnectError("refused"),
        httpx.ConnectTimeout("slow"),
        httpx.ReadTimeout("slow"),
        httpx.ReadError("reset"),
        httpx.RemoteProtocolError("peer closed connection without sending complete message body"),
        httpx.ProxyError("502 Bad Gateway"),
    ],
)
def test_broken_connections_are_tried_again(error: Exception) -> None:
    upstream = Upstream(error, OK)
    assert upstream.fetcher.get_json(URL).value == {"servers": []}


def test_after_the_last_try_it_is_unavailable() -> None:
    upstream = Upstream(httpx.ConnectError("refused"))
    said = failure(SourceUnavailable, upstream)
    assert said.startswith(URL)
    assert "failed 5 times" in said
    assert "refused" in said
    assert len(upstream.asked) == 5


def test_what_has_answered_before_is_tried_longer() -> None:
    upstream = Upstream(OK, status(500))
    upstream.fetcher.get_json(URL)
    assert "failed 8 times" in failure(SourceUnavailable, upstream)
    page = streamed(b"<html>Back soon</html>")
    upstream = Upstream(OK, page)
    upstream.fetcher.get_json(URL)
    assert "failed 6 times" in failure(SourceMalformed, upstream)


def test_a_web_page_among_other_failures_is_one_unreadable_answer() -> None:
    page = streamed(b"<html>Back soon</html>")
    assert Upstream(status(500), status(503), page, page, OK).fetcher.get_json(URL).value == {"servers": []}


def test_it_waits_twice_as_long_each_time_and_half_a_minute_at_most() -> None:
    upstream = Upstream(status(500), attempts=10)
    failure(SourceUnavailable, upstream)
    assert upstream.slept == [0.5, 1, 2, 4, 8, 16, 30, 30, 30]


def test_jitter_takes_a_share_of_the_wait() -> None:
    upstream = Upstream(status(500), jitter=lambda: 0.25, attempts=3)
    failure(SourceUnavailable, upstream)
    assert upstream.slept == [0.125, 0.25]


@pytest.mark.parametrize("after", ["60", "Tue, 01 Sep 2026 12:01:00 GMT"])
def test_retry_after_is_waited_for_and_told_to_the_others(after: str) -> None:
    upstream = Upstream(status(429, Retry_After=after), OK)
    upstream.fetcher.get_json(URL)
    assert upstream.slept == [60.0]
    assert upstream.budget.rested == [("r.test", 60.0)]


def test_retry_after_as_a_date_is_read_by_the_upstreams_own_clock() -> None:
    early = {"Date": "Tue, 01 Sep 2026 10:00:00 GMT", "Retry_After": "Tue, 01 Sep 2026 10:00:30 GMT"}
    upstream = Upstream(status(503, **early), OK)
    upstream.fetcher.get_json(URL)
    assert upstream.budget.rested == [("r.test", 30.0)]


def test_retry_after_in_the_past_is_no_wait() -> None:
    upstream = Upstream(status(503, Retry_After="Tue, 01 Sep 2020 10:00:30 GMT"), OK)
    upstream.fetcher.get_json(URL)
    assert upstream.slept == [0.5]
    assert upstream.budget.rested == [("r.test", 0.0)]


@pytest.mark.parametrize("after", ["soon", "-5", "nan", "1e3", ""])
def test_a_retry_after_that_says_nothing_is_none(after: str) -> None:
    upstream = Upstream(status(503, Retry_After=after), OK)
    upstream.fetcher.get_json(URL)
    assert upstream.budget.rested == []


def test_more_than_five_minutes_are_not_sat_out() -> None:
    upstream = Upstream(status(429, Retry_After="3600"))
    assert "2026-09-01 13:00:00 UTC" in failure(SourceUnavailable, upstream)
    assert len(upstream.asked) == 1
    assert upstream.slept == []
    assert upstream.budget.rested == [("r.test", 3600.0)]


def test_nobody_rests_longer_than_a_day() -> None:
    upstream = Upstream(status(503, Retry_After="9" * 400))
    failure(SourceUnavailable, upstream)
    assert upstream.budget.rested == [("r.test", 86_400.0)]


def test_a_403_that_asks_for_rest_is_a_limit_and_no_refusal() -> None:
    reset = str(int(NOW.timestamp()) + 40)
    upstream = Upstream(status(403, X_RateLimit_Remaining="0", X_RateLimit_Reset=reset), OK)
    upstream.fetcher.get_json(URL)
    assert upstream.budget.rested == [("r.test", 40.0)]


def test_a_web_page_where_json_was_expected_is_asked_for_twice_more() -> None:
    page = streamed(b"<html>Bad Gateway</html>", Content_Type="text/html")
    assert Upstream(page, page, OK).fetcher.get_json(URL).value == {"servers": []}
    upstream = Upstream(page)
    assert "web page" in failure(SourceMalformed, upstream)
    assert len(upstream.asked) == 3


def test_an_answer_that_drips_is_cut_off() -> None:
    clock = iter(range(0, 10_000, 50))
    upstream = Upstream(streamed(b" " * 400_000), attempts=1, ticks=lambda: float(next(clock)))
    assert "longer than 120 seconds" in failure(SourceUnavailable, upstream)


# What is refused


@pytest.mark.parametrize(
    ("code", "kind"),
    [
        *[(code, CursorRefused) for code in (400, 414, 422)],
        *[(code, SourceGone) for code in (404, 410, 451)],
        *[(code, SourceRefused) for code in (401, 403, 405, 407, 409, 501)],
    ],
)
def test_a_refusal_says_what_is_refused_and_is_not_tried_again(code: int, kind: type[SourceRefused]) -> None:
    upstream = Upstream(status(code))
    said = failure(kind, upstream)
    assert said.startswith(f"{URL}: {code} ")
    assert len(upstream.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        {"title": "Bad Request", "detail": "limit too large"},
        {"error": "limit too large"},
        {"error": {"message": "limit too large", "code": 3}},
        {"message": "limit too large"},
        {"detail": "validation failed", "errors": [{"message": "limit too large", "location": "query.limit"}]},
    ],
)
def test_a_refusal_holds_the_upstreams_own_words(body: Any) -> None:
    assert "limit too large" in failure(CursorRefused, Upstream(status(422, body)))


@pytest.mark.parametrize(
    "body", [[], 3, None, {"detail": 5}, {"error": [1]}, {"error": {"message": {}}}, {"errors": [2]}]
)
def test_odd_words_are_left_out(body: Any) -> None:
    failure(CursorRefused, Upstream(status(400, body)))


def test_an_upstreams_words_cannot_move_the_terminal_or_fill_it() -> None:
    said = failure(CursorRefused, Upstream(status(400, {"detail": "\x1b[2J\u202eevil\n" + "x" * 5000})))
    assert said.isprintable()
    assert "\\x1b[2J" in said
    assert "x" * 150 in said
    assert "x" * 200 not in said


def test_a_refusal_with_a_huge_or_broken_body_is_still_a_refusal() -> None:
    failure(CursorRefused, Upstream(streamed(b'{"detail": "' + b"x" * 9_000_000, 400)))
    failure(CursorRefused, Upstream(streamed(b"no gzip", 400, Content_Encoding="gzip")))
    failure(CursorRefused, Upstream(streamed(b"\xff", 400, Content_Encoding="br")))


# Redirects


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_within_the_host_is_followed(code: int) -> None:
    upstream = Upstream(status(code, Location="/v0.1/servers/?limit=2"), OK)
    upstream.fetcher.get_json(URL)
    assert str(upstream.asked[1].url) == URL + "/?limit=2"
    assert upstream.fetcher.requests == 2
    assert len(upstream.budget.reserved) == 2


def test_the_same_hosts_https_is_followed() -> None:
    upstream = Upstream(status(308, Location=URL), OK)
    upstream.fetcher.get_json("http://r.test/v0.1/servers")
    assert str(upstream.asked[1].url) == URL


@pytest.mark.parametrize(
    "location",
    [
        "https://evil.test/",
        "//evil.test/x",
        "http://r.test/v0.1/servers",
        "https://r.test:8443/",
        "https://r.test@evil.test/",
        "https://r.test.evil.test/",
        "http://169.254.169.254/latest/meta-data",
        "file:///etc/passwd",
        "https://[::1",
        "javascript:alert(1)",
    ],
)
def test_a_redirect_elsewhere_is_refused(location: str) -> None:
    upstream = Upstream(status(302, Location=location), headers={"Authorization": f"Bearer {TOKEN}"})
    assert "points to" in failure(SourceRefused, upstream)
    assert len(upstream.asked) == 1


def test_redirects_without_end_are_refused() -> None:
    upstream = Upstream(status(302, Location="/again"))
    assert "more than 5 times" in failure(SourceRefused, upstream)
    assert len(upstream.asked) == 6


def test_a_redirect_brings_no_password_of_its_own() -> None:
    upstream = Upstream(status(302, Location="https://a:b@r.test/x"), OK)
    upstream.fetcher.get_json(URL)
    assert "authorization" not in upstream.asked[1].headers


# Bodies


def test_a_body_too_large_as_sent_is_too_large_and_not_asked_for_again() -> None:
    upstream = Upstream(streamed(b" " * (8 * 1024 * 1024 + 1)))
    assert "8,388,608 bytes as sent" in failure(SourceTooLarge, upstream)
    assert len(upstream.asked) == 1


def test_a_body_as_large_as_is_taken_is_taken() -> None:
    body = b'"' + b"x" * (8 * 1024 * 1024 - 2) + b'"'
    assert Upstream(streamed(body)).fetcher.get_json(URL).size == len(body)


@pytest.mark.parametrize(("encoding", "window"), [("gzip", 31), ("deflate", 15), ("deflate", -15)])
def test_packed_bodies_are_unpacked(encoding: str, window: int) -> None:
    packer = zlib.compressobj(wbits=window)
    body = packer.compress(b'{"a": [1]}') + packer.flush()

    def in_single_bytes(_: httpx.Request) -> httpx.Response:
        pieces = (bytes([byte]) for byte in body)
        return httpx.Response(200, headers={"Content-Encoding": encoding}, content=pieces)

    assert Upstream(in_single_bytes).fetcher.get_json(URL).value == {"a": [1]}


@pytest.mark.parametrize(("encoding", "window"), [("gzip", 31), ("deflate", 15), ("deflate", -15)])
def test_a_bomb_ends_at_the_limit(encoding: str, window: int) -> None:
    packer = zlib.compressobj(9, wbits=window)
    taken = 0

    def bomb(_: httpx.Request) -> httpx.Response:
        def pieces() -> Iterator[bytes]:
            nonlocal taken
            for _ in range(1500):
                taken += 1
                yield packer.compress(b"\0" * 1024 * 1024)

        return httpx.Response(200, headers={"Content-Encoding": encoding}, content=pieces())

    assert "unpacked" in failure(SourceTooLarge, Upstream(bomb))
    assert taken < 100


def test_a_packed_body_that_ends_too_early_is_asked_for_again() -> None:
    cut = streamed(gzip.compress(b'{"a": 1}')[:-9], Content_Encoding="gzip")
    whole = streamed(gzip.compress(b'{"a": 1}'), Content_Encoding="gzip")
    assert Upstream(cut, whole).fetcher.get_json(URL).value == {"a": 1}
    assert "ends too early" in failure(SourceMalformed, Upstream(cut))


@pytest.mark.parametrize("encoding", ["br", "zstd", "gzip, gzip", "x" * 500])
def test_another_packing_is_refused(encoding: str) -> None:
    assert "packed as" in failure(SourceMalformed, Upstream(streamed(b"{}", Content_Encoding=encoding)))


def test_too_many_values_are_too_large() -> None:
    failure(SourceTooLarge, Upstream(streamed(b"[" + b"1," * 500_000 + b"1]")))
    assert len(Upstream(streamed(b"[" + b"1," * 499_999 + b"1]")).fetcher.get_json(URL).value) == 500_000


def test_limits_can_be_given() -> None:
    failure(SourceTooLarge, Upstream(streamed(b"[1,2]"), limits=Limits(sent=4)))


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[1] [2]",
        b"\xff",
        b'"\xed\xa0\x80"',
        b"[nan]",
        b"[-NaN]",
        b"'a'",
        b'["\x01"]',
        b"\x00",
        b"[01]",
    ],
)
def test_what_is_no_json_is_malformed(body: bytes) -> None:
    assert failure(SourceMalformed, Upstream(streamed(body))).startswith(URL)


@pytest.mark.parametrize("body", [b"[" * 200_000, b'{"a":' * 200_000])
def test_absurd_nesting_that_never_ends_is_malformed(body: bytes) -> None:
    assert "nests too deeply" in failure(SourceMalformed, Upstream(streamed(body)))


def test_absurd_nesting_is_kept_as_text_so_that_it_spoils_nothing_beside_it() -> None:
    deep = b"[" * 100_000 + b"]" * 100_000
    upstream = Upstream(streamed(b'{"deep": ' + deep + b', "beside": 1}'))
    value = upstream.fetcher.get_json(URL).value
    assert value["beside"] == 1


# Secrets


def everything_said(upstream: Upstream, url: str = URL) -> str:
    with pytest.raises(McpIndexerError) as raised:
        upstream.fetcher.get_json(url)
    error = raised.value
    assert error.__cause__ is None
    return f"{error} {error!r} {upstream.fetcher!r}"


@pytest.mark.parametrize(
    "answer",
    [
        status(401, {"detail": f"no such token: {TOKEN}"}),
        status(400, {"detail": "x" * 190 + TOKEN}),
        status(302, Location=f"https://evil.test/?echo={TOKEN}"),
        httpx.ConnectError(f"http://user:{TOKEN}@proxy.test refused"),
        httpx.LocalProtocolError(f"Illegal header value b'Bearer {TOKEN}'"),
        streamed(TOKEN.encode()),
    ],
)
def test_a_secret_is_never_shown(answer: Handler | Exception) -> None:
    upstream = Upstream(answer, headers={"Authorization": f"Bearer {TOKEN}"}, attempts=1)
    said = everything_said(upstream, f"{URL}?mine={TOKEN}")
    assert TOKEN[:9] not in said
    assert "***" in said


def test_what_an_upstream_tells_back_of_a_secret_is_masked_before_it_is_read() -> None:
    upstream = Upstream(status(200, {"servers": [{"name": f"a/{TOKEN}"}]}), headers={"X-API-Key": TOKEN})
    assert upstream.fetcher.get_json(URL).value == {"servers": [{"name": "a/***"}]}


def test_a_short_secret_is_a_word_too_and_stays_in_what_is_read() -> None:
    assert Upstream(status(200, ["public"]), headers={"X-API-Key": "public"}).fetcher.get_json(URL).value == ["public"]


@pytest.mark.parametrize(
    "name", ["api_key", "apikey", "key", "access_token", "X-Signature", "sig", "client_secret", "auth"]
)
def test_parameters_that_look_like_secrets_are_hidden(name: str) -> None:
    said = everything_said(Upstream(status(400)), f"https://me:pass@r.test/x?{name}=abcdefgh&limit=5&monkey=7")
    assert "abcdefgh" not in said
    assert "me:pass" not in said
    assert f"https://***@r.test/x?{name}=***&limit=5&monkey=7" in said


def test_a_secret_is_hidden_in_its_encoded_form_too() -> None:
    said = everything_said(Upstream(status(400), secrets=["a/b c"]), "https://r.test/?q=a%2Fb%20c")
    assert "a%2Fb" not in said


def test_a_proxys_password_is_never_shown(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTPS_PROXY", "gopher://me:hunter2@proxy.test:1")
    with pytest.raises(ConfigurationError, match="HTTPS_PROXY") as raised:
        client(None)
    assert "hunter2" not in str(raised.value)
    assert raised.value.__cause__ is None


def test_certificates_that_are_not_there_are_a_sentence(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", "/nowhere/ca.pem")
    with pytest.raises(ConfigurationError, match="SSL_CERT_FILE"):
        client(None)


def test_a_secret_reaches_no_log_line(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    upstream = Upstream(OK, headers={"Authorization": f"Bearer {TOKEN}"})
    upstream.fetcher.get_json(f"https://me:hunter2@r.test/?api_key={TOKEN}")
    assert TOKEN not in caplog.text
    assert "hunter2" not in caplog.text


# Real connections


@contextmanager
def loopback(*answers: bytes) -> Iterator[str]:
    """A server that answers each connection with the next bytes, and closes it."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for answer in answers:
                connection, _ = server.accept()
                with connection:
                    connection.recv(65_536)
                    connection.sendall(answer)

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{server.getsockname()[1]}/"
        thread.join()


@pytest.fixture
def real(monkeypatch: pytest.MonkeyPatch) -> Iterator[Fetcher]:
    """A fetcher with a real connection, which takes no proxy."""
    monkeypatch.setenv("NO_PROXY", "*")
    with client(None) as http:
        yield Fetcher(http, RecordingBudget(), per_minute=60, clock=lambda: NOW, sleep=lambda _: None, attempts=2)


def response(body: bytes, *, length: int | None = None, **headers: str) -> bytes:
    named = {"Content-Length": str(len(body) if length is None else length), "Connection": "close", **headers}
    head = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in named.items())
    return b"HTTP/1.1 200 OK\r\n" + head.encode() + b"\r\n" + body


def test_an_operators_address_may_be_on_this_machine(real: Fetcher) -> None:
    with loopback(response(gzip.compress(b'{"a": 1}'), Content_Encoding="gzip")) as url:
        assert real.get_json(url).value == {"a": 1}


def test_a_body_cut_on_the_way_is_asked_for_again(real: Fetcher) -> None:
    with loopback(response(b'{"a"', length=8), response(b'{"a": 1}')) as url:
        assert real.get_json(url).value == {"a": 1}
    assert real.requests == 2


def test_an_answer_that_is_no_http_is_unavailable(real: Fetcher) -> None:
    with loopback(b"SSH-2.0-OpenSSH\r\n", b"") as url, pytest.raises(SourceUnavailable):
        real.get_json(url)


def test_where_nobody_listens_it_is_unavailable(real: Fetcher, nobody: str) -> None:
    with pytest.raises(SourceUnavailable, match="ConnectError"):
        real.get_json(nobody)


# What watchers hear


def test_each_request_is_heard_of_once_and_why_it_is_sent_again() -> None:
    heard: list[str] = []
    why: list[str] = []
    late = httpx.ConnectTimeout("too long")
    upstream = Upstream(status(503), OK, late, OK, ended=heard.append, retried=why.append)
    upstream.fetcher.get_json(URL)
    upstream.fetcher.get_json(URL)
    assert heard == ["503", "200", "error", "200"]
    assert len(heard) == upstream.fetcher.requests
    assert why == ["503 Service Unavailable", "ConnectTimeout: too long"]


def test_what_watchers_hear_has_no_secret() -> None:
    why: list[str] = []
    upstream = Upstream(httpx.ConnectError("no hush-hush"), OK, secrets=["hush-hush"], retried=why.append)
    upstream.fetcher.get_json(URL)
    assert why == ["ConnectError: no ***"]


def test_an_answer_that_breaks_off_is_heard_of_as_an_error() -> None:
    heard: list[str] = []
    with client(None) as http, loopback(response(b'{"a"', length=8), response(b'{"a": 1}')) as url:
        options: dict[str, Any] = {"clock": lambda: NOW, "sleep": lambda _: None, "ended": heard.append}
        Fetcher(http, RecordingBudget(), per_minute=60, **options).get_json(url)
    assert heard == ["error", "200"]


def test_waits_for_the_budget_are_heard_of() -> None:
    waited: list[float] = []
    Upstream(OK, wait=1.5, waited=waited.append).fetcher.get_json(URL)
    Upstream(OK, wait=0.0, waited=waited.append).fetcher.get_json(URL)
    assert waited == [1.5]
