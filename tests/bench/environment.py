"""What was measured on: figures of another machine, or of a busy one, are other figures."""

import os
import platform
import subprocess
from pathlib import Path

from tests.bench.figures import Json


def environment(meilisearch: Path, database: str) -> Json:
    """The machine and the programs."""
    said = subprocess.run([meilisearch, "--version"], capture_output=True, text=True, check=True)
    return {
        "cores": os.cpu_count(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "python": platform.python_version(),
        "meilisearch": said.stdout.split()[-1],
        "database": database,
        "load": load(),
    }


def load() -> float:
    """How busy the machine was in the last minute: processes that ran or wanted to."""
    return round(os.getloadavg()[0], 2)


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor()
    return next((line.partition(":")[2].strip() for line in lines if line.startswith("model name")), "")
