"""plotly.js: one file for all reports in a folder, or inside a page that has to travel alone."""

from pathlib import Path

from markupsafe import Markup
from plotly.offline import get_plotlyjs, get_plotlyjs_version

from ictsweep.files import write_atomic


def beside(reports: Path) -> Markup:
    """The element for pages one folder below `reports`, where the library is put if it is not
    there.
    """
    name = f"plotly-{get_plotlyjs_version()}.min.js"
    if not (reports / name).exists():
        write_atomic(reports / name, get_plotlyjs().encode())
    return Markup('<script defer src="../{}"></script>').format(name)


def inside() -> Markup:
    """The element with the library in it."""
    return Markup("<script>") + Markup(get_plotlyjs()) + Markup("</script>")
