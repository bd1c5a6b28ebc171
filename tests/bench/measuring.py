"""What a process says of a job that it did, as the last line of its stdout."""

import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import orjson

Json = dict[str, Any]


def measured(job: Callable[..., Json], *arguments: Any) -> Json:
    """What a job says, and what it took."""
    began, used = time.perf_counter(), time.process_time()
    said = job(*arguments)
    return {**said, "seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - used}


def tell(said: Json) -> None:
    """Says it, with the process's own peak memory and the bytes that it wrote, until now."""
    peak, written = _of_this_process("status", "VmHWM", 2**10), _of_this_process("io", "write_bytes", 2**20)
    line = orjson.dumps({**said, "peak_mib": peak, "written_mib": written})
    sys.stdout.write(line.decode() + "\n")


def _of_this_process(file: str, field: str, unit: int) -> float | None:
    """A number that Linux keeps of a process, in units; None elsewhere."""
    try:
        lines = (Path("/proc/self") / file).read_text().splitlines()
    except OSError:
        return None
    return next((int(line.split()[1]) / unit for line in lines if line.startswith(f"{field}:")), None)
