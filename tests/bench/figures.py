"""What was measured, beside what was asked for: as a table for people, as JSON for programs."""

import statistics
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Target:
    """What a figure is to be: at most, at least, or both, which is exactly."""

    at_most: float | None = None
    at_least: float | None = None

    def met(self, value: float) -> bool:
        """Whether a figure is so."""
        above = self.at_least is None or value >= self.at_least
        return above and (self.at_most is None or value <= self.at_most)

    def __str__(self) -> str:
        if self.at_most == self.at_least:
            return f"= {number(self.at_most)}"
        return f"≤ {number(self.at_most)}" if self.at_least is None else f"≥ {number(self.at_least)}"


@dataclass(frozen=True, slots=True)
class Measure:
    """One figure of one round; None where this machine does not tell."""

    name: str
    value: float | None
    unit: str
    target: Target | None = None


@dataclass(frozen=True, slots=True)
class Figure:
    """The median of a measure over the rounds."""

    case: str
    name: str
    unit: str
    runs: tuple[float, ...]
    target: Target | None

    @property
    def value(self) -> float | None:
        """The median; None where nothing was measured."""
        return statistics.median(self.runs) if self.runs else None

    @property
    def verdict(self) -> str:
        """`met` or `missed`; empty where there is no target or no figure."""
        if self.target is None or self.value is None:
            return ""
        return "met" if self.target.met(self.value) else "missed"

    def json(self) -> Json:
        """As bench.json has it."""
        target = self.target
        return {
            "case": self.case,
            "name": self.name,
            "value": self.value,
            "unit": self.unit,
            "runs": list(self.runs),
            "target": None if target is None else {"at_most": target.at_most, "at_least": target.at_least},
            "verdict": self.verdict or None,
        }


def figures(case: str, rounds: Sequence[Iterable[Measure]]) -> list[Figure]:
    """The figures of a case, from its measures in every round."""
    by_name: dict[str, list[Measure]] = {}
    for measures in rounds:
        for measure in measures:
            by_name.setdefault(measure.name, []).append(measure)
    return [
        Figure(
            case,
            name,
            found[0].unit,
            tuple(one.value for one in found if one.value is not None),
            found[0].target,
        )
        for name, found in by_name.items()
    ]


def table(found: Iterable[Figure]) -> list[str]:
    """The lines of the table; a case is named in its first line."""
    rows = [("case", "figure", "median", "target", "", "runs")]
    before = ""
    for one in found:
        rows.append(
            (
                "" if one.case == before else one.case,
                one.name,
                "not known here" if one.value is None else f"{number(one.value)} {one.unit}".rstrip(),
                "" if one.target is None else str(one.target),
                one.verdict,
                " ".join(map(number, one.runs)),
            )
        )
        before = one.case
    widths = [max(len(row[column]) for row in rows) for column in range(len(rows[0]))]
    return ["  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() for row in rows]


def number(value: float | None) -> str:
    """A number as people read it: three digits that count, thousands apart."""
    if value is None:
        return "?"
    if value == int(value) or abs(value) >= 100:
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"
