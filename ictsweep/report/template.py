"""Templates, with our styles and scripts inside the page: no network."""

import json
from importlib.resources import files
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ictsweep import __version__
from ictsweep.report.format import duration, number
from ictsweep.report.theme import DARK_OF, PALETTE


def page(template: str, **context: Any) -> str:
    """The template with our style; everything given is escaped unless it is Markup."""
    return (
        _environment()
        .get_template(template)
        .render(palette=PALETTE, style=part("style.css"), version=__version__, **context)
    )


def scripts() -> Markup:
    """Our scripts, in the order in which they build on each other."""
    return Markup("\n").join(part(name) for name in SCRIPTS)


SCRIPTS = (
    "core.js", "figures.js", "linking.js", "table.js", "samples.js", "trial.js", "page.js"
)  # fmt: skip


def part(name: str) -> Markup:
    """One of the package's own files, to be placed in a page as it is."""
    return Markup(files("ictsweep.report").joinpath("templates", name).read_text())


def embedded(data: Any) -> Markup:
    """Data for a <script type="application/json">: nothing in it can end the script."""
    return Markup(json_safe(json.dumps(data, allow_nan=False, separators=(",", ":"))))


def json_safe(text: str) -> str:
    """JSON in which no "<" is left to be read as HTML."""
    return text.replace("<", "\\u003c")


def dark_of() -> Markup:
    """The dark partner of each light colour, for the figures."""
    return embedded(DARK_OF)


def tight(text: str) -> str:
    """Text whose numbers are not torn from their errors and units at the end of a line."""
    for sign in (" ± ", " %", " kimg"):
        text = text.replace(sign, sign.replace(" ", "\u00a0"))
    return text.replace("5–95", "5\u2060–\u206095")


def _environment() -> Environment:
    environment = Environment(
        loader=PackageLoader("ictsweep.report"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["tight"] = tight
    environment.filters["duration"] = duration
    environment.filters["number"] = number
    return environment
