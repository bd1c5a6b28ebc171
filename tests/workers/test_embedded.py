import errno
import fcntl
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import httpx
import pytest

from indexer.errors import ConfigurationError, IndexUnavailable
from tests.waiting import PATIENCE, wait_until
from workers.embedded import Address, EmbeddedMeilisearch
from workers.meili_folder import MeiliFolder, unusable

A_COMMAND = """
import sys
from pathlib import Path
from workers.embedded import EmbeddedMeilisearch
with EmbeddedMeilisearch(Path(sys.argv[1]), binary=lambda: Path(sys.argv[2])) as meilisearch:
    address = meilisearch.ensure()
    print(address.url, address.key, flush=True)
    sys.stdin.read()
"""


class Home:
    """A home, the Meilisearch in it, and who uses it."""

    def __init__(self, path: Path, binary: Path) -> None:
        self.path = path
        self.binary = binary

    @property
    def folder(self) -> MeiliFolder:
        return MeiliFolder.of(self.path)

    def holder(self, binary: Path | None = None, patience: float = 60) -> EmbeddedMeilisearch:
        return EmbeddedMeilisearch(self.path, binary=lambda: binary or self.binary, patience=patience)

    def processes(self) -> tuple[int, int]:
        """Meilisearch and its keeper."""
        state = self.folder.state()
        return state.pid, state.keeper

    @contextmanager
    def command(self) -> Iterator[subprocess.Popen[str]]:
        """A program that holds Meilisearch until its input ends; it first says where it is."""
        program = subprocess.Popen(
            [sys.executable, "-c", A_COMMAND, self.path, self.binary],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        with program:
            try:
                yield program
            finally:
                program.kill()


@pytest.fixture
def home(tmp_path: Path, meilisearch_binary: Path) -> Iterator[Home]:
    made = Home(tmp_path / "home", meilisearch_binary)
    yield made
    for pid in named_in_processes(made.path):
        end(pid)


def named_in_processes(path: Path) -> list[int]:
    """The processes on whose command line the path is, keepers first: they start others."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found[int(entry.parent.name)] = entry.read_bytes()
    ours = [pid for pid, line in found.items() if os.fsencode(path) in line and pid != os.getpid()]
    return sorted(ours, key=lambda pid: b"workers.keeper" not in found[pid])


def end(pid: int, how: signal.Signals = signal.SIGKILL) -> None:
    """Signal the process if it is there, and wait until it is gone."""
    assert pid
    with suppress(ProcessLookupError):
        os.kill(pid, how)
    wait_until(lambda: not runs(pid))


def runs(pid: int) -> bool:
    """Whether the process does anything still: a zombie waits for its reaper only."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def threads(pid: int) -> set[str]:
    """The kernel's letters for what a process's threads do."""
    found = set()
    for path in Path(f"/proc/{pid}/task").glob("*/stat"):
        with suppress(FileNotFoundError, ProcessLookupError):
            found.add(path.read_text().rpartition(")")[2].split()[0])
    return found


def said(program: subprocess.Popen[str]) -> Address:
    assert program.stdout is not None
    return Address(*program.stdout.readline().split())


def put(address: Address, uid: str) -> None:
    headers = {"Authorization": f"Bearer {address.key}"}
    made = httpx.post(f"{address.url}/indexes", json={"uid": uid}, headers=headers, timeout=PATIENCE)
    made.raise_for_status()
    wait_until(lambda: has(address, uid))


def has(address: Address, uid: str) -> bool:
    return asked(address, f"/indexes/{uid}", Authorization=f"Bearer {address.key}").status_code == httpx.codes.OK


def asked(address: Address, path: str, **headers: str) -> httpx.Response:
    return httpx.get(f"{address.url}{path}", headers=headers, timeout=PATIENCE)


def program(path: Path, text: str) -> Path:
    path.write_text(f"#!/bin/sh\n{text}\n")
    path.chmod(0o755)
    return path


def test_the_first_to_need_it_starts_it_and_the_next_shares_it(home: Home) -> None:
    with home.holder() as first, home.holder() as second, home.command() as third:
        address = first.ensure()
        processes = home.processes()
        assert asked(address, "/health").json() == {"status": "available"}
        assert first.ensure() == second.ensure() == said(third) == address
        assert home.processes() == processes


def test_only_who_has_the_key_is_answered(home: Home) -> None:
    with home.holder() as holder:
        address = holder.ensure()
        assert address.url.startswith("http://127.0.0.1:")
        assert address.key not in repr(address)
        assert asked(address, "/indexes").status_code == httpx.codes.UNAUTHORIZED
        command_line = Path(f"/proc/{home.processes()[0]}/cmdline").read_text()
        assert address.key not in command_line


def test_it_ends_when_the_last_holder_lets_go(home: Home) -> None:
    with home.holder() as last:
        with home.holder() as first:
            first.ensure()
            last.ensure()
        processes = home.processes()
    wait_until(lambda: not any(runs(pid) for pid in processes))
    assert home.folder.state().url == ""


def test_it_ends_after_a_holder_that_was_killed(home: Home) -> None:
    with home.command() as command:
        said(command)
        processes = home.processes()
        command.kill()
        command.wait()
        wait_until(lambda: not any(runs(pid) for pid in processes))


def test_who_lets_go_may_hold_again(home: Home) -> None:
    with home.holder() as holder:
        address = holder.ensure()
        holder.close()
        assert holder.ensure() == address
        put(address, "kept")


def test_a_killed_keeper_takes_meilisearch_with_it_and_ensure_brings_it_back_with_its_data(home: Home) -> None:
    with home.holder() as holder:
        address = holder.ensure()
        put(address, "kept")
        meilisearch, keeper = home.processes()
        end(keeper)
        wait_until(lambda: not runs(meilisearch))

        assert holder.ensure() == address
        assert has(address, "kept")
        assert home.processes() != (meilisearch, keeper)


def test_a_killed_meilisearch_is_started_again_by_its_keeper(home: Home) -> None:
    with home.holder() as holder:
        address = holder.ensure()
        put(address, "kept")
        meilisearch, keeper = home.processes()
        end(meilisearch)

        wait_until(lambda: home.processes()[0] not in (0, meilisearch))
        assert home.processes()[1] == keeper
        assert holder.ensure() == address
        assert has(address, "kept")


def test_a_meilisearch_that_outlived_its_keeper_does_not_stay_beside_the_new_one(home: Home) -> None:
    with home.holder() as holder:
        put(holder.ensure(), "kept")
        meilisearch, keeper = home.processes()
        state = home.folder.state()
        command_line = Path(f"/proc/{meilisearch}/cmdline").read_text().rstrip("\0").split("\0")
        end(keeper)
        wait_until(lambda: not runs(meilisearch))  # its port and folder are free
        with subprocess.Popen(
            command_line, env={"MEILI_MASTER_KEY": home.folder.key()}, cwd=home.folder.path, stderr=subprocess.DEVNULL
        ) as leftover:
            wait_until(lambda: Path(f"/proc/{leftover.pid}/cmdline").read_text())  # it is no copy of us any more
            home.folder.write_state(type(state)(pid=leftover.pid))
            assert has(holder.ensure(), "kept")
            assert leftover.wait() == -signal.SIGKILL


def test_commands_that_come_at_once_get_one_server_and_one_key(home: Home) -> None:
    with (
        home.command() as a, home.command() as b, home.command() as c, home.command() as d,
        home.command() as e, home.command() as f, home.command() as g, home.command() as h,
    ):  # fmt: skip
        assert len({said(command) for command in (a, b, c, d, e, f, g, h)}) == 1
        end(home.processes()[1], signal.SIGTERM)  # it tells where Meilisearch answers before it writes that down
    assert home.folder.log.read_text().count(" answers at ") == 1


def test_a_port_that_somebody_else_took_is_given_up(home: Home) -> None:
    with home.holder() as holder, socket.socket() as stranger:
        before = holder.ensure()
        put(before, "kept")
        end(home.processes()[1], signal.SIGTERM)
        stranger.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        stranger.bind(("127.0.0.1", home.folder.port()))
        stranger.listen()

        after = holder.ensure()
        assert after.url != before.url
        assert after.key == before.key
        assert has(after, "kept")
        assert after.url.endswith(f":{home.folder.port()}")


def test_what_lies_under_home_is_its_owners(home: Home) -> None:
    with home.holder() as holder:
        holder.ensure()
        assert stat.S_IMODE(home.folder.path.stat().st_mode) == 0o700
        files = {path.name: stat.S_IMODE(path.stat().st_mode) for path in home.folder.path.iterdir() if path.is_file()}
    assert set(files) == {"holders.lock", "keeper.lock", "key", "meilisearch.log", "port", "state.json"}
    assert set(files.values()) == {0o600}


def test_meilisearch_gets_the_operators_settings_and_no_tokens(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEILI_MAX_INDEXING_THREADS", "1")
    monkeypatch.setenv("MEILI_SSL_CERT_PATH", "another server's")
    monkeypatch.setenv("MEILI_MASTER_KEY", "another server's")
    monkeypatch.setenv("A_TOKEN", "secret")
    with home.holder() as holder:
        holder.ensure()
        environment = Path(f"/proc/{home.processes()[0]}/environ").read_text()
    assert "MEILI_MAX_INDEXING_THREADS=1" in environment
    assert "secret" not in environment
    assert "another" not in environment


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("echo 'Error: the moon is full.' >&2; exit 1", "the moon is full"),
        ("exit 1", "ended with status 1 and said nothing"),
        ("kill -9 $$", "it was ended by SIGKILL"),
    ],
)
def test_a_broken_program_is_told_of_in_a_sentence(home: Home, tmp_path: Path, text: str, reason: str) -> None:
    broken = program(tmp_path / "broken", text)
    with home.holder(broken) as holder, pytest.raises(IndexUnavailable, match="does not start") as caught:
        holder.ensure()
    assert reason in str(caught.value)
    assert str(home.folder.log) in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_is_no_program_is_told_of_and_a_mended_one_is_tried_again(home: Home, tmp_path: Path) -> None:
    with home.holder(tmp_path / "missing") as holder, pytest.raises(IndexUnavailable, match="cannot be run"):
        holder.ensure()
    with home.holder() as holder:
        assert holder.ensure().url


def test_one_that_never_answers_is_not_waited_for_for_ever(home: Home, tmp_path: Path) -> None:
    silent = program(tmp_path / "silent", "exec sleep 60")
    with home.holder(silent, patience=0.5) as holder, pytest.raises(IndexUnavailable, match=r"within 0\.5 s"):
        holder.ensure()


def test_who_comes_while_the_keeper_ends_it_waits_for_that(home: Home) -> None:
    ending = home.folder.lock_file("holders")
    fcntl.flock(ending, fcntl.LOCK_EX)
    with home.holder(patience=0.1) as holder, pytest.raises(IndexUnavailable, match=r"within 0\.1 s"):
        holder.ensure()
    assert home.processes() == (0, 0)
    os.close(ending)
    with home.holder() as holder:
        assert holder.ensure().url


def test_data_of_another_version_makes_way_for_an_empty_index(home: Home) -> None:
    with home.holder() as holder:
        put(holder.ensure(), "kept")
        end(home.processes()[1], signal.SIGTERM)
        (home.folder.db / "VERSION").write_text("1.20.0")

        address = holder.ensure()
        assert not has(address, "kept")
        put(address, "new")
    assert "database version (1.20.0) is incompatible" in home.folder.log.read_text()


def test_a_home_that_was_removed_is_begun_anew(home: Home) -> None:
    with home.holder() as holder:
        before = holder.ensure()
        processes = home.processes()
        shutil.rmtree(home.path)
        wait_until(lambda: not any(runs(pid) for pid in processes))

        after = holder.ensure()
        assert after.key != before.key
        put(after, "new")


def test_a_relative_home_is_meant_from_here(home: Home, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(home.path.parent)
    with EmbeddedMeilisearch(Path("home"), binary=lambda: home.binary) as holder:
        monkeypatch.chdir("/")
        holder.ensure()
        assert all(home.processes())


def test_a_home_that_is_a_file_is_told_of_in_a_sentence(tmp_path: Path) -> None:
    (tmp_path / "home").write_text("")
    with (
        EmbeddedMeilisearch(tmp_path / "home", binary=lambda: tmp_path) as holder,
        pytest.raises(ConfigurationError, match="set MCP_INDEXER_HOME to another"),
    ):
        holder.ensure()


@pytest.mark.parametrize(
    ("code", "kind", "advice"),
    [
        (errno.EROFS, ConfigurationError, "Read-only file system"),
        (errno.EACCES, ConfigurationError, "Permission denied"),
        (errno.ENOLCK, ConfigurationError, "no file locks"),
        (errno.ENOSPC, IndexUnavailable, "make room"),
    ],
)
def test_an_unusable_home_gets_the_sentence_that_fits(code: int, kind: type[Exception], advice: str) -> None:
    told = unusable(Path("home"), OSError(code, os.strerror(code), "home/meilisearch"))
    assert type(told) is kind
    assert advice in str(told)


def test_one_that_hangs_is_given_up_by_who_only_looks(home: Home) -> None:
    with home.holder() as holder, home.holder() as looking:
        holder.ensure()
        meilisearch, _ = home.processes()
        os.kill(meilisearch, signal.SIGSTOP)
        wait_until(lambda: threads(meilisearch) == {"T"})  # one of them hears it, and the others may answer until then
        with pytest.raises(IndexUnavailable, match="did not answer within 0 s"):
            looking.ensure(hung=0)
        os.kill(meilisearch, signal.SIGCONT)
        assert looking.ensure() == holder.ensure()
