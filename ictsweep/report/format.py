"""How numbers read: as many digits as they are worth, the error beside the value, units in
words.
"""

import math
from datetime import UTC, datetime
from typing import Any

import numpy as np

from ictsweep.report.view import Scored


def scored(score: Scored | None) -> str:
    """A value with its standard error, "31.2 ± 0.8"; a dash where there is none."""
    return "–" if score is None else plus_minus(score.value, score.error)


def plus_minus(value: float, error: float | None) -> str:
    """Both rounded where the error has two digits if they begin 10..35, else one (the Particle
    Data Group's rule).
    """
    if error is None or not math.isfinite(error) or error <= 0:
        return number(value)
    places = _places(error)
    return f"{_fixed(value, places)} ± {_fixed(error, places)}"


def like(value: float, error: float | None) -> str:
    """The value alone, rounded as its error would have it."""
    if error is None or not math.isfinite(error) or error <= 0:
        return number(value)
    return _fixed(value, _places(error))


def number(value: float) -> str:
    """Three significant digits, never in exponents between 0.001 and a million."""
    if value == 0 or not math.isfinite(value):
        return f"{value:g}"
    size = math.floor(math.log10(abs(value)))
    return _fixed(value, 2 - size) if -4 < size < 6 else f"{value:.2e}"


def setting(value: Any) -> str:
    """A parameter's value as one would write it in YAML, floats to four digits."""
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return tick(value, 4) if isinstance(value, float) else str(value)


def tick(value: float, digits: int = 3) -> str:
    """A round number as short as it is: "0.0005", "-1.6", "200"."""
    if value == 0 or not 1e-6 < abs(value) < 1e6:
        return f"{value:.{digits}g}"
    return np.format_float_positional(value, digits, fractional=False, trim="-")


def probability(p: float) -> str:
    """Two digits, "< 0.001" below."""
    return "< 0.001" if p < 0.001 else f"{p:.3f}" if p < 0.1 else f"{p:.2f}"


def duration(seconds: float) -> str:
    """The two largest units: "48 s", "4 min 12 s", "2 h 05 min", "3 d 04 h"."""
    whole = round(seconds)
    minutes, hours, days = whole // 60, whole // 3600, whole // 86400
    if days:
        return f"{days} d {hours % 24:02d} h"
    if hours:
        return f"{hours} h {minutes % 60:02d} min"
    return f"{minutes} min {whole % 60:02d} s" if minutes else f"{whole} s"


def moment(time: float | None) -> str:
    """A moment to the minute, in UTC; a dash for none."""
    return "–" if time is None else datetime.fromtimestamp(time, UTC).strftime("%Y-%m-%d %H:%M UTC")


def count(n: int, noun: str, plural: str = "") -> str:
    """ "1 trial", "18 trials"."""
    return f"{n:,} {noun}" if n == 1 else f"{n:,} {plural or noun + 's'}"


def _places(error: float) -> int:
    size = math.floor(math.log10(error))
    digits = round(error / 10.0**size * 100)  # 100..1000
    return 1 - size if digits < 355 else -size


def _fixed(value: float, places: int) -> str:
    return f"{round(value, places):,.{max(places, 0)}f}"
