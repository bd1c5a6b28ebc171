"""What goes wrong on purpose does so as asked, and the same way every time."""

from datetime import UTC, datetime
from typing import Any

import orjson
import pytest

from workers.sample.answers import Request
from workers.sample.bundled import sample_registry
from workers.sample.faults import FAULTS, Delivery, Fault, Faults
from workers.sample.options import parse_faults
from workers.sample.problems import Answer
from workers.sample.registry import SampleRegistry
from workers.sample.row import OFFICIAL

NOW = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.fixture(scope="module")
def registry() -> SampleRegistry:
    made = sample_registry()
    made.now = lambda: NOW
    return made


def deliver(faults: Faults, registry: SampleRegistry, query: str = "limit=50") -> Delivery:
    return faults.deliver(registry, Request("GET", "/v0.1/servers", query))


def body(delivery: Delivery) -> dict[str, Any]:
    read: dict[str, Any] = orjson.loads(delivery.answer.body)
    return read


def always(fault: Fault, **more: Any) -> Faults:
    return Faults({fault: 1.0}, **more)


def test_without_faults_nothing_goes_wrong(registry: SampleRegistry) -> None:
    delivery = deliver(Faults(), registry)
    assert (delivery.answer.status, delivery.delay, delivery.way) == (200, 0.0, "whole")


def test_a_500_is_problem_json(registry: SampleRegistry) -> None:
    given = deliver(always("500"), registry).answer
    assert (given.status, given.headers["Content-Type"]) == (500, "application/problem+json")
    assert orjson.loads(given.body)["status"] == 500


@pytest.mark.parametrize(("fault", "status"), [("429", 429), ("502", 502), ("503", 503), ("504", 504), ("html", 200)])
def test_a_proxy_answers_in_html(registry: SampleRegistry, fault: Fault, status: int) -> None:
    given = deliver(always(fault), registry).answer
    assert (given.status, given.headers["Content-Type"]) == (status, "text/html")
    assert b"<html>" in given.body
    assert "Retry-After" not in given.headers
    assert given.headers["Date"] == "Sun, 01 Mar 2026 12:00:00 GMT"


def test_retry_after_is_said_in_seconds_or_as_a_date(registry: SampleRegistry) -> None:
    faults = always("429", retry_after=90)
    assert deliver(faults, registry).answer.headers["Retry-After"] == "90"
    faults.retry_after_as_date = True
    assert deliver(faults, registry).answer.headers["Retry-After"] == "Sun, 01 Mar 2026 12:01:30 GMT"


def test_cut_reset_and_slow_happen_on_the_way(registry: SampleRegistry) -> None:
    assert deliver(always("cut"), registry).way == "cut"
    assert deliver(always("reset"), registry).way == "reset"
    assert deliver(always("slow", slow_seconds=3.0, delay=0.5), registry).delay == 3.5


def test_a_loop_gives_the_cursor_back_that_was_asked_for(registry: SampleRegistry) -> None:
    faults = always("loop")
    first = body(deliver(faults, registry))["metadata"]["nextCursor"]
    assert body(deliver(faults, registry, f"limit=50&cursor={first}"))["metadata"]["nextCursor"] == first


def test_a_wrong_key_hides_the_cursor(registry: SampleRegistry) -> None:
    metadata = body(deliver(always("wrong-key"), registry))["metadata"]
    assert set(metadata) == {"next_cursor", "count"}


def test_items_without_meta_empty_pages_and_no_body_at_all(registry: SampleRegistry) -> None:
    assert all(set(item) == {"server"} for item in body(deliver(always("no-meta"), registry))["servers"])
    assert body(deliver(always("empty"), registry)) == {"servers": [], "metadata": {"count": 0}}
    assert deliver(always("blank"), registry).answer[::2] == (200, b"")


@pytest.mark.parametrize("path", ["/v0.1/ping", "/v0.1/health", "/version"])
def test_whether_it_is_there_can_always_be_asked(registry: SampleRegistry, path: str) -> None:
    assert always("500").deliver(registry, Request("GET", path)).answer.status == 200


def test_the_same_seed_draws_the_same_faults_and_another_one_others(registry: SampleRegistry) -> None:
    def drawn(seed: int) -> list[int]:
        faults = Faults({"500": 0.3, "503": 0.3}, seed=seed)
        return [deliver(faults, registry, "limit=1").answer.status for _ in range(60)]

    assert drawn(1) == drawn(1) != drawn(2)
    assert set(drawn(1)) == {200, 500, 503}


def test_rates_can_be_changed_on_the_way(registry: SampleRegistry) -> None:
    faults = always("500")
    assert deliver(faults, registry).answer.status == 500
    faults.rates["500"] = 0.0
    assert deliver(faults, registry).answer.status == 200


def test_a_hook_is_asked_first_and_may_pass(registry: SampleRegistry) -> None:
    given = Answer(200, {"Content-Type": "application/json"}, b'{"servers":null}')
    faults = Faults({"500": 1.0}, hook=lambda request: given if "cursor" in request.query else None)
    assert deliver(faults, registry, "cursor=x").answer == given
    assert deliver(faults, registry).answer.status == 500


@pytest.mark.parametrize("wire", ["a", "b"])
def test_old_generations_are_flat_and_walk_by_an_opaque_cursor(registry: SampleRegistry, wire: Any) -> None:
    faults = Faults(wire=wire)
    met, query = [], "limit=50"
    while query:
        page = body(deliver(faults, registry, query))
        assert "nextCursor" not in page["metadata"]
        met += [(document["name"], document["version"]) for document in page["servers"]]
        following = page["metadata"].get("next_cursor")
        assert following is None or ":" not in following
        query = f"limit=50&cursor={following}" if following else ""
    assert met == [(i["server"]["name"], i["server"]["version"]) for i in registry.items(include_deleted=False)]


def test_generation_a_writes_in_snake_case_and_b_does_not(registry: SampleRegistry) -> None:
    query = "search=bisect-helper&version=latest"
    a = body(deliver(Faults(wire="a"), registry, query))["servers"][0]
    b = body(deliver(Faults(wire="b"), registry, query))["servers"][0]
    assert set(a["_meta"][OFFICIAL]) == {"id", "published_at", "updated_at", "is_latest"}
    assert set(b["_meta"][OFFICIAL]) == {"serverId", "versionId", "publishedAt", "updatedAt", "isLatest"}
    assert a["packages"][0]["package_arguments"][1]["is_repeated"] is True
    assert b["packages"][0]["packageArguments"][1]["isRepeated"] is True
    assert a["status"] == b["status"] == "active"
    assert a["$schema"].endswith("/schemas/2025-07-09/server.schema.json")


def test_names_that_a_publisher_chose_stay_in_generation_a(registry: SampleRegistry) -> None:
    meeting = body(deliver(Faults(wire="a"), registry, "search=meeting-notes&version=latest"))["servers"][0]
    assert "example.nimbleharbor/build" in meeting["_meta"]["io.modelcontextprotocol.registry/publisher-provided"]
    notebook = body(deliver(Faults(wire="a"), registry, "search=postgres&version=latest"))["servers"][0]
    assert "notebooks" in notebook["packages"][0]["runtime_arguments"][1]["variables"]


def test_generation_c_knows_no_time_of_the_status(registry: SampleRegistry) -> None:
    items = body(deliver(Faults(wire="c"), registry, "limit=100"))["servers"]
    assert {key for item in items for key in item["_meta"][OFFICIAL]} == {
        "status",
        "publishedAt",
        "updatedAt",
        "isLatest",
    }


def test_faults_are_read_from_a_line_of_text() -> None:
    faults = parse_faults("500=0.06, cut=0.04,wire=b,retry-after-date=7,slow-seconds=0.2", seed=3)
    assert faults == Faults(
        {"500": 0.06, "cut": 0.04}, seed=3, wire="b", retry_after=7, retry_after_as_date=True, slow_seconds=0.2
    )
    assert parse_faults("") == Faults()
    assert set(parse_faults(",".join(f"{fault}=0.01" for fault in FAULTS)).rates) == set(FAULTS)


@pytest.mark.parametrize(
    "text", ["501=0.1", "cut", "cut=2", "cut=nan", "wire=z", "500=0.6,503=0.6", "retry-after=soon"]
)
def test_what_is_no_fault_gets_a_sentence(text: str) -> None:
    with pytest.raises(ValueError, match=r"is no fault; write|add up to more than 1"):
        parse_faults(text)
