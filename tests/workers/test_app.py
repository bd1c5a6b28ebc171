"""Celery's settings, for each broker."""

from datetime import timedelta
from pathlib import Path

import pytest
from pydantic import SecretStr

from indexer.errors import ConfigurationError
from workers.app import DUE_SECONDS, Every, app, configuration
from workers.settings import Settings


def settings(tmp_path: Path, broker: str | None = None) -> Settings:
    return Settings(home=tmp_path / "home", broker_url=None if broker is None else SecretStr(broker))


def test_without_a_broker_messages_are_files_that_only_their_owner_reads(tmp_path: Path) -> None:
    found = configuration(settings(tmp_path))
    folders = found["broker_transport_options"]
    assert found["broker_url"].startswith("filesystem://")
    assert folders["data_folder_in"] == folders["data_folder_out"]
    for folder in folders.values():
        assert Path(folder).stat().st_mode & 0o077 == 0
        assert Path(folder).is_relative_to(tmp_path / "home" / "broker")


def test_redis_gives_a_message_to_another_worker_before_long(tmp_path: Path) -> None:
    found = configuration(settings(tmp_path, "redis://127.0.0.1:6379/0"))
    assert 60 < found["broker_transport_options"]["visibility_timeout"] < 3600


def test_a_message_is_done_before_it_is_gone(tmp_path: Path) -> None:
    found = configuration(settings(tmp_path, "amqp://guest@127.0.0.1//"))
    assert found["task_acks_late"]
    assert found["task_reject_on_worker_lost"]
    assert found["worker_prefetch_multiplier"] == 1
    assert found["broker_transport_options"] == {}


def test_a_home_that_cannot_be_made_is_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("a file")
    with pytest.raises(ConfigurationError, match="MCP_INDEXER_HOME"):
        configuration(settings(tmp_path))


def test_beat_goes_on_when_the_clock_is_put_back() -> None:
    now = app.now()
    every = Every(DUE_SECONDS, nowfun=lambda: now, app=app)
    assert not every.is_due(now).is_due
    assert every.is_due(now - timedelta(seconds=DUE_SECONDS)).is_due
    assert every.is_due(now + timedelta(days=365)).is_due


def test_every_task_is_known_to_the_app() -> None:
    app.loader.import_default_modules()
    assert {"crawl.source", "project", "schedule.due"} <= set(app.tasks)
