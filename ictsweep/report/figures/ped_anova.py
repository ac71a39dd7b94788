"""PED-ANOVA on a grid: how differently the best trials are distributed from all, per parameter.

Watanabe et al. 2023, "PED-ANOVA", arXiv:2304.10255: the density of the best trials and that of all,
each a Parzen estimate over a grid with Scott's bandwidth, are compared by their Pearson divergence.
Optuna's evaluator gives the same numbers (a test says so) one study at a time; the report asks for
hundreds of resamplings, for which each trial's place on each grid is found once, here.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.special import ndtr

from ictsweep.study.spec import Axis

CELLS = 50  # of a continuous axis
PRIOR = 1.0  # weight of the flat prior, in trials
LEAST_WIDTH = 0.5 / 1.64  # of a kernel, in cells: 90 % of it in its own cell

Array = NDArray[Any]


@dataclass(frozen=True)
class Grid:
    """Trials on one axis: the cell of each, how many cells there are, and whether neighbouring
    cells are near each other.
    """

    cells: Array
    size: int
    ordered: bool

    @classmethod
    def of(cls, axis: Axis, values: Sequence[Any]) -> "Grid":
        """The grid of an axis, and where `values` (all on it) lie."""
        if axis.choices is not None:
            places = {_written(choice): i for i, choice in enumerate(axis.choices)}
            cells = np.array([places[_written(v)] for v in values], dtype=int)
            return cls(cells, len(axis.choices), ordered=False)
        size = _cells(axis)
        low, high = float(axis.low or 0), float(axis.high or 0)
        numbers = np.asarray(values, dtype=float)
        if axis.log:
            low, high, numbers = math.log(low), math.log(high), np.log(numbers)
        width = (high - low) / max(size - 1, 1)
        cells = np.ceil((numbers - low) / width - 0.5) if width else np.zeros(len(numbers))
        return cls(np.clip(cells.astype(int), 0, size - 1), size, ordered=True)

    def density(self, rows: Array) -> Array:
        """The Parzen estimate of those rows' trials, by cell."""
        counts = np.bincount(self.cells[rows], minlength=self.size)
        seen = np.flatnonzero(counts)
        if not len(seen):
            return np.full(self.size, 1 / self.size)
        kernels = self._kernels(seen, counts[seen]) if self.ordered else self._choices(seen)
        weights = np.append(counts[seen], PRIOR)
        return (weights / weights.sum()) @ kernels

    def _choices(self, seen: Array) -> Array:
        kernels = np.full((len(seen) + 1, self.size), PRIOR / (len(seen) + 1))
        kernels[np.arange(len(seen)), seen] += 1
        return kernels / kernels.sum(1, keepdims=True)

    def _kernels(self, seen: Array, counts: Array) -> Array:
        """Truncated normal kernels [seen + prior, cells]; each row sums to 1."""
        places = np.append(seen, (self.size - 1) / 2)
        widths = np.full(len(places), max(_scott(seen, counts), LEAST_WIDTH))
        widths[-1] = self.size
        edges = np.arange(self.size + 1) - 0.5
        below = ndtr((edges - places[:, None]) / widths[:, None])
        mass = np.diff(below, axis=1)
        return mass / mass.sum(1, keepdims=True)


def shares(grids: Sequence[Grid], rows: Array, values: Array, quantile: float) -> Array:
    """Importances of the axes for the trials `rows` with these values (lower is better), summing
    to 1; equal where nothing differs.
    """
    return against([grid.density(rows) for grid in grids], grids, rows, values, quantile)


def against(
    everywhere: Sequence[Array], grids: Sequence[Grid], rows: Array, values: Array, quantile: float
) -> Array:
    """The same where the densities of `rows` are known: values may be shuffled among them."""
    at = math.ceil(quantile * len(values)) - 1
    best = rows[values <= np.partition(values, at)[at]]
    pairs = zip(everywhere, grids, strict=True)
    found = np.array([_divergence(density, grid, best) for density, grid in pairs])
    total = found.sum()
    return found / total if total > 0 else np.full(len(grids), 1 / max(len(grids), 1))


def _divergence(everywhere: Array, grid: Grid, best: Array) -> float:
    if grid.size < 2:
        return 0.0
    below, top = everywhere + 1e-12, grid.density(best) + 1e-12
    return float(below @ (top / below - 1) ** 2)


def _scott(seen: Array, counts: Array) -> float:
    """Scott's bandwidth of cells seen `counts` times."""
    total, running = counts.sum(), np.cumsum(counts)
    mean = seen @ counts / total
    sd = math.sqrt((seen - mean) ** 2 @ counts / max(1, total - 1))
    low = seen[np.searchsorted(running, total // 4, side="left")]
    high = seen[min(len(seen) - 1, np.searchsorted(running, total * 3 // 4, side="right"))]
    return 1.059 * min((high - low) / 1.34, sd) * total**-0.2


def _cells(axis: Axis) -> int:
    low, high = float(axis.low or 0), float(axis.high or 0)
    whole = all(isinstance(n, int) for n in (axis.low, axis.high, axis.step or 1))
    if whole and axis.log:
        return min(math.ceil(math.log2(high - low + 1)) + 1, CELLS)
    step = axis.step or (1 if whole else None)
    return CELLS if step is None else min(round((high - low) / step) + 1, CELLS)


def _written(value: Any) -> tuple[str, Any]:
    """Choices by type and value: True is not 1."""
    return type(value).__name__, value
