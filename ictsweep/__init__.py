"""ictsweep: distributed hyperparameter studies of consistency models."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pathlib import Path

    from ictsweep.notebook import Study

__version__ = "0.5.0"


def open_study(place: "str | Path") -> "Study":
    """The results of the study at a path or URL, as pandas frames: `.trials`, `.measurements`,
    `.best` and its `.spec` (`ictsweep.notebook.Study` has their columns). StudyError if there is
    none.
    """
    from ictsweep import notebook

    return notebook.open_study(place)
