"""Celery's own commands as processes, as an operator runs them in a home's folder."""

import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from tests.e2e.home import Home
from tests.waiting import wait_until

CELERY = [sys.executable, "-P", "-m", "celery", "-A", "workers.app"]
WORKER = ["worker", "--concurrency", "2", "--without-gossip", "--without-mingle", "--loglevel", "INFO"]


class Running:
    """A command that runs in a home, in a process group of its own; its lines are in `log`."""

    def __init__(self, home: Home, name: str, command: list[str], environment: dict[str, str] | None = None) -> None:
        self.log = home.folder / f"{name}.log"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                command, cwd=home.folder, env=environment, stdout=log, stderr=log, start_new_session=True
            )

    def says(self, text: str) -> bool:
        """Whether it said something so far."""
        return text in self.log.read_text(errors="replace")

    def done(self, task: str) -> bool:
        """Whether a worker said that it received a task, and what that came to."""
        return self.log.read_text(errors="replace").count(f"[{task}]") >= 2

    def stop(self) -> int:
        """Asks it to stop, and waits; its exit status."""
        self.process.terminate()
        return self.process.wait(60)

    def kill(self) -> None:
        """Ends it and all that it forked, at once."""
        if self.process.poll() is None:
            os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait(60)


@contextmanager
def running(home: Home, name: str, command: list[str]) -> Iterator[Running]:
    """A command, killed at the end where it still runs."""
    one = Running(home, name, command)
    try:
        yield one
    finally:
        one.kill()


@contextmanager
def worker(home: Home, name: str, *more: str) -> Iterator[Running]:
    """A worker that is ready."""
    with running(home, name, [*CELERY, *WORKER, "--hostname", f"{name}@%h", *more]) as one:
        wait_until(lambda: one.says("ready."))
        yield one


@contextmanager
def beat(home: Home) -> Iterator[Running]:
    """The schedule."""
    with running(home, "beat", [*CELERY, "beat", "--loglevel", "INFO"]) as one:
        yield one


def through(home: Home, *sources: str) -> bool:
    """Whether just these sources are configured, each crawled to its end, and the index has all that they said.

    That all documents are there is not yet all: a crawl's last page may be empty, and its end comes after it.
    """
    status = home.run("status", "--json").object
    states = {source["name"]: source["state"] for source in status["sources"]}
    return states == dict.fromkeys(sources, "fresh") and all(one["lag"] == 0 for one in status["projections"])


def celery(home: Home, *arguments: str) -> str:
    """What another of Celery's commands says."""
    ran = subprocess.run(
        [*CELERY, *arguments], cwd=home.folder, check=False, capture_output=True, timeout=60, text=True
    )
    return ran.stdout + ran.stderr
