"""Moving a log: exported from one home, imported into another, and crawled on from there."""

import errno
import io
import json
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.home import PROGRAM, Home
from tests.listed import item, items, server
from tests.waiting import wait_until
from workers.sample.serve import SampleServer

Json = dict[str, Any]
Serve = Callable[[list[Json]], SampleServer]


@pytest.fixture(params=["log.ndjson", "log.ndjson.zst"])
def file(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """Where an export goes, plain and compressed."""
    return str(tmp_path / request.param)


def moved(home: Home, **variables: str | None) -> None:
    """The same person with an empty database."""
    home.set(HOME=str(home.folder / "elsewhere"), **variables)


def catalogue(home: Home) -> Json:
    ran = home.run("verify", "--json")
    assert ran.status == 0, ran
    found: Json = ran.object["catalogue"]
    return found


def test_a_log_moves_from_sqlite_to_postgres_and_crawls_go_on(
    home: Home, upstream: SampleServer, file: str, postgres_url: str
) -> None:
    home.crawl()
    upstream.registry.publish(server(1, "2.0.0"))
    upstream.registry.publish(server(100))
    home.crawl()
    before, events = catalogue(home), home.events()
    exported = home.run("export", file, "--json").object
    assert exported["position"] == exported["events"] == len(events)

    moved(home, DATABASE_URL=postgres_url)
    assert home.run("import", file, "--json").object == exported
    assert home.events() == events
    assert catalogue(home) == before
    for mode in ("incremental", "audit"):
        last = home.events()[-1]["id"]
        crawl = home.crawl_one(*(["--audit"] if mode == "audit" else []))
        assert (crawl["mode"], crawl["observed"] - crawl["unchanged"], crawl["missed"] or 0) == (mode, 0, 0)
        assert home.kinds(int(last)) == ["crawl.started", "crawl.completed"]
    assert home.agrees()


def test_an_export_of_an_import_is_the_same(home: Home, file: str) -> None:
    home.crawl()
    home.run("export", file)
    moved(home)
    home.run("import", file)
    home.run("export", f"{file}.again", "--zstd" if file.endswith(".zst") else "--no-zstd")
    assert Path(f"{file}.again").read_bytes() == Path(file).read_bytes()


def test_by_pipe(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    home.crawl()
    packed = subprocess.run([PROGRAM, "export", "--zstd"], cwd=home.folder, check=True, capture_output=True).stdout
    home.set(HOME=str(home.folder / "elsewhere"))
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(packed)))
    ran = home.run("import", "-")
    assert ran.status == 0, ran
    assert ran.out.startswith("The log has 123 events up to position 123, digest ")
    assert "rebuild search" in ran.err
    assert len(home.events()) == 123


def test_a_damaged_file_is_refused_before_anything_is_done(home: Home, file: str) -> None:
    home.crawl()
    home.run("export", file)
    whole = Path(file).read_bytes()
    moved(home)
    middle = len(whole) // 2
    for damaged in (whole[:middle], whole[:-40], whole[:middle] + b"\x00" + whole[middle + 1 :], b"", b"hello\n"):
        Path(file).write_bytes(damaged)
        ran = home.run("import", file)
        assert ran.status == 1
        assert file in ran.sentence
        assert home.events() == []
    Path(file).write_bytes(whole)
    assert home.run("import", file).status == 0
    assert len(home.events()) == 123


def test_another_log_is_left_as_it_is(home: Home, file: str, serve: Serve) -> None:
    home.crawl()
    home.run("export", file)
    moved(home)
    home.watch(official=serve([item(server(1))]).url)
    home.crawl()
    before = home.events()
    ran = home.run("import", file)
    assert (ran.status, "is another one" in ran.sentence) == (1, True)
    assert home.events() == before


def opened(pipe: Path) -> io.FileIO:
    """A pipe to write into, as soon as somebody reads from it."""
    end = wait_until(lambda: end_of(pipe))
    os.set_blocking(end, True)
    return io.FileIO(end, "w")


def end_of(pipe: Path) -> int:
    """The pipe's end to write into; 0 while nobody reads from it, who may have died before."""
    try:
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    except OSError as error:
        if error.errno != errno.ENXIO:
            raise
        return 0


def test_an_import_that_is_killed_goes_on_and_nobody_crawls_meanwhile(
    home: Home, serve: Serve, file: str, tmp_path: Path
) -> None:
    home.watch(official=serve(items(8_000)).url, page_size=100)
    home.crawl()
    exported = home.run("export", file, "--json").object
    moved(home)
    os.mkfifo(pipe := tmp_path / "pipe")
    with home.start("import", str(pipe)) as process, opened(pipe) as end:
        whole = Path(file).read_bytes()
        end.write(whole[: len(whole) * 3 // 4])  # and no more: it waits for the rest until it is killed
        wait_until(lambda: "An import into" in home.run("events").err)
        process.send_signal(signal.SIGKILL)
        process.wait(60)
    for command in (["crawl"], ["status"], ["show", "io.github.acme/tool-0001"]):
        ran = home.run(*command)
        assert ran.status == 2
        assert "is not complete" in ran.sentence
    assert home.run("import", file, "--json").object == exported
    assert home.agrees()


def test_a_file_that_cannot_be_used_is_a_sentence(home: Home, tmp_path: Path) -> None:
    home.crawl("--max-pages", "1")
    for command in (["export", str(tmp_path / "no" / "where")], ["export", str(tmp_path)], ["import", str(tmp_path)]):
        ran = home.run(*command)
        assert ran.status == 2
        assert str(tmp_path) in ran.sentence
    assert home.run("export", "/").sentence.startswith("/ cannot be written: Is a directory")
    assert home.run("import", str(tmp_path / "nothing")).status == 2
    assert not list(tmp_path.glob(".*"))


def test_a_disk_that_is_full_leaves_what_was_there(home: Home, tmp_path: Path) -> None:
    home.crawl()
    file = tmp_path / "log.ndjson"
    file.write_text("what was there before")
    ran = subprocess.run(
        [PROGRAM, "export", file],
        capture_output=True,
        text=True,
        check=False,
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (60_000, 60_000)),
    )
    assert (ran.returncode, ran.stdout) == (1, "")
    assert f"{file} cannot be written to its end: File too large; make room" in ran.stderr
    assert file.read_text() == "what was there before"
    assert not list(tmp_path.glob(".*"))


def test_an_export_that_fails_leaves_no_file(home: Home, tmp_path: Path) -> None:
    file = tmp_path / "log.ndjson"
    file.write_text("what was there before")
    home.set(DATABASE_URL="postgresql+psycopg://nobody@127.0.0.1:1/none")
    ran = home.run("export", str(file))
    assert ran.status == 1
    assert file.read_text() == "what was there before"


def test_every_line_is_what_events_prints(home: Home, tmp_path: Path) -> None:
    home.crawl("--max-pages", "1")
    file = tmp_path / "log.ndjson"
    home.run("export", str(file))
    assert [json.loads(line) for line in file.read_text().splitlines()[1:-1]] == home.events()


def test_what_is_no_file_is_written_to_and_not_replaced(home: Home, tmp_path: Path) -> None:
    home.crawl("--max-pages", "1")
    os.mkfifo(pipe := tmp_path / "pipe")
    end = os.open(pipe, os.O_RDWR)  # so that nobody waits for the other end
    with open(end, "rb", buffering=0) as read:
        ran = home.run("export", str(pipe))
        assert ran.status == 0
        assert ran.out == ""  # which may be what was written into
        assert pipe.is_fifo()
        assert read.read(2**16).count(b"\n") == len(home.events()) + 2


def test_a_link_is_followed_and_stays(home: Home, file: str) -> None:
    home.crawl("--max-pages", "1")
    link = Path(f"{file}.link.zst")
    link.symlink_to(file)
    assert home.run("export", str(link)).status == 0
    assert link.is_symlink()
    assert home.run("import", file).status == 0


def test_what_can_be_read_once_is_imported_as_stdin_is(home: Home, file: str) -> None:
    home.crawl("--max-pages", "1")
    exported = home.run("export", file, "--json").object
    moved(home)
    read, write = os.pipe()
    with open(read, "rb"), open(write, "wb") as pipe:  # as a shell's <(...)
        pipe.write(Path(file).read_bytes())
        pipe.close()
        assert home.run("import", f"/dev/fd/{read}", "--json").object["digest"] == exported["digest"]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no /dev/full")
@pytest.mark.parametrize("flag", ["--zstd", "--no-zstd"])
def test_a_full_disk_is_a_sentence(home: Home, flag: str) -> None:
    home.crawl("--max-pages", "1")
    with Path("/dev/full").open("wb") as full:
        ran = subprocess.run(
            [PROGRAM, "export", flag], cwd=home.folder, stdout=full, stderr=subprocess.PIPE, check=False
        )
    said = b"What was to be printed cannot be written: No space left on device; print it elsewhere.\n"
    assert (ran.returncode, ran.stderr) == (1, said)
