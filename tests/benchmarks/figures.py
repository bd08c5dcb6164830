"""What becomes of measurements: lines of the table, met or missed, and how memory grows. Pure."""

import operator
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

_COMPARED: Mapping[str, Callable[[float, float], bool]] = MappingProxyType(
    {"≤": operator.le, "≥": operator.ge}
)
_HEAD = ("| what | measured | asked | |", "|---|---|---|---|")


@dataclass(frozen=True, slots=True, kw_only=True)
class Figure:
    """One measured number; `asked` is a sign and a number where performance.md has a target."""

    what: str
    value: float
    unit: str
    asked: tuple[str, float] | None = None
    void: bool = False  # the run says nothing, for a stream has not ended with its frames

    @property
    def verdict(self) -> str:
        """met, missed, void, or nothing where nothing is asked."""
        if self.void:
            return "**void**"
        if self.asked is None:
            return ""
        sign, number = self.asked
        return "met" if _COMPARED[sign](self.value, number) else "**missed**"


def table(figures: Sequence[Figure]) -> list[str]:
    """The figures as Markdown."""
    return [*_HEAD, *map(_line, figures)]


def _line(figure: Figure) -> str:
    asked = "" if figure.asked is None else f"{figure.asked[0]} {figure.asked[1]:,g} {figure.unit}"
    if figure.void:
        return f"| {figure.what} | | {asked} | {figure.verdict} |"
    value = f"{figure.value:,.0f}" if abs(figure.value) >= 100 else f"{figure.value:,.1f}"
    return f"| {figure.what} | {value} {figure.unit} | {asked} | {figure.verdict} |"


def percentiles(values: Sequence[int]) -> dict[str, float]:
    """p50, p99 and max of nanoseconds, in microseconds; nothing of nothing."""
    if not values:
        return {}
    ordered = sorted(values)
    pick = {"p50": 0.5, "p99": 0.99, "max": 1.0}
    return {name: ordered[min(len(ordered) - 1, int(len(ordered) * at))] / 1000 for name, at in pick.items()}


def slope(samples: Sequence[tuple[float, float]]) -> float:
    """The growth per second of (seconds, value) pairs, by least squares; 0 of fewer than two."""
    if len(samples) < 2:
        return 0.0
    mean_x = sum(x for x, _ in samples) / len(samples)
    mean_y = sum(y for _, y in samples) / len(samples)
    spread = sum((x - mean_x) ** 2 for x, _ in samples)
    return sum((x - mean_x) * (y - mean_y) for x, y in samples) / spread if spread else 0.0
