import socket
import threading
from datetime import datetime
from io import BytesIO

import pytest

from indexer.errors import ConfigurationError, IndexRefused, IndexUnavailable
from indexer.search import SearchIndex
from schemas.names import ServerName, document_id
from tests.indexer.made import lines
from tests.servers import MeilisearchServer
from tests.waiting import wait_until
from workers.searching import search_index

NAMES = ["io.github.Acme/pdf", "io.github.acme/pdf", "io.github.acme/PDF"]


@pytest.mark.parametrize("name", NAMES)
def test_a_whole_name_comes_first_though_others_differ_in_case_only(index: SearchIndex, name: str) -> None:
    index.create(index.uid)
    documents = [{"id": document_id(ServerName(one)), "name": one, "label": "pdf"} for one in NAMES]
    index.wait(index.send(lines(documents)))

    found = search_index(index, name, {"limit": 3})

    assert found["hits"][0]["name"] == name
    assert sorted(hit["name"] for hit in found["hits"]) == sorted(NAMES)


def test_before_the_first_crawl_a_search_says_what_to_do(index: SearchIndex) -> None:
    with pytest.raises(IndexRefused, match=r"^There is no index 'test-\w+' at \S+ yet; `mcp-indexer crawl` makes"):
        search_index(index, "pdf", {"limit": 3})


def test_a_bad_filter_is_said_on_one_line_in_meilisearchs_own_words(index: SearchIndex) -> None:
    index.create(index.uid)
    with pytest.raises(ConfigurationError) as refused:
        search_index(index, "pdf", {"limit": 3, "filter": "colour = red"})
    assert "`colour` is not filterable" in str(refused.value)
    assert "\n" not in str(refused.value)
    assert "Hint" not in str(refused.value)


def test_each_index_task_is_heard_of_once_with_what_it_came_to(
    meilisearch_server: MeilisearchServer, meili_index: str
) -> None:
    heard: list[tuple[str, str, float]] = []
    index = SearchIndex(
        *(meilisearch_server.url, meilisearch_server.key, meili_index), ended=lambda *one: heard.append(one)
    )
    index.create(index.uid)
    good, bad = index.send(lines([{"id": "good"}])), index.send(lines([{"id": "no good id"}]))
    for _ in range(2):
        index.wait(good)
        with pytest.raises(IndexRefused):
            index.wait(bad)
    assert [(kind, outcome) for kind, outcome, _ in heard] == [
        ("indexCreation", "succeeded"),
        ("settingsUpdate", "succeeded"),
        ("documentAdditionOrUpdate", "succeeded"),
        ("documentAdditionOrUpdate", "failed"),
    ]
    assert all(seconds >= 0 for _, _, seconds in heard)


def test_what_waits_together_is_one_batch_deletions_too(index: SearchIndex) -> None:
    index.create(index.uid)
    batches = wait_until(lambda: batches_of_what_waited(index))
    assert len(set(batches)) == 1
    assert index.present(["a", "b", "c"]) == {"c"}


def batches_of_what_waited(index: SearchIndex) -> list[int]:
    """The batches of three tasks; none where the one before them had ended before the last of them was there."""
    busy = index.send(lines({"id": str(one), "name": "many words"} for one in range(20_000)))
    tasks = [index.send(lines([{"id": "a"}])), index.delete(["a", "b"]), index.send(lines([{"id": "c"}]))]
    index.wait(tasks[-1])
    before, *waited = [index._client.http.get(f"tasks/{task}") for task in (busy, *tasks)]
    ended, last = datetime.fromisoformat(before["finishedAt"]), datetime.fromisoformat(waited[-1]["enqueuedAt"])
    return [task["batchUid"] for task in waited] if last < ended else []


def test_who_may_not_write_is_told_so_however_much_there_is(index: SearchIndex) -> None:
    index.create(index.uid)
    reader = SearchIndex(index.url, index.search_key(), index.uid)
    for size in (1, 16 * 2**20):
        with pytest.raises(IndexRefused, match="refuses the key"):
            reader.send(BytesIO(b" " * size))


def test_an_index_that_takes_a_connection_and_never_answers_is_given_up() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        index = SearchIndex(f"http://127.0.0.1:{listening.getsockname()[1]}", None, "servers", patience=0.05)
        with pytest.raises(IndexUnavailable, match="does not answer"):
            index.count()


def test_a_body_that_is_cut_off_is_an_index_that_does_not_answer() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        index = SearchIndex(f"http://127.0.0.1:{listening.getsockname()[1]}", None, "servers")
        hanging_up = threading.Thread(target=lambda: listening.accept()[0].close())
        hanging_up.start()
        with pytest.raises(IndexUnavailable, match="does not answer"):
            index.send(BytesIO(b" " * 2**20))
        hanging_up.join()
