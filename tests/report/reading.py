"""Reads a written page back: what it says, not what it was made from."""

import base64
import html
import io
import re
from pathlib import Path

import pandas as pd


def trials_of_page(page: Path) -> dict[int, tuple[str, float]]:
    """(state, value at the last rung reached) of every row of the page's table, by trial.

    The state is the table's own; the value is that of the CSV which the page offers for it.
    """
    text = page.read_text()
    link = re.search(r'class="csv" href="data:text/csv;base64,([^"]+)"', text)
    assert link is not None
    frame = pd.read_csv(io.StringIO(base64.b64decode(html.unescape(link[1])).decode()))
    values = dict(zip(frame["trial"], frame["at_reached"], strict=True))
    rows = re.findall(r'<tr data-trial="(\d+)" data-label="(\w+)"', text)
    states = {"stopped": "pruned"}
    return {int(n): (states.get(label, label), float(values[int(n)])) for n, label in rows}
