"""Reads a written page back: what it says, not what it was made from."""

import base64
import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np


def data_of(text: str) -> dict[str, Any]:
    """What the page's scripts are given."""
    found = re.search(r'<script type="application/json" id="study"[^>]*>(.*?)</script>', text, re.S)
    assert found is not None
    return json.loads(found[1])


def column(packed: dict[str, str]) -> list[float]:
    """Numbers that were written as bytes."""
    array = np.frombuffer(base64.b64decode(packed["b"]), dtype=f"<{packed['t']}")
    return array.tolist()


def trials_of_page(page: Path) -> dict[int, tuple[str, float]]:
    """(state, value at the last rung reached) of every trial that the page's table has: the state
    is the table's own text, the value the exact number that its CSV has.
    """
    table = data_of(page.read_text())["table"]
    heads = {col["head"]: col for col in table["columns"]}
    values = column(heads["last rung"].get("exact") or heads["last rung"]["keys"])
    states = {"stopped": "pruned", "diverged": "pruned"}
    labels = heads["state"]["texts"]
    return {
        int(n): (states.get(label, label), value)
        for n, label, value in zip(table["numbers"], labels, values, strict=True)
    }


def points_of_page(page: Path, name: str = "value") -> dict[tuple[int, int, int], float]:
    """Every value of the minimised metric on the page, or another column of its evaluations, by
    trial, length of run and time in it.
    """
    data = data_of(page.read_text())
    points = data["points"]
    kimg, values = column(points["kimg"]), column(points[name])
    return {
        (trial, length, int(kimg[i])): values[i]
        for trial, length, first, end in _runs(data, points)
        for i in range(first, end)
    }


def spectra_of_page(page: Path) -> dict[tuple[int, int], dict[str, list[float]]]:
    """The loss by noise level at the end of every run, by trial and length of run."""
    data = data_of(page.read_text())
    spectra = data["spectra"]
    columns = {key: column(spectra[key]) for key in ("sigma", "images", "loss")}
    return {
        (trial, length): {key: values[first:end] for key, values in columns.items()}
        for trial, length, first, end in _runs(data, spectra)
    }


def _runs(data: dict[str, Any], packed: dict[str, Any]) -> Iterator[tuple[int, int, int, int]]:
    """(trial, length of run, first row, one past the last)."""
    numbers = [trial["n"] for trial in data["trials"]]
    for place, length, first, end in np.array(column(packed["runs"]), dtype=int).reshape(-1, 4):
        yield numbers[place], int(length), int(first), int(end)
