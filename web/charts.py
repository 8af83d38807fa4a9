"""Where the bars of a chart stand: plain geometry, drawn as SVG by templates/charts.html."""

from collections.abc import Sequence
from dataclasses import dataclass

# As wide as the smallest phones, so that letters there are as large as they are meant.
WIDTH, HEIGHT = 340, 150
LEFT, TOP, BOTTOM = 44, 10, 22
MOST_OF_A_SLOT, WIDEST = 0.7, 28.0


@dataclass(frozen=True, slots=True)
class Bar:
    """A rectangle, in the units of its chart."""

    kind: str
    """What it shows: a class of the style sheet."""
    x: float
    y: float
    width: float
    height: float


@dataclass(frozen=True, slots=True)
class Chart:
    """Bars over days, a scale that begins at zero, names under the first and last day."""

    bars: Sequence[Bar]
    most: int
    """What the top of the scale stands for."""
    names: Sequence[tuple[float, str, str]]
    """Where, which way it extends (`start`, `middle`, `end`), and what stands there."""


def columns(days: Sequence[str], stacks: Sequence[Sequence[tuple[str, int]]]) -> Chart:
    """For each day some numbers on top of each other, each with its kind."""
    most = max((sum(number for _, number in stack) for stack in stacks), default=0)
    bars = []
    for day, stack in enumerate(stacks):
        below = 0
        for kind, number in stack:
            if number:
                bars.append(_bar(kind, day, len(days), below, below + number, most))
            below += number
    return Chart(bars, most, _names(days))


def beside(days: Sequence[str], sets: Sequence[Sequence[tuple[str, int | None]]]) -> Chart:
    """For each day some numbers, each from zero; later ones stand in front. None: no bar."""
    most = max((number or 0 for numbers in sets for _, number in numbers), default=0)
    bars = [
        _bar(kind, day, len(days), 0, number, most)
        for day, numbers in enumerate(sets)
        for kind, number in numbers
        if number is not None
    ]
    return Chart(bars, most, _names(days))


def _bar(kind: str, day: int, days: int, low: int, high: int, most: int) -> Bar:
    slot, scale = (WIDTH - LEFT) / days, (HEIGHT - TOP - BOTTOM) / max(most, 1)
    width = min(slot * MOST_OF_A_SLOT, WIDEST)
    x = LEFT + slot * day + (slot - width) / 2
    # What is not nothing is never invisible.
    height = max((high - low) * scale, 1.0)
    y = HEIGHT - BOTTOM - low * scale - height
    return Bar(kind, round(x, 2), round(y, 2), round(width, 2), round(height, 2))


def _names(days: Sequence[str]) -> list[tuple[float, str, str]]:
    if not days:
        return []
    middle = len(days) // 2
    slot = (WIDTH - LEFT) / len(days)
    return [
        (LEFT, "start", days[0]),
        (round(LEFT + slot * (middle + 0.5), 2), "middle", days[middle]),
        (WIDTH, "end", days[-1]),
    ]
