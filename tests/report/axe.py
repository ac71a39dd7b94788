"""axe-core, the accessibility rules that browsers' own audits use."""

import functools
import shutil
import subprocess
import tempfile
from importlib.resources import files
from importlib.util import find_spec
from pathlib import Path

import pytest

from tests.report.browser import Browser

VERSION = "axe-core@4"
SERIOUS = ("serious", "critical")
RUN = """
const html = ({nodes}) => nodes.map((node) => node.html.slice(0, 160));
return axe.run(document, {resultTypes: ['violations'], rules: {region: {enabled: false}}})
  .then(({violations}) => violations.map((found) => [found.impact, found.id, html(found)]));
"""


@functools.cache
def source() -> str:
    """Its script: the newest from the npm registry, else the older one that a package of the extra
    `test` carries; the test is skipped where there is neither.
    """
    newest, why = _from_npm()
    if newest is not None:
        return newest
    if find_spec("axe_core_python") is None:
        pytest.skip(f"no axe-core here: {why}, and axe-core-python is not installed")
    return files("axe_core_python").joinpath("axe.min.js").read_text()


def _from_npm() -> tuple[str | None, str]:
    """The script, or None and why not."""
    npm = shutil.which("npm")
    if npm is None:
        return None, "no npm"
    with tempfile.TemporaryDirectory() as folder:
        command = [npm, "install", "--silent", "--no-save", "--ignore-scripts", VERSION]
        try:
            subprocess.run(command, cwd=folder, check=True, capture_output=True, timeout=90)
        except (subprocess.SubprocessError, OSError) as error:
            return None, f"npm has not fetched it ({error})"
        return (Path(folder) / "node_modules" / "axe-core" / "axe.min.js").read_text(), ""


def findings(tab: Browser) -> list[tuple[str, list[str]]]:
    """The serious and critical findings on what the tab shows: (rule, elements)."""
    tab.run("if (!window.axe) (0, eval)(arguments[0])", source())
    return [(rule, nodes) for impact, rule, nodes in tab.run(RUN) if impact in SERIOUS]
