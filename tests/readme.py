"""The README, read and run: its commands in one shell, in order, and the tables that the code makes.

`python -m tests.readme` writes into it what its commands print now, and those tables, wherever they are not the same.
"""

import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any, NamedTuple, Self

from pydantic import BaseModel

from indexer.lint.rules import NAME_CASE, RULES
from indexer.search_settings import SETTINGS
from schemas.documents import document_schema
from tests.ports import LOOPBACK, dead_port, free_port
from workers.kinds import KINDS
from workers.meili_binary import VERSION, find_binary
from workers.settings import Settings
from workers.sources_file import SourceConfig
from workers.terminal import say

CHECKOUT = Path(__file__).parents[1]
README = CHECKOUT / "README.md"
NODE = shutil.which("node")
OFFICIAL = "https://registry.modelcontextprotocol.io"
HERE = "/home/you/mcp-indexer"
"""What the README says for the folder that somebody is in."""

_FENCE = re.compile(r"(?:<!-- (file|not run|one command): (.*?) -->\n)?```(\w*)\n(.*?)```\n", re.DOTALL)
_TABLE = re.compile(r"<!-- table: ([\w-]+) -->\n\n?((?:\|.*\n)*)")
_MARK = "-- done "
_CURL = """#!{python}
import sys, time, urllib.request, urllib.error
rest, headers, data, url, tries = sys.argv[1:], {{}}, None, None, 1
while rest:
    word = rest.pop(0)
    if word == "-H":
        name, _, value = rest.pop(0).partition(": ")
        headers[name] = value
    elif word == "-d":
        data = rest.pop(0).encode()
    elif word == "--retry":
        tries += int(rest.pop(0))
    elif not word.startswith("--"):
        url = word
for left in reversed(range(tries)):
    try:
        print(urllib.request.urlopen(urllib.request.Request(url, data, headers)).read().decode(), end="")
        break
    except urllib.error.URLError:
        if not left:
            raise
        time.sleep(1)
"""


class Step(NamedTuple):
    """A command with the output that the README shows, or a file that it shows."""

    command: str
    expected: str
    file: str = ""


class Ran(NamedTuple):
    """What a command printed, on stdout and stderr, and its exit status."""

    out: str
    status: int


def steps() -> list[Step]:
    """What somebody does who follows the README, in order."""
    found: list[Step] = []
    for marker, value, language, content in _FENCE.findall(README.read_text()):
        if marker == "file":
            found.append(Step(content, "", value))
        elif language == "console" and marker != "not run":
            parts = [content.removeprefix("$ ").split("\n", 1)] if marker == "one command" else _commands(content)
            found += (Step(command, expected) for command, expected in parts)
    return found


def not_run() -> list[str]:
    """The commands that are shown and not run."""
    fences = _FENCE.findall(README.read_text())
    return [
        command for marker, _, language, text in fences if marker == "not run" and language == "console"
        for command, _ in _commands(text)
    ]  # fmt: skip


def _commands(content: str) -> Iterator[tuple[str, str]]:
    for part in re.split(r"^\$ ", content, flags=re.MULTILINE)[1:]:
        command, _, expected = part.partition("\n")
        yield command, expected


def shape(text: str) -> str:
    """Text without its times, hashes, numbers and widths."""
    text = re.sub(r"\d{4}-\d\d-\d\dT[\d:.]+Z", "TIME", text)
    text = re.sub(r"\b[0-9a-f]{32,64}\b", "HEX", text)
    text = re.sub(r"\d+(?:[.,]\d+)*", "N", text)
    text = re.sub(r" MCP_INDEXER_MEILI_BINARY=\S+", "", text)  # said where it is not on the PATH
    text = re.sub(r"^ +\. \S*activate\n", "", text, flags=re.MULTILINE)  # said where the command is not
    return "\n".join(" ".join(line.split()) for line in text.strip().splitlines())


def same_shape(expected: str, found: str) -> bool:
    """Whether the output is what is shown; … stands for anything, on a line of its own for any lines."""
    pattern = re.escape(shape(expected) + "\n").replace("\\\n", "\n")
    pattern = re.sub(r"^…\n", r"(?:.*\\n)*?", pattern, flags=re.MULTILINE).replace("…", ".*")
    return re.fullmatch(pattern, shape(found) + "\n") is not None


class Shell:
    """One bash, in which exports and programs in the background stay until the end."""

    def __init__(self, folder: Path, ports: dict[str, int]) -> None:
        self.folder, self._ports = folder, ports
        programs = folder.parent / "programs"
        programs.mkdir()
        if shutil.which("curl") is None:
            (programs / "curl").write_text(_CURL.format(python=sys.executable))
            (programs / "curl").chmod(0o755)
        kept = {name: value for name, value in os.environ.items() if not name.startswith(("MCP_INDEXER_", "MEILI_"))}
        path = os.pathsep.join([str(Path(sys.executable).parent), str(programs), os.environ["PATH"]])
        self._lines: queue.Queue[str] = queue.Queue()
        self._bash = subprocess.Popen(
            ["bash", "--norc"],
            cwd=folder,
            env={**kept, "PATH": path, "COLUMNS": "80"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def run(self, step: Step, patience: float = 120) -> Ran:
        """Runs a command; of one in the background, waits for as many lines as are shown."""
        assert self._bash.stdin is not None
        self._bash.stdin.write(f'{{ {self._here(step.command)}\n}} < /dev/null; printf "\\n{_MARK}%d\\n" $?\n')
        self._bash.stdin.flush()
        wanted = step.expected.count("\n") if step.command.endswith("&") else 0
        out: list[str] = []
        status: int | None = None
        deadline = time.monotonic() + patience
        while status is None or sum(line != "\n" for line in out) < wanted:
            line = self._lines.get(timeout=max(0.0, deadline - time.monotonic()))
            if line.startswith(_MARK):
                status = int(line.removeprefix(_MARK))
            else:
                out.append(line)
        text = "".join(out).removesuffix("\n").replace(str(self.folder), HERE)
        for shown, port in self._ports.items():
            text = text.replace(f":{port}", f":{shown}")
        return Ran(text, status)

    def write(self, step: Step) -> None:
        """Writes a file that the README shows."""
        (self.folder / step.file).write_text(self._here(step.command))

    def _here(self, text: str) -> str:
        for shown, port in self._ports.items():
            text = text.replace(shown, str(port))
        return text

    def _read(self) -> None:
        assert self._bash.stdout is not None
        for line in self._bash.stdout:
            self._lines.put(line)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        os.killpg(self._bash.pid, signal.SIGTERM)
        self._bash.kill()  # an interactive one would outlive the other signal
        self._bash.wait()
        self._reader.join(10)
        for stream in (self._bash.stdin, self._bash.stdout):
            assert stream is not None
            stream.close()


def run_all(folder: Path, binary: Path) -> list[Ran | None]:
    """What each command comes to, in order in one shell and one folder; None for those that need what is not here."""
    for path in (".mcp-indexer/meilisearch/bin", ".venv/bin"):
        (folder / path).mkdir(parents=True)
    (folder / f".mcp-indexer/meilisearch/bin/meilisearch-{VERSION}").symlink_to(binary)
    (folder / ".venv/bin/activate").touch()  # the shell has this environment's programs already
    results: list[Ran | None] = []
    with dead_port() as port, Shell(folder, {"8899": free_port(), "7700": free_port()}) as shell:
        for step in steps():
            if step.file:
                shell.write(step)
            elif step.command.startswith("node ") and NODE is None:
                results.append(None)
            elif step.command == "make run":
                nobody = f"http://{LOOPBACK}:{port}"
                out, status = shell.run(Step(f"python -m workers.tour --official {nobody}", step.expected))
                results.append(Ran(out.replace(nobody, OFFICIAL), status))
            else:
                results.append(shell.run(step))
    return results


def update(text: str, results: list[Ran | None]) -> str:
    """The README with what its commands print and what its tables are now."""
    at = 0
    for step, found in zip([step for step in steps() if not step.file], results, strict=True):
        shown = f"$ {step.command}\n{step.expected}"
        at = text.index(shown, at)
        if found is not None and not same_shape(step.expected, found.out):
            out = "".join(f"{line.rstrip()}\n" for line in found.out.rstrip().splitlines())
            text = f"{text[:at]}$ {step.command}\n{out}{text[at + len(shown) :]}"
        at += 1
    options = [(kind, options_table(kind)) for kind in KINDS]
    for name, made in (("document", document_table()), ("rules", rules_table()), *options):
        text = text.replace(table(name), made) if table(name) else text
    return text


def table(name: str) -> str:
    """A table as the README has it."""
    (found,) = [rows for what, rows in _TABLE.findall(README.read_text()) if what == name]
    return str(found)


def cells(name: str) -> list[list[str]]:
    """A table's rows."""
    return [[cell.strip() for cell in row.strip("|").split("|")] for row in table(name).splitlines()[2:]]


def document_table() -> str:
    """The document's fields, from its schema and the index's settings."""
    schema = document_schema()
    rows = ["| field | type | filter | sort | |", "|---|---|---|---|---|"]
    for field, about in schema["properties"].items():
        nested = about.get("$ref")
        about = {**schema["$defs"][nested.rpartition("/")[2]], **about} if nested else about
        parts = about["properties"] if nested else {}
        rows.append(_row(field, "object" if nested else _type(about, schema["$defs"]), about.get("description", "")))
        rows += [_row(f"{field}.{part}", _type(said, {}), "") for part, said in parts.items()]
    return "\n".join(rows) + "\n"


def _row(field: str, kind: str, description: str) -> str:
    filters, sorts = (
        "yes" if field in SETTINGS[f"{what}ableAttributes"] else "" for what in ("filter", "sort")
    )  # fmt: skip
    return f"| `{field}` | {kind} | {filters} | {sorts} | {description} |"


def _type(about: dict[str, Any], definitions: dict[str, Any]) -> str:
    if "anyOf" in about:
        return " or ".join(_type(one, definitions) for one in about["anyOf"])
    if about.get("type") == "array":
        reference = about["items"].get("$ref")
        if reference is None:
            return f"list of {about['items']['type']}s"
        parts = definitions[reference.rpartition("/")[2]]["properties"]
        return "list of objects: " + ", ".join(f"`{part}`" for part in parts)
    return str(about["type"])


def rules_table() -> str:
    """What is said against records, from the rules."""
    rows = [_rule("schema/…", "error", "The declared JSON Schema refuses it; the id ends in the schema's keyword.")]
    rows += [_rule(rule.id, rule.severity, rule.line) for rule in RULES]
    rows.append(_rule(NAME_CASE, "warning", "Another server's name differs by case only."))
    return "\n".join(("| rule | severity | |", "|---|---|---|", *rows)) + "\n"


def _rule(rule: str, severity: str, line: str) -> str:
    return f"| `{rule}` | {severity} | {line} |"


def options_table(kind: str) -> str:
    """The options of a kind of source, from its model."""
    rows = ["| option | default | |", "|---|---|---|"]
    for name, field in KINDS[kind].Options.model_fields.items():
        rows.append(f"| `{name}` | {value(field.default)} | {field.description} |")
    return "\n".join(rows) + "\n"


def defaults(model: type[BaseModel], prefix: str = "") -> dict[str, str]:
    """A model's fields and their defaults, as the README writes them."""
    return {
        f"`{prefix}{name.upper() if prefix else name}`": "required" if field.is_required() else value(field.default)
        for name, field in model.model_fields.items()
    }


def setting_defaults() -> dict[str, str]:
    """The variables of the environment and what holds where they are not set."""
    return defaults(Settings, "MCP_INDEXER_")


def source_defaults() -> dict[str, str]:
    """The keys of a source that every kind knows."""
    found = defaults(SourceConfig)
    del found["`options`"]
    return found


def value(default: Any) -> str:
    """A default as the README writes it."""
    match default:
        case None:
            return "none"
        case bool():
            return f"`{str(default).lower()}`"
        case timedelta():
            return f"`{default.days}d`" if default.days else f"`{default.seconds // 3600}h`"
        case tuple():
            return "`[]`"
        case _:
            return f"`{default}`"


def main() -> None:
    """Brings the README up to date; look at the difference, and abridge with … what is long."""
    binary = find_binary(CHECKOUT / ".mcp-indexer", os.environ.get("MCP_INDEXER_MEILI_BINARY"), say)
    with tempfile.TemporaryDirectory() as folder:
        results = run_all(Path(folder) / "mcp-indexer", binary)
    failed = [found.out for found in results if found is not None and found.status != 0]
    if failed:
        sys.exit("\n".join(["Nothing was written, for these failed:", *failed]))
    README.write_text(update(README.read_text(), results))


if __name__ == "__main__":
    main()
