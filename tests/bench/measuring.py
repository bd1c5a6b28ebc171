"""What a process says of a job that it did, as the last line of its stdout."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

Json = dict[str, Any]


def measured(job: Callable[..., Json], *arguments: Any) -> Json:
    """What a job says, and what it took: SQL statements are counted where SQLAlchemy is there to count them."""
    statements = _count_statements()
    began, used = time.perf_counter(), time.process_time()
    said = job(*arguments)
    took = {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}
    return {**said, **took, "statements": len(statements)}


def _count_statements() -> list[None]:
    """A list that grows by one with each statement that this process sends from now on."""
    found: list[None] = []
    if "sqlalchemy" in sys.modules:
        from sqlalchemy import Engine, event

        event.listen(Engine, "before_cursor_execute", lambda *_: found.append(None))
    return found


def tell(said: Json) -> None:
    """Says it, with the process's own peak memory and the bytes that it wrote, until now."""
    peak, written = peak_mib(), _of_process("self", "io", "write_bytes", 2**20)
    line = orjson.dumps({**said, "peak_mib": peak, "written_mib": written})
    sys.stdout.write(line.decode() + "\n")


def peak_mib(pid: int | str = "self") -> float | None:
    """The most memory that a process held until now, in MiB."""
    return _of_process(pid, "status", "VmHWM", 2**10)


def _of_process(pid: int | str, file: str, field: str, unit: int) -> float | None:
    """A number that Linux keeps of a process, in units; None elsewhere."""
    try:
        lines = (Path("/proc") / str(pid) / file).read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / unit for line in lines if line.startswith(f"{field}:")), None)
