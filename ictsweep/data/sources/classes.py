"""Which class each picture belongs to."""

import json
from collections import Counter
from dataclasses import dataclass
from itertools import takewhile
from pathlib import Path
from typing import Any

import numpy as np

from ictsweep.data.sources.listing import LABEL_TABLE, Listing, shown
from ictsweep.errors import UserError

MAX_LABEL = 99_999


@dataclass(frozen=True, eq=False)
class Labels:
    """`values` int64 [items] in the listing's order or None, the classes' `names` in label order
    where they are known, and where both come from: "folders", "dataset.json" or "none".
    """

    values: np.ndarray | None
    names: tuple[str, ...] | None
    origin: str


def labels_of(path: Path, listing: Listing) -> Labels:
    """The labels of a listing with at least one item.

    With a label table, `dataset.json` as EDM writes it, the table decides: {"labels": [[file,
    label], ...]}, or null for none. Otherwise, where all pictures lie in two or more folders, each
    folder is a class, numbered from 0 in alphabetical order as torchvision's ImageFolder does.
    Folders that all pictures share are no classes. UserError for pictures without a label, labels
    without a picture, classes without pictures and labels outside 0 to 99,999.
    """
    shared = _shared(listing)
    tables = [name for name in listing.tables if shared[: name.count("/")] == name.split("/")[:-1]]
    if len(tables) > 1:
        raise UserError(f"{path}: two label tables, {' and '.join(tables)}; keep one")
    if tables:
        return _by_table(path, listing, tables[0])
    return _by_folder(path, listing, len(shared))


def _shared(listing: Listing) -> list[str]:
    """The folders that all pictures lie in, outermost first."""
    folders = [item.name.split("/")[:-1] for item in listing.items]
    first, last = min(folders), max(folders)
    together = takewhile(lambda pair: pair[0] == pair[1], zip(first, last, strict=False))
    return [name for name, _ in together]


def _by_folder(path: Path, listing: Listing, depth: int) -> Labels:
    parts = [item.name.split("/")[depth:] for item in listing.items]
    names = sorted({part[0] for part in parts if len(part) > 1})
    if len(names) < 2:
        return Labels(None, None, "none")
    beside = [item.name for item, part in zip(listing.items, parts, strict=True) if len(part) == 1]
    if beside:
        raise UserError(
            f"{path}: {_some(beside, 'picture')} beside the {len(names)} class folders; move it "
            f'into one or away, or add a {LABEL_TABLE} ({{"labels": null}} for no labels)'
        )
    _require_pictures(path, listing, depth, names)
    index = {name: label for label, name in enumerate(names)}
    values = np.array([index[part[0]] for part in parts], dtype=np.int64)
    return Labels(values, tuple(shown(name) for name in names), "folders")


def _require_pictures(path: Path, listing: Listing, depth: int, names: list[str]) -> None:
    prefix = listing.items[0].name.split("/")[:depth]
    beside = [folder.split("/") for folder in sorted(listing.folders)]
    classes = {parts[depth] for parts in beside if len(parts) > depth and parts[:depth] == prefix}
    if empty := sorted(classes - set(names)):
        raise UserError(
            f"{path}: {_some(empty, 'class folder')} without pictures; fill or remove it"
        )


def _by_table(path: Path, listing: Listing, table: str) -> Labels:
    where = f"{path}: {shown(table)}"
    entries = _entries(where, listing.tables[table])
    if entries is None:
        return Labels(None, None, "none")
    folder = table.removesuffix(LABEL_TABLE)
    given = {folder + name: label for name, label in entries}
    _require_once(where, entries)
    names = [item.name for item in listing.items]
    if missing := [name for name in names if name not in given]:
        raise UserError(f"{where}: {_some(missing, 'picture')} without a label; add it")
    if absent := sorted(given.keys() - set(names)):
        raise UserError(
            f"{where}: {_some(absent, 'label')} of a picture that is not there; put it back or "
            "remove its label"
        )
    return Labels(np.array([given[name] for name in names], dtype=np.int64), None, LABEL_TABLE)


def _entries(where: str, data: bytes) -> list[tuple[str, int]] | None:
    """The pairs of a label table, each label checked; None where it says that there are none."""
    form = '{"labels": [["folder/picture.png", 3], ...]} is expected'
    try:
        table = json.loads(data)
    except (ValueError, RecursionError) as error:
        raise UserError(f"{where}: not JSON ({error}); {form}") from error
    if not isinstance(table, dict) or "labels" not in table:
        raise UserError(f"{where}: no labels in it; {form}")
    if table["labels"] is None:
        return None
    if not isinstance(table["labels"], list):
        raise UserError(f"{where}: its labels are no list; {form}")
    return [_entry(where, pair, form) for pair in table["labels"]]


def _entry(where: str, pair: Any, form: str) -> tuple[str, int]:
    if not (isinstance(pair, list) and len(pair) == 2 and isinstance(pair[0], str)):
        raise UserError(f"{where}: {json.dumps(pair)[:80]} is no pair of file and label; {form}")
    name, label = pair
    if not isinstance(label, int) or isinstance(label, bool) or not 0 <= label <= MAX_LABEL:
        raise UserError(
            f"{where}: the label of {shown(name)} is {json.dumps(label)[:80]}; whole numbers from "
            f"0 to {MAX_LABEL:,} are expected"
        )
    return name, label


def _require_once(where: str, entries: list[tuple[str, int]]) -> None:
    twice = [name for name, times in Counter(name for name, _ in entries).items() if times > 1]
    if twice:
        raise UserError(f"{where}: {_some(twice, 'file')} with two labels; keep one")


def _some(names: list[str], what: str) -> str:
    """ "1 picture (a.png)", "3 pictures (first a.png)"."""
    if len(names) == 1:
        return f"1 {what} ({shown(names[0])})"
    return f"{len(names):,} {what}s (first {shown(names[0])})"
