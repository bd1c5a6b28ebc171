"""Faults as a person writes them on a command line: `500=0.06,429=0.04,cut=0.04,wire=a,retry-after=2`."""

from typing import cast

from workers.sample.faults import FAULTS, Faults
from workers.sample.wire import GENERATIONS, Generation

FORMS = (
    f"fault=rate ({' '.join(FAULTS)}), retry-after=SECONDS, retry-after-date=SECONDS, slow-seconds=S or wire=a|b|c|d"
)


def parse_faults(text: str, seed: int = 0) -> Faults:
    """The faults that a text asks for; ValueError with a sentence where it cannot be read."""
    faults = Faults(seed=seed)
    for part in filter(None, (each.strip() for each in text.split(","))):
        key, _, value = part.partition("=")
        try:
            _set(faults, key, value)
        except ValueError:
            raise ValueError(f"{part!r} is no fault; write {FORMS}") from None
    if sum(faults.rates.values()) > 1 + 1e-9:
        raise ValueError("the rates of the faults add up to more than 1")
    return faults


def _set(faults: Faults, key: str, value: str) -> None:
    rate = next((fault for fault in FAULTS if fault == key), None)
    if rate is not None:
        faults.rates[rate] = _share(value)
    elif key in ("retry-after", "retry-after-date"):
        faults.retry_after, faults.retry_after_as_date = int(value), key.endswith("date")
    elif key == "slow-seconds":
        faults.slow_seconds = float(value)
    elif key == "wire":
        faults.wire = GENERATIONS[GENERATIONS.index(cast(Generation, value))]
    else:
        raise ValueError(key)


def _share(value: str) -> float:
    share = float(value)
    if not 0 <= share <= 1:
        raise ValueError(value)
    return share
