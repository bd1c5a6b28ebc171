"""What the registry says over HTTP, without HTTP."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from workers.sample.answers import Request, answer
from workers.sample.problems import Answer
from workers.sample.registry import SampleRegistry
from workers.sample.row import OFFICIAL

NOW = datetime(2026, 3, 1, 12, 0, 0, 500000, tzinfo=UTC)


@pytest.fixture
def registry() -> SampleRegistry:
    made = SampleRegistry(now=lambda: NOW)
    for version in ("1.0.0", "1.1.0", "2026.1+pr/1%"):
        made.publish({"name": "com.acme/tool", "description": "A tool", "version": version})
    return made


def get(registry: SampleRegistry, target: str, method: str = "GET") -> Answer:
    path, _, query = target.partition("?")
    return answer(registry, Request(method, path, query))


def body(given: Answer) -> dict[str, Any]:
    read: dict[str, Any] = orjson.loads(given.body)
    return read


@pytest.mark.parametrize("prefix", ["/v0", "/v0.1"])
def test_a_listing_has_items_a_count_and_the_next_cursor(registry: SampleRegistry, prefix: str) -> None:
    given = get(registry, f"{prefix}/servers?limit=2")
    assert (given.status, given.headers["Content-Type"]) == (200, "application/json")
    page = body(given)
    assert [item["server"]["version"] for item in page["servers"]] == ["1.0.0", "1.1.0"]
    assert page["servers"][1]["_meta"][OFFICIAL] == {
        "status": "active",
        "statusChangedAt": "2026-03-01T12:00:00.5Z",
        "publishedAt": "2026-03-01T12:00:00.5Z",
        "updatedAt": "2026-03-01T12:00:00.5Z",
        "isLatest": True,
    }
    assert page["metadata"] == {"nextCursor": "com.acme/tool:1.1.0", "count": 2}


def test_the_last_page_has_no_cursor(registry: SampleRegistry) -> None:
    assert body(get(registry, "/v0.1/servers?limit=2&cursor=com.acme%2Ftool%3A1.1.0"))["metadata"] == {"count": 1}


def test_the_default_limit_is_30() -> None:
    made = SampleRegistry(now=lambda: NOW)
    for number in range(31):
        made.publish({"name": "com.acme/tool", "description": "A tool", "version": f"1.0.{number}"})
    assert body(get(made, "/v0.1/servers"))["metadata"]["count"] == 30
    assert body(get(made, "/v0.1/servers?limit=&cursor=&search="))["metadata"]["count"] == 30


@pytest.mark.parametrize(
    ("limit", "message", "value"),
    [
        ("0", "expected number >= 1", 0),
        ("101", "expected number <= 100", 101),
        ("-5", "expected number >= 1", -5),
        ("ten", "invalid integer", "ten"),
        ("1.5", "invalid integer", "1.5"),
        ("9" * 40, "invalid integer", "9" * 40),
    ],
)
def test_a_limit_outside_1_to_100_is_a_422_and_is_not_clamped(
    registry: SampleRegistry, limit: str, message: str, value: str | int
) -> None:
    given = get(registry, f"/v0.1/servers?limit={limit}")
    assert (given.status, given.headers["Content-Type"]) == (422, "application/problem+json")
    assert body(given) == {
        "title": "Unprocessable Entity",
        "status": 422,
        "detail": "validation failed",
        "errors": [{"message": message, "location": "query.limit", "value": value}],
    }


@pytest.mark.parametrize("since", ["yesterday", "2026-03-01", "2026-03-01T12:00:00", "2026-03-01T14:00:00+02:00"])
def test_updated_since_must_be_rfc_3339_and_an_unescaped_plus_is_a_space(registry: SampleRegistry, since: str) -> None:
    given = get(registry, f"/v0.1/servers?updated_since={since}")
    assert (given.status, given.headers["Content-Type"]) == (400, "application/problem+json")
    assert body(given)["detail"].startswith("Invalid updated_since format")


def test_updated_since_is_read_with_its_zone(registry: SampleRegistry) -> None:
    assert body(get(registry, "/v0.1/servers?updated_since=2026-03-01T14:00:00.4%2B02:00"))["metadata"]["count"] == 3
    assert body(get(registry, "/v0.1/servers?updated_since=2026-03-01T12:00:00.5Z"))["metadata"]["count"] == 0


def test_updated_since_with_include_deleted_false_is_a_400(registry: SampleRegistry) -> None:
    since = "updated_since=2026-03-01T00:00:00Z"
    assert get(registry, f"/v0.1/servers?{since}&include_deleted=false").status == 400
    assert get(registry, f"/v0.1/servers?{since}&include_deleted=true").status == 200
    assert get(registry, f"/v0.1/servers?{since}&include_deleted=").status == 200


def test_include_deleted_is_a_boolean(registry: SampleRegistry) -> None:
    assert get(registry, "/v0.1/servers?include_deleted=perhaps").status == 422
    registry.set_status("com.acme/tool", "1.0.0", "deleted")
    assert body(get(registry, "/v0.1/servers?include_deleted=0"))["metadata"]["count"] == 2
    assert body(get(registry, "/v0.1/servers?include_deleted=T"))["metadata"]["count"] == 3


@pytest.mark.parametrize("cursor", ["nowhere", "%00x", "a%3A%F0%9F%98%80", "%FF"])
def test_any_cursor_is_accepted_except_one_with_a_nul(registry: SampleRegistry, cursor: str) -> None:
    given = get(registry, f"/v0.1/servers?cursor={cursor}")
    assert given.status == (400 if "%00" in cursor else 200)


def test_a_name_and_a_version_are_one_segment_each(registry: SampleRegistry) -> None:
    versions = body(get(registry, "/v0.1/servers/com.acme%2Ftool/versions"))
    assert versions["metadata"] == {"count": 3}
    odd = body(get(registry, "/v0.1/servers/com.acme%2Ftool/versions/2026.1+pr%2F1%25"))
    assert odd["server"]["version"] == "2026.1+pr/1%"
    assert get(registry, "/v0.1/servers/com.acme/tool/versions").status == 404


def test_latest_is_the_row_that_is_latest(registry: SampleRegistry) -> None:
    target = "/v0.1/servers/com.acme%2Ftool/versions/latest"
    assert body(get(registry, target))["server"]["version"] == "1.1.0"
    registry.set_status_all("com.acme/tool", "deleted")
    assert get(registry, target).status == 404
    assert body(get(registry, f"{target}?include_deleted=true"))["server"]["version"] == "1.1.0"


@pytest.mark.parametrize(
    "target",
    [
        "/v0.1/servers/com.acme%2Fnone/versions",
        "/v0.1/servers/com.acme%2Ftool/versions/9.9.9",
        "/v0.1/servers/com.acme%2FTool/versions/1.0.0",
        "/v0.1/servers/com.acme%2Ftool",
        "/v2/servers",
        "/servers",
        "/",
    ],
)
def test_what_is_not_there_is_a_404_in_problem_json(registry: SampleRegistry, target: str) -> None:
    given = get(registry, target)
    assert (given.status, given.headers["Content-Type"]) == (404, "application/problem+json")
    assert body(given)["title"] == "Not Found"


def test_a_trailing_slash_is_redirected_on_the_same_host(registry: SampleRegistry) -> None:
    given = get(registry, "/v0.1/servers/?limit=1")
    assert (given.status, given.headers["Location"]) == (308, "/v0.1/servers?limit=1")
    assert get(registry, "//evil.example/v0.1/").headers["Location"] == "/evil.example/v0.1"


@pytest.mark.parametrize("target", ["/v0.1/ping", "/v0/health", "/v0.1/version", "/health", "/version", "/ping"])
def test_it_says_that_it_is_there(registry: SampleRegistry, target: str) -> None:
    assert get(registry, target).status == 200


@pytest.mark.parametrize("method", ["POST", "PUT", "PATCH", "DELETE"])
def test_it_can_only_be_read(registry: SampleRegistry, method: str) -> None:
    assert get(registry, "/v0.1/servers", method).status == 405


@pytest.mark.parametrize("target", ["/v0.1/servers", "/nowhere", "/v0.1/servers?limit=0", "/v0.1/ping/"])
def test_every_answer_has_the_date_of_the_registrys_clock(registry: SampleRegistry, target: str) -> None:
    assert get(registry, target).headers["Date"] == "Sun, 01 Mar 2026 12:00:00 GMT"
