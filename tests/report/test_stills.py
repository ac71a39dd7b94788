"""Figures for papers: every one is drawn, in every format, or it is said what is missing."""

import io
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from ictsweep.errors import UserError
from ictsweep.report.collect import collect
from ictsweep.report.drawings import drawings
from ictsweep.report.stills import FORMATS, WIDTH, write_stills
from ictsweep.study.store import StudyFolder
from tests.report.browser import CHROMIUM
from tests.report.fixture import Script, space, write_study

needs_kaleido = pytest.mark.skipif(find_spec("kaleido") is None, reason="kaleido is not installed")
needs_browser = pytest.mark.skipif(CHROMIUM is None, reason="no browser here: chromium missing")


@pytest.fixture(scope="module")
def small(tmp_path_factory: pytest.TempPathFactory) -> StudyFolder:
    """One parameter: figures of nearly every kind, and few."""
    search = {"network.dropout": space()["search"]["network.dropout"]}
    path = tmp_path_factory.mktemp("small") / "s"
    return write_study(path, space(search=search, trials=8), Script(pictures=False))


@pytest.mark.slow
@needs_kaleido
@needs_browser
@pytest.mark.parametrize("form", FORMATS)
def test_every_figure_is_drawn(small: StudyFolder, tmp_path: Path, form: str) -> None:
    folder = write_stills(small.path, tmp_path, form)
    known = {drawing.id: drawing for drawing in drawings(collect(small))}
    assert {"timeline", "curves", "parallel", "evidence"} <= set(known)
    assert {p.name for p in folder.iterdir()} == {f"{name}.{form}" for name in known}
    for name, drawing in known.items():
        picture = (folder / f"{name}.{form}").read_bytes()
        if form == "png":
            pixels = np.asarray(Image.open(io.BytesIO(picture)).convert("L"))
            assert pixels.shape == (3 * drawing.height, 3 * max(WIDTH, drawing.width))
            assert pixels[0, 0] == 255  # on white
            assert pixels.min() < 128, f"{name}: nothing dark on it"
        elif form == "svg":
            text = picture.decode()
            title = drawing.figure.layout.xaxis.title.text or ""  # type: ignore[union-attr]
            assert title in text, name
        else:
            assert picture.startswith(b"%PDF"), name


@needs_kaleido
def test_no_browser_is_said(
    small: StudyFolder, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("BROWSER_PATH", str(tmp_path / "none"))
    with pytest.raises(UserError, match=r"^--figures: No browser found .* save SVG and PNG"):
        write_stills(small.path, tmp_path, "pdf")
    assert not (tmp_path / "digits").exists()


@pytest.mark.skipif(find_spec("kaleido") is not None, reason="kaleido is here")
def test_figures_say_what_they_need(small: StudyFolder, tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"pip install 'ictsweep\[figures\]'"):
        write_stills(small.path, tmp_path, "pdf")
