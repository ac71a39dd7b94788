"""The forms in which samples are handed to people and to other tools."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Protocol

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from ictsweep.evaluation import grid, save_png
from ictsweep.files import naming, write_atomic


@dataclass(frozen=True, eq=False)
class Drawn:
    """Samples in their order: `pixels` uint8 [n, c, h, w]; `labels` int64 [n], None without."""

    pixels: Tensor
    labels: Tensor | None


class Format(Protocol):
    """A form of writing samples into a folder."""

    @property
    def name(self) -> str:
        """What it is called."""
        ...

    def write(self, folder: Path, parts: Iterator[Drawn]) -> None:
        """Write all samples, which come in parts, into `folder`; again after a kill gives the
        same files."""
        ...


@dataclass(frozen=True, kw_only=True)
class Grid:
    """grid.png: all samples on one sheet, row by row, `columns` to a row."""

    name: Literal["grid"] = "grid"
    columns: int = 8

    def write(self, folder: Path, parts: Iterator[Drawn]) -> None:
        """Write grid.png."""
        pixels = torch.cat([part.pixels for part in parts])
        save_png(folder / "grid.png", grid(pixels, columns=self.columns))


@dataclass(frozen=True, kw_only=True)
class Npz:
    """samples.npz as the evaluator of ADM (Dhariwal & Nichol 2021, arXiv:2105.05233) reads it:
    `arr_0` uint8 [n, h, w, 3] and, where samples have labels, `arr_1` int64 [n]. Grey is written
    three times, as every tool does before Inception.
    """

    name: Literal["npz"] = "npz"

    def write(self, folder: Path, parts: Iterator[Drawn]) -> None:
        """Write samples.npz."""
        drawn = list(parts)
        arrays = [np.concatenate([_coloured(part.pixels) for part in drawn])]
        labels = [part.labels for part in drawn if part.labels is not None]
        if labels:
            arrays.append(torch.cat(labels).numpy())
        beside = folder / ".samples.npz"
        with naming(folder / "samples.npz"), beside.open("wb") as file:
            np.savez(file, *arrays)
        beside.replace(folder / "samples.npz")


@dataclass(frozen=True, kw_only=True)
class Png:
    """000000.png, 000001.png, ...: a folder that clean-fid, torch-fidelity and others can score.
    Labels go to dataset.json, {"labels": [[file, label], ...]}, as EDM's tools read them.
    """

    name: Literal["png"] = "png"

    def write(self, folder: Path, parts: Iterator[Drawn]) -> None:
        """Write the pictures, and dataset.json where they have labels."""
        labels: list[tuple[str, int]] = []
        count = 0
        for part in parts:
            given = [None] * len(part.pixels) if part.labels is None else part.labels.tolist()
            for pixels, label in zip(part.pixels, given, strict=True):
                name = f"{count:06d}.png"
                with naming(folder / name):
                    _image(pixels).save(folder / name)
                labels += [] if label is None else [(name, label)]
                count += 1
        if labels:
            write_atomic(folder / "dataset.json", json.dumps({"labels": labels}).encode())


def _coloured(pixels: Tensor) -> np.ndarray:
    """uint8 [n, c, h, w] -> uint8 [n, h, w, 3]."""
    wide = pixels if pixels.shape[1] == 3 else pixels.expand(-1, 3, -1, -1)
    return wide.permute(0, 2, 3, 1).contiguous().numpy()


def _image(pixels: Tensor) -> Image.Image:
    """uint8 [c, h, w] -> a grey or RGB picture."""
    array = pixels.permute(1, 2, 0).contiguous().numpy()
    return Image.fromarray(array[..., 0] if array.shape[-1] == 1 else array)
