import importlib.util
import re
import shutil
import subprocess
import sys
import sysconfig
import venv
import zipfile
from collections.abc import Iterator
from importlib.metadata import distributions, packages_distributions
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[1]
PACKAGES = {"schemas", "indexer", "workers"}

# Written in pieces, so that this file does not name what it forbids.
REGISTRY_HOSTS = [
    ("pypi", "org"),
    ("pypi", "python", "org"),
    ("python" + "hosted", "org"),
    ("npmjs", "org"),
    ("npmjs", "com"),
    ("yarnpkg", "com"),
    ("deb", "debian"),
    ("debian", "org"),
    ("crates", "io"),
    ("proxy", "golang"),
]
MACHINE_FOLDERS = ["work", "farm", "root", "tmp/w"]


def run(*command: str | Path, cwd: Path) -> str:
    done = subprocess.run(command, cwd=cwd, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def own_modules() -> Iterator[Path]:
    for package in sorted(PACKAGES):
        for path in sorted((CHECKOUT / package).rglob("*.py")):
            yield path.relative_to(CHECKOUT)


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dist")
    run(sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", folder, CHECKOUT, cwd=folder)
    (built,) = folder.glob("*.whl")
    return built


@pytest.fixture(scope="session")
def elsewhere(wheel: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The scripts of an environment that holds the wheel, and sees our dependencies but not the checkout."""
    folder = tmp_path_factory.mktemp("elsewhere")
    venv.create(folder, with_pip=False, symlinks=True)
    (packages,) = folder.glob("lib/python*/site-packages")
    run(
        *(sys.executable, "-m", "pip", "--python", folder / "bin" / "python", "install"),
        *("--quiet", "--no-deps", "--no-index", "--disable-pip-version-check", wheel),
        cwd=folder,
    )
    # Path files in a folder that was itself named by one are not read: the editable install stays out of sight.
    (packages / "dependencies.pth").write_text(sysconfig.get_path("purelib") + "\n")
    return folder / "bin"


def test_the_wheel_holds_the_three_packages_with_their_data_and_nothing_else(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    info = {name for name in names if name.split("/")[0].endswith(".dist-info")}
    held = {name for name in names - info if not name.endswith("/")}

    assert {name.split("/")[0] for name in held} == PACKAGES
    assert {str(path) for path in own_modules()} <= held
    data = {
        str(path.relative_to(CHECKOUT))
        for path in (CHECKOUT / "workers" / "sample").rglob("*")
        if path.is_file() and path.suffix not in (".py", ".pyc")
    }
    assert data, "the sample registry has no data"
    assert data <= held
    assert {f"{package}/py.typed" for package in PACKAGES} <= held


def test_the_wheel_brings_one_command(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (name for name in archive.namelist() if name.endswith(".dist-info/entry_points.txt"))
        lines = archive.read(name).decode().split("\n")
    scripts = lines[lines.index("[console_scripts]") + 1 :]
    assert [line for line in scripts if line] == ["mcp-indexer = workers.__main__:main"]


@pytest.mark.parametrize("package", sorted(PACKAGES))
def test_the_installed_package_is_the_wheels(elsewhere: Path, package: str, tmp_path: Path) -> None:
    code = f"import {package}; print({package}.__file__)"
    where = Path(run(elsewhere / "python", "-c", code, cwd=tmp_path).strip())
    assert where.is_relative_to(elsewhere.parent)


def test_the_installed_command_shows_its_usage(elsewhere: Path, tmp_path: Path) -> None:
    assert "Usage: mcp-indexer" in run(elsewhere / "mcp-indexer", "--help", cwd=tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_no_other_distribution_owns_our_names() -> None:
    owners = packages_distributions()
    assert {package: set(owners.get(package, [])) - {"mcp-indexer"} for package in PACKAGES} == {
        package: set() for package in PACKAGES
    }
    for distribution in distributions():
        if distribution.metadata["Name"] != "mcp-indexer":
            tops = {file.parts[0].removesuffix(".py") for file in distribution.files or []}
            assert not tops & PACKAGES, distribution.metadata["Name"]


def test_our_names_are_the_checkouts() -> None:
    for package in PACKAGES:
        spec = importlib.util.find_spec(package)
        assert spec is not None
        assert spec.origin is not None
        assert Path(spec.origin).is_relative_to(CHECKOUT)


def test_no_module_shadows_a_library() -> None:
    # Beside a script of the same folder `import http` finds http.py: STYLE calls such names a trap.
    taken = set(sys.stdlib_module_names) | set(packages_distributions())
    dependencies = {name.lower() for name in taken} - PACKAGES
    assert [path for path in own_modules() if path.stem in dependencies and path.stem != "__init__"] == []


@pytest.fixture(scope="session")
def project_files() -> list[Path]:
    """Every file that is under version control, or would be with `git add`."""
    git = shutil.which("git")
    assert git is not None, "git is needed to know which files are the project's"
    names = run(git, "ls-files", "-z", "--cached", "--others", "--exclude-standard", cwd=CHECKOUT)
    paths = [CHECKOUT / name for name in names.split("\0") if name]
    return [path for path in paths if path.is_file()]


def naming(pattern: str, files: list[Path]) -> list[str]:
    """Which lines of which files hold the pattern."""
    compiled = re.compile(pattern)
    return [
        f"{path.relative_to(CHECKOUT)}:{number}: {line[:120]}"
        for path in files
        for number, line in enumerate(path.read_text(errors="replace").splitlines(), 1)
        if compiled.search(line)
    ]


def test_no_file_names_the_host_of_a_package_registry(project_files: list[Path]) -> None:
    hosts = "|".join(r"\.".join(parts) for parts in REGISTRY_HOSTS)
    assert naming(rf"(?i)(?:{hosts})\b", project_files) == []


def test_no_file_names_a_path_of_one_machine(project_files: list[Path]) -> None:
    assert naming(f"/(?:{'|'.join(MACHINE_FOLDERS)})/", project_files) == []


def test_both_locks_pin_the_same_with_hashes_and_no_address() -> None:
    pins: dict[str, str] = {}
    for name in ("requirements.txt", "requirements-dev.txt"):
        text = (CHECKOUT / ".ci" / name).read_text()
        assert "://" not in text
        assert not re.search(r"^--", text, re.MULTILINE)
        for package, version, rest in re.findall(r"^([\w.-]+)==(\S+)(.*(?:\n    --hash.*)*)", text, re.MULTILINE):
            assert "--hash=sha256:" in rest, package
            assert pins.setdefault(package, version) == version, package
    assert {"celery", "hatchling", "pytest", "sqlmodel"} <= set(pins)
