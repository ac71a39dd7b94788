"""The same noise through training: every row a time, every column a latent, in every trial."""

import base64
import dataclasses
import io
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from ictsweep.evaluation import grid, save_png
from ictsweep.records import State
from ictsweep.report import build
from ictsweep.report.page import STRIPS
from ictsweep.report.strips import ROWS, Strip, sheet_size, strip
from ictsweep.report.table import columns, rises
from ictsweep.report.view import Sheet, StudyView, TrialView
from tests.report.fixture import Script, painted, write_study
from tests.report.reading import data_of


def value(run: int, kimg: int, latent: int) -> int:
    """The grey of the sample that a latent became."""
    return (run * 7 + kimg * 3 + latent) % 256


def sheets(folder: Path, times: list[tuple[int, int]], images: int = 64) -> tuple[Sheet, ...]:
    """Sheets as the trainer writes them, each sample of one grey."""
    found = []
    for run, kimg in times:
        greys = torch.tensor([value(run, kimg, i) for i in range(images)], dtype=torch.uint8)
        pixels = greys.view(-1, 1, 1, 1).expand(-1, 1, 8, 8)
        path = folder / f"{run:06d}-{kimg:06d}.png"
        save_png(path, grid(pixels, columns=8))
        found.append(Sheet(run_kimg=run, kimg=kimg, folder=folder, name=path.name))
    return tuple(found)


def trial(*found: Sheet) -> TrialView:
    return TrialView(
        number=3, replicate_of=None, seed=0, state=State.COMPLETE, params={}, sheets=found
    )


def pixels(found: Strip | None) -> np.ndarray:
    assert found is not None
    data = base64.b64decode(found.picture.uri.partition(",")[2])
    return np.asarray(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("images", [64, 16, 20, 5])
def test_rows_are_times_and_columns_are_latents(tmp_path: Path, images: int) -> None:
    times = [(36, 12), (36, 24), (36, 36)]
    found = strip(trial(*sheets(tmp_path, times, images)), images)
    picture = pixels(found)
    side = picture.shape[0] // 3
    assert picture.shape == (side * 3, side * min(8, images))
    for row, (run, kimg) in enumerate(times):
        for latent in range(min(8, images)):
            middle = picture[row * side + side // 2, latent * side + side // 2]
            assert middle == value(run, kimg, latent)
    assert found is not None
    assert found.rows == ("12 kimg", "24 kimg", "36 kimg")


def test_the_ends_of_short_runs_are_marked_and_come_first(tmp_path: Path) -> None:
    times = [(4, 2), (4, 4), (12, 6), (12, 12), (36, 18), (36, 36)]
    found = strip(trial(*sheets(tmp_path, times)), 64)
    assert found is not None
    assert found.rows == ("run of 4 kimg", "run of 12 kimg", "18 kimg", "36 kimg")
    picture = pixels(found)
    shown = [(4, 4), (12, 12), (36, 18), (36, 36)]
    assert [picture[i * 34 + 10, 10] for i in range(4)] == [value(*time, 0) for time in shown]


def test_many_times_are_thinned_evenly_with_both_ends(tmp_path: Path) -> None:
    found = strip(trial(*sheets(tmp_path, [(100, k) for k in range(1, 101)])), 64)
    assert found is not None
    assert len(found.rows) == ROWS
    kimg = [int(row.split()[0]) for row in found.rows]
    assert (kimg[0], kimg[-1]) == (1, 100)
    assert max(np.diff(kimg)) - min(np.diff(kimg)) <= 1


def test_pictures_that_are_missing_or_odd_are_left_out(tmp_path: Path) -> None:
    found = sheets(tmp_path, [(36, k) for k in (6, 12, 18, 24, 36)])
    found[0].path.unlink()
    found[1].path.write_bytes(b"no picture")
    Image.new("L", (80, 81)).save(found[2].path)
    result = strip(trial(*found), 64)
    assert result is not None
    assert result.rows == ("24 kimg", "36 kimg")
    found[3].path.unlink()
    assert strip(trial(*found), 64) is None  # one time shows nothing over time
    assert strip(trial(), 64) is None


def test_a_sheet_holds_as_many_samples_as_there_are() -> None:
    assert sheet_size({"every_kimg": 1}) == 64
    assert sheet_size({"grid": 16, "images": 1000}) == 16
    assert sheet_size({"grid": 64, "images": 40}) == 40


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of a study that has all its sheets."""
    folder = write_study(tmp_path_factory.mktemp("lens") / "digits", script=Script(pictures=False))
    for record in folder.trials():
        for m in record.measurements:
            path = folder.trial_dir(record.number) / str(m.samples)
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.fromarray(painted(m.values["fd"])).save(path)
    return build(folder.path, tmp_path_factory.mktemp("reports")).read_text()


def test_the_page_has_a_strip_for_each_trial_with_two_times(drawn: str, view: StudyView) -> None:
    several = [t for t in view.trials if sum(len(run.points) for run in t.runs) >= 2]
    strips = data_of(drawn)["strips"]
    assert 2 <= len(strips) <= STRIPS
    assert set(strips) <= {str(t.number) for t in several}
    best = strips[str(view.standing()[0].number)]
    assert best["rows"][0] == "run of 32 kimg"
    assert best["h"] == len(best["rows"]) * 8
    assert len(drawn) < 9_000_000


def test_metrics_of_which_more_is_better_say_so(view: StudyView) -> None:
    assert [rises(key) for key in ("precision", "recall_2step", "is", "fid", "kid_2step")] == [
        True, True, True, False, False,
    ]  # fmt: skip
    heads = [column.head for column in columns(view)]
    assert "final fd_2step" in heads


def test_an_extra_metric_of_which_more_is_better_is_marked_in_the_table(view: StudyView) -> None:
    one = view.trials[0]
    with_recall = dataclasses.replace(one, others={**one.others, "recall": one.others["fd_2step"]})
    changed = dataclasses.replace(view, trials=(with_recall, *view.trials[1:]))
    marked = [column for column in columns(changed) if column.head.endswith("↑")]
    assert [(c.head, c.name) for c in marked] == [
        ("final recall ↑", "recall at the full budget, the higher the better")
    ]
