"""Precision and recall: how many samples look like data, how much of the data the samples cover.

A set's manifold is the union of balls around its features, each reaching to the k-th nearest other
feature (k = 3). Precision is the share of samples inside the data's manifold, recall the share of
the data inside the samples' (Kynkäänniemi et al. 2019, arXiv:1904.06991). Balls are closed and a
duplicate is a neighbour at distance 0, as in the authors' code, ADM's and torch-fidelity's.

Distances come from float32 products of centred features, whose rounding is known: the pairs that it
could decide are measured again in float64, coordinate by coordinate, so duplicates and ties count
as they should. In bfloat16 the answer is wrong (0.079 for a true 0.042). A block of rows against
all columns is the most that is in memory.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from ictsweep.errors import UserError
from ictsweep.evaluation.estimates import Estimate

# Rows of a block: 200 MB in float32 against 50,000 columns.
_ROWS = 1024
# More candidates for nearest neighbours than wanted, since float32 may confuse the last ones.
_SPARE = 4


@dataclass(frozen=True, kw_only=True, eq=False)
class Manifold:
    """`features` float32 [n, d] and `radii` float64 [n], the distance of each to its `k`-th nearest
    other."""

    features: Tensor
    radii: Tensor
    k: int = 3


def manifold(features: Tensor, k: int = 3) -> Manifold:
    """The manifold of features [n, d], on their device; UserError unless n > k."""
    features = features.to(torch.float32)
    distances, _ = _nearest(features, k)
    return Manifold(features=features, radii=distances[:, -1], k=k)


def precision(features: Tensor, reference: Manifold) -> Estimate:
    """The share of samples [n, d] inside the data's manifold, with the error of a share."""
    features = features.to(torch.float32)
    found = [block.inside() for block in _blocks(features, reference)]
    inside = torch.cat(found).to(torch.float64)
    return Estimate.of(float(inside.mean()), inside)


def recall(features: Tensor, reference: Manifold) -> Estimate:
    """The share of the data inside the manifold of the samples [n, d], n > k + 1.

    Of `reference` only the features and k are used. The influence of a sample is (n - 1) times what
    leaving it out loses: data that its ball alone covers, less data that other balls come to cover
    as they grow to their next neighbour. The error is the jackknife's, which on average is not too
    small (Efron & Stein 1981): on features of real pictures it was 1.5 times the spread of redraws.
    """
    k = reference.k
    features = features.to(torch.float32)
    distances, neighbours = _nearest(features, k + 1)
    balls = Manifold(features=features, radii=distances[:, k - 1], k=k)
    data = reference.features.to(features.device)
    covered, lost = 0, torch.zeros(len(features), dtype=torch.float64, device=features.device)
    for block in _blocks(data, balls):
        covered += int(block.inside().sum())
        lost += block.lost(distances[:, k], neighbours[:, :k])
    return Estimate.of(covered / len(data), (len(features) - 1) / len(data) * lost)


@dataclass(frozen=True, kw_only=True, eq=False)
class _Block:
    """Rows `x` float32 [m, d] against the balls of a manifold, with the squared distances `square`
    float32 [m, n] and their largest error in each row, `rounding` [m, 1]."""

    x: Tensor
    balls: Manifold
    square: Tensor
    rounding: Tensor

    def inside(self) -> Tensor:
        """Which rows lie in a ball, bool [m], as float64 would have it."""
        gap = self.square - self.balls.radii.to(torch.float32).square()
        least = gap.amin(dim=1, keepdim=True)
        inside = (least < -self.rounding).flatten()
        unsure = (least.abs() <= self.rounding).flatten().nonzero().flatten()
        row, column = (gap[unsure] <= self.rounding[unsure]).nonzero(as_tuple=True)
        row = unsure[row]
        near = _exact(self.x[row], self.balls.features[column]) <= self.balls.radii[column]
        inside[row[near]] = True
        return inside

    def lost(self, grown: Tensor, neighbours: Tensor) -> Tensor:
        """How many rows would leave the manifold without each of its points, less those that would
        come in, float64 [n].

        `grown` [n] are the radii of balls that miss one of their k `neighbours` [n, k].
        """
        n = len(grown)
        held = self.square <= self.balls.radii.to(torch.float32).square()
        holders = held.sum(dim=1, dtype=torch.int32)
        few = holders <= 1
        held, holders = held[few], holders[few]
        row, keeper = held.nonzero(as_tuple=True)
        only = torch.full_like(holders, -1, dtype=torch.int64)
        only[row] = keeper
        lost = torch.bincount(keeper, minlength=n)
        # Pairs (row, point): without the point a ball grows to hold the row.
        wider = (self.square[few] <= grown.to(torch.float32).square()) & ~held
        row, ball = wider.nonzero(as_tuple=True)
        pairs = (row[:, None] * n + neighbours[ball]).unique()
        row, point = pairs // n, pairs % n
        comes_in = (only[row] == -1) | (only[row] == point)
        return (lost - torch.bincount(point[comes_in], minlength=n)).to(torch.float64)


def _blocks(x: Tensor, balls: Manifold) -> Iterator[_Block]:
    """Blocks of the rows of x float32 [m, d] against a manifold, here moved to their device."""
    y = balls.features.to(x.device)
    balls = Manifold(features=y, radii=balls.radii.to(x.device), k=balls.k)
    for rows, square, rounding in _squares(x, y):
        yield _Block(x=rows, balls=balls, square=square, rounding=rounding)


def _squares(x: Tensor, y: Tensor) -> Iterator[tuple[Tensor, Tensor, Tensor]]:
    """For each block of rows of x [m, d]: the rows, their squared distances float32 [., n] to y [n,
    d], and the largest error of these [., 1]."""
    centre = y.mean(dim=0)
    columns = y - centre
    lengths = columns.square().sum(dim=1)
    # Rounding of a product of d terms, and of the centring, of coordinates that lay far from 0.
    unit = 4 * torch.finfo(torch.float32).eps * (x.shape[1] ** 0.5 + 2)
    offset = 2 * torch.finfo(torch.float32).eps * max(y.abs().max(), x.abs().max())
    for rows in x.split(_ROWS):
        centred = rows - centre
        length = centred.square().sum(dim=1, keepdim=True)
        square = torch.addmm(lengths, centred, columns.T, alpha=-2).add_(length)
        reach = length.sqrt() + lengths.max().sqrt()
        yield rows, square, reach * (unit * reach + offset * x.shape[1] ** 0.5)


def _nearest(x: Tensor, count: int) -> tuple[Tensor, Tensor]:
    """The distances float64 [n, count], ascending, of each row of x [n, d] to its nearest others,
    and which these are, int64 [n, count]."""
    n = len(x)
    if n <= count:
        raise UserError(
            f"precision and recall look for {count} neighbours of each feature vector: that takes "
            f"at least {count + 1} of them, got {n}"
        )
    found = []
    for i, (rows, square, rounding) in enumerate(_squares(x, x)):
        own = torch.arange(i * _ROWS, i * _ROWS + len(rows), device=x.device)
        distances, indices, least = _closest(rows, x, own, square, count)
        # Others may be as near as `least` less its rounding; 0 is certain.
        last = distances[:, -1]
        unsure = ((last > 0) & (last.square() > least - rounding.flatten())).nonzero().flatten()
        if len(unsure) and count + _SPARE < n - 1:
            finer = _squares_in_float64(rows[unsure], x)
            again = _closest(rows[unsure], x, own[unsure], finer, count)
            distances[unsure], indices[unsure] = again[:2]
        found.append((distances, indices))
    distances, indices = zip(*found, strict=True)
    return torch.cat(distances), torch.cat(indices)


def _closest(
    rows: Tensor, x: Tensor, own: Tensor, square: Tensor, count: int
) -> tuple[Tensor, Tensor, Tensor]:
    """Distances and indices [m, count] of rows [m, d] to the nearest of x by `square` [m, n], which
    is overwritten where a row meets itself (`own` [m]), and the largest square among the candidates
    [m].
    """
    square.scatter_(1, own[:, None], torch.inf)
    values, candidates = square.topk(min(count + _SPARE, len(x) - 1), largest=False)
    exact = torch.stack([_exact(rows, x[column]) for column in candidates.T], dim=1)
    distances, order = exact.sort(dim=1, stable=True)
    return distances[:, :count], candidates.gather(1, order)[:, :count], values[:, -1]


def _squares_in_float64(rows: Tensor, x: Tensor) -> Tensor:
    """Squared distances float64 [m, n] of a few rows, for clusters whose own size float32 cannot
    tell from the distance between them."""
    parts = [torch.cdist(rows.double(), part.double()).square() for part in x.split(_ROWS)]
    return torch.cat(parts, dim=1)


def _exact(x: Tensor, y: Tensor) -> Tensor:
    """The distances of pairs of rows, float64 [m]."""
    return torch.cat(
        [
            (a.double() - b.double()).square().sum(dim=1).sqrt()
            for a, b in zip(x.split(_ROWS), y.split(_ROWS), strict=True)
        ]
    )
