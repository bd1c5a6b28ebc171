"""The Celery app: `celery -A workers.app worker`, `beat`, `inspect` and the rest work as Celery's users expect.

Two queues: `crawling` waits for upstreams, `projecting` for the database and Meilisearch. A plain worker takes both; a
team may start workers for each with `-Q`. Nothing here connects to anything before it is used.
"""

import logging
import os
import sys
from datetime import datetime
from pathlib import Path
from typing import Any

from celery import Celery, Task, signals
from celery.schedules import schedstate, schedule

from indexer.clock import LONG_AGO
from indexer.errors import ConfigurationError, McpIndexerError
from workers import metrics, stopping, tasks
from workers.broker import check_broker
from workers.client import spare_loopback
from workers.logs import log_json
from workers.masking import secrets_of
from workers.settings import EMBEDDED_BROKER, Settings, read_settings
from workers.wiring import Wiring

DUE_SECONDS = 2.0
"""So often beat has the database asked what is due."""
EMBEDDED_TRANSPORT = "workers.embedded_broker:Transport"
VISIBLE_AGAIN_SECONDS = 600
"""Redis gives a message to another worker when it was not done in that time: twenty slices."""


class Every(schedule):
    """Due every so many seconds, by a clock that may be put back.

    Celery's own would then wait until it is as late again; a restart of beat would not help, for it keeps the time.
    """

    def is_due(self, last_run_at: datetime) -> schedstate:
        """Whether it is due, and in how many seconds to ask again."""
        ahead = self.maybe_make_aware(last_run_at) > self.now()
        return super().is_due(LONG_AGO if ahead else last_run_at)


def configuration(settings: Settings) -> dict[str, Any]:
    """Celery's settings. Raises ConfigurationError where the broker cannot be used, or a folder cannot be made."""
    check_broker(settings.broker)
    return {
        "broker_url": settings.broker,
        "broker_transport": EMBEDDED_TRANSPORT if settings.broker == EMBEDDED_BROKER else None,
        "broker_transport_options": _transport(settings),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "accept_content": ["json"],
        "task_serializer": "json",
        "task_ignore_result": True,
        "task_acks_late": True,
        "task_reject_on_worker_lost": True,
        "worker_prefetch_multiplier": 1,
        "worker_send_task_events": True,
        "task_send_sent_event": True,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "task_default_queue": "projecting",
        "task_routes": {"crawl.*": {"queue": "crawling"}},
        "task_queues": {name: {"exchange": name, "routing_key": name} for name in ("crawling", "projecting")},
        "enable_utc": True,
        "timezone": "UTC",
        "beat_schedule": {
            "due": {
                "task": "schedule.due",
                "schedule": Every(DUE_SECONDS),
                "options": {"expires": tasks.MESSAGE_SECONDS},
            }
        },
        "beat_max_loop_interval": DUE_SECONDS,
        "beat_schedule_filename": str(_made(settings.home) / "beat"),
        "worker_hijack_root_logger": False,
    }


def _transport(settings: Settings) -> dict[str, Any]:
    if settings.broker == EMBEDDED_BROKER:
        folder = _made(settings.home / "broker")
        messages, control = str(_made(folder / "messages")), str(_made(folder / "control"))
        return {"data_folder_in": messages, "data_folder_out": messages, "control_folder": control}
    if settings.broker.startswith(("redis", "sentinel")):
        return {"visibility_timeout": VISIBLE_AGAIN_SECONDS}
    return {}


def _made(folder: Path) -> Path:
    """A folder that only its owner reads, made where it is missing."""
    try:
        folder.resolve().mkdir(parents=True, exist_ok=True, mode=0o700)
    except OSError as error:
        raise ConfigurationError(
            f"The folder {folder} cannot be made: {error.strerror}; set MCP_INDEXER_HOME to where you can write."
        ) from error
    return folder.resolve()


def _from_environment() -> dict[str, Any]:
    try:
        return configuration(read_settings())
    except ConfigurationError as error:
        sys.stderr.write(f"{error}\n")
        sys.exit(2)


log = logging.getLogger(__name__)
app = Celery("mcp-indexer")
app.add_defaults(_from_environment)
app.set_default()


@signals.setup_logging.connect(weak=False)
def _log(loglevel: int | str | None = None, **_: object) -> None:
    log_json(loglevel or "INFO", secrets_of(os.environ))


@signals.task_failure.connect(weak=False)
def _warn(sender: Task[Any, Any], exception: BaseException, **_: object) -> None:
    """Celery tells what we foresaw as information, which a worker with its default level does not log."""
    if isinstance(exception, McpIndexerError):
        log.warning("%s: %s", sender.name, exception)


@signals.task_revoked.connect(weak=False)
def _warn_of_expired(sender: Task[Any, Any], *, expired: bool, **_: object) -> None:
    """Celery tells nobody; and where a clock is wrong that is all there is to see."""
    if expired:
        log.warning(
            "%s: a message was too old to be taken: it waited long, or this machine's clock is far ahead of that of "
            "who sent it; what it asked for is asked for again",
            sender.name,
        )


@signals.worker_ready.connect(weak=False)
def _serve_metrics(**_: object) -> None:
    settings = read_settings()
    if settings.metrics_port is None:
        return
    try:
        metrics.serve(Wiring(settings, log.info), settings.metrics_port, settings.metrics_host)
    except ConfigurationError as error:
        log.critical("%s", error)
        sys.exit(2)


@signals.worker_shutting_down.connect(weak=False)
def _stop(**_: object) -> None:
    stopping.stop()


@signals.worker_process_init.connect(weak=False)
@signals.worker_init.connect(weak=False)
def _begin(**_: object) -> None:
    spare_loopback()


@signals.worker_process_shutdown.connect(weak=False)
@signals.worker_shutdown.connect(weak=False)
def _close(**_: object) -> None:
    if tasks.wiring.cache_info().currsize:
        tasks.wiring().close()
