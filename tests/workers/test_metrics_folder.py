"""Where a worker's processes count: a folder that goes with the worker, whichever way it goes."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from workers import metrics_folder

WORKER = "from workers import metrics_folder; print(flush=True); input()"


@contextmanager
def started(folder: Path) -> Iterator["subprocess.Popen[str]"]:
    """A process with a folder for its counts, until it is told a line or killed."""
    bare = {name: value for name, value in os.environ.items() if name != metrics_folder.VARIABLE}
    with subprocess.Popen(
        [sys.executable, "-c", WORKER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**bare, "TMPDIR": str(folder)},
    ) as process:
        assert process.stdout is not None
        process.stdout.readline()
        try:
            yield process
        finally:
            process.kill()


def test_a_folder_goes_with_its_worker(tmp_path: Path) -> None:
    with started(tmp_path) as process:
        assert len(list(tmp_path.iterdir())) == 1
        process.communicate("\n")
    assert process.returncode == 0
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_worker_left_is_removed_and_what_a_living_one_has_is_not(tmp_path: Path) -> None:
    with started(tmp_path):
        (left,) = tmp_path.iterdir()
    with started(tmp_path):
        (living,) = tmp_path.iterdir()
        assert living != left
        with started(tmp_path):
            assert len(set(tmp_path.iterdir()) - {living}) == 1
            assert living.is_dir()


def test_another_programs_folder_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / f"{metrics_folder.PREFIX}theirs").mkdir()
    with started(tmp_path):
        assert (tmp_path / f"{metrics_folder.PREFIX}theirs").is_dir()


def test_places_in_a_pool_are_told_apart() -> None:
    assert metrics_folder.place() == f"{os.getpid()}-first"
