"""The same noise through training: one picture per trial, a row for each time, a column for each of
the first latents.

All trials and all times are sampled from the same latents, so a column shows what one noise becomes
as training goes on, in every trial alike.
"""

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from PIL import Image

from ictsweep.report.samples import COLUMNS, Picture, encoded, opened
from ictsweep.report.view import Sheet, TrialView

ROWS = 10  # at most; more are thinned evenly


@dataclass(frozen=True, kw_only=True)
class Strip:
    """A trial's picture, and what each of its rows is, from the top."""

    trial: int
    rows: tuple[str, ...]
    picture: Picture


def strip(trial: TrialView, images: int) -> Strip | None:
    """The strip of a trial whose sheets hold `images` samples, eight to a row; None where fewer
    than two of its sheets are there: there is nothing to compare over time.
    """
    found = [(sheet, tiles) for sheet in _chosen(trial.sheets) if (tiles := _tiles(sheet, images))]
    same = [(sheet, tiles) for sheet, tiles in found if tiles.size == found[-1][1].size]
    if len(same) < 2:
        return None
    width, height = same[0][1].size
    picture = Image.new(same[0][1].mode, (width, height * len(same)))
    for row, (_, tiles) in enumerate(same):
        picture.paste(tiles, (0, row * height))
    longest = max(sheet.run_kimg for sheet, _ in same)
    rows = tuple(_label(sheet, longest) for sheet, _ in same)
    return Strip(trial=trial.number, rows=rows, picture=encoded(picture))


def sheet_size(evaluate: dict[str, object]) -> int:
    """How many samples a sheet holds, of a trial block's `evaluate`."""
    grid, images = evaluate.get("grid", 64), evaluate.get("images", 1000)
    return min(int(str(grid)), int(str(images)))


def _chosen(sheets: Sequence[Sheet]) -> list[Sheet]:
    """The ends of shorter runs, then the longest run, thinned evenly with both ends kept."""
    longest = max((sheet.run_kimg for sheet in sheets), default=0)
    short = [s for s in sheets if s.run_kimg < longest and s.kimg == s.run_kimg]
    whole = [s for s in sheets if s.run_kimg == longest]
    room = max(2, ROWS - len(short))
    if len(whole) > room:
        step = (len(whole) - 1) / (room - 1)
        whole = [whole[round(i * step)] for i in range(room)]
    return [*short, *whole]


def _tiles(sheet: Sheet, images: int) -> Image.Image | None:
    """The first row of a sheet, without its empty places; None where there is no such picture."""
    image = opened(sheet.path)
    rows = math.ceil(images / COLUMNS)
    if image is None or image.height % rows or image.width % COLUMNS:
        return None
    width = image.width // COLUMNS * min(images, COLUMNS)
    return image.crop((0, 0, width, image.height // rows))


def _label(sheet: Sheet, longest: int) -> str:
    return f"{'' if sheet.run_kimg == longest else 'run of '}{sheet.kimg:,} kimg"


def strips(trials: Sequence[TrialView], images: int) -> Iterator[Strip]:
    """The strips of those trials that have one, in their order."""
    for trial in trials:
        found = strip(trial, images)
        if found is not None:
            yield found
