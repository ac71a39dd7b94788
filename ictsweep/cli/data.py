"""The commands that prepare data and feature networks, once, before anything is trained."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

if TYPE_CHECKING:
    from ictsweep.data.manifest import Manifest
    from ictsweep.data.sources import Source

app = typer.Typer(
    help="Prepare data, or a feature network: verified, resumable, found again when ready.",
    no_args_is_help=True,
)

_DATA = Path(".ictsweep/data")
_SHOWN = 5  # skipped files that are named on the screen; the manifest has all

To = Annotated[
    Path | None, typer.Option(metavar="DIR", help="Where to put it (default: .ictsweep/data/NAME).")
]
Resize = Annotated[
    int | None,
    typer.Option(
        min=8, metavar="N", help="Halve by boxes, then bicubic to N pixels, and crop the middle."
    ),
]
Rgb = Annotated[
    bool,
    typer.Option(
        "--rgb",
        help="Make grey, palette, CMYK and transparent pictures RGB; drops alpha, unblended.",
    ),
]
SkipBad = Annotated[
    bool, typer.Option("--skip-bad", help="Leave pictures out that cannot be read; list them.")
]


@app.command()
def cifar10(
    to: To = None,
    from_: Annotated[
        Path | None,
        typer.Option("--from", metavar="PATH", help="A local copy (default: download)."),
    ] = None,
    test: Annotated[bool, typer.Option("--test", help="The test images.")] = False,
) -> None:
    """CIFAR-10 through torchvision: 50,000 images of 32x32 (10,000 with --test)."""
    from ictsweep.data.sources.cifar10 import Cifar10

    target = to or _DATA / ("cifar10-test" if test else "cifar10")
    _prepare(Cifar10(path=from_, train=not test, downloads=target.parent / "downloads"), target)


@app.command()
def imagenet64(
    from_: Annotated[
        list[Path],
        typer.Option(
            "--from",
            metavar="PATH",
            help="A downsampled archive (give all), or 1,000 folders of images.",
        ),
    ],
    to: To = None,
    test: Annotated[bool, typer.Option("--test", help="The validation images.")] = False,
    skip_bad: SkipBad = False,
) -> None:
    """ImageNet at 64x64: from its downsampled archives (Chrabaszcz et al. 2017), or from its own
    pictures in 1,000 class folders, which are halved by boxes, then bicubic to 64, and cropped.
    """
    from ictsweep.data.sources.imagenet64 import ImageNet64, has_batches
    from ictsweep.data.sources.imagenet_pictures import ImageNetPictures

    source: Source = ImageNet64(paths=tuple(from_), train=not test)
    if len(from_) == 1 and not has_batches(from_):
        source = ImageNetPictures(path=from_[0], train=not test, skip_bad=skip_bad)
    _prepare(source, to or _DATA / ("imagenet64-val" if test else "imagenet64"))


@app.command()
def folder(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A folder, .zip, .tar or .tar.gz of pictures.")
    ],
    to: To = None,
    resize: Resize = None,
    rgb: Rgb = False,
    skip_bad: SkipBad = False,
) -> None:
    """Pictures in a folder or an archive; labels from its subfolders or a dataset.json."""
    from ictsweep.data.sources.folder import Folder

    source = Folder(path=path, resize=resize, rgb=rgb, skip_bad=skip_bad)
    _prepare(source, to or _DATA / _name(path))


@app.command()
def array(
    path: Annotated[
        Path, typer.Argument(metavar="FILE", help="An .npz (images, labels) or .npy of uint8.")
    ],
    to: To = None,
) -> None:
    """An array of uint8 images."""
    from ictsweep.data.sources.array import ArrayFile

    _prepare(ArrayFile(path=path), to or _DATA / _name(path))


@app.command()
def inception(
    mode: Annotated[
        str, typer.Option(help="legacy_tensorflow, clean (the same file) or legacy_pytorch.")
    ] = "legacy_tensorflow",
    from_: Annotated[
        Path | None,
        typer.Option("--from", metavar="FILE", help="A local copy (default: download)."),
    ] = None,
    to: To = None,
) -> None:
    """The weights of InceptionV3, for FID and its relatives."""
    from typing import get_args

    from ictsweep.cli.bars import follow
    from ictsweep.errors import UserError
    from ictsweep.evaluation.feature_config import WEIGHTS, InceptionMode
    from ictsweep.evaluation.weights import fetch_inception, published

    modes: Mapping[str, InceptionMode] = {name: name for name in get_args(InceptionMode)}
    if mode not in modes:
        raise UserError(f"--mode: got {mode}; expected {', '.join(modes)}")
    place = to or WEIGHTS
    follow(fetch_inception(modes[mode], place, from_), "inception")
    path = place / published(modes[mode]).name
    features = {"name": "inception", "mode": mode} | ({} if to is None else {"path": str(path)})
    typer.echo(f"{path}\nuse it in a search space with")
    typer.echo(f"  evaluate: {{..., features: {_block(features)}}}")


def _prepare(source: "Source", to: Path) -> None:
    from ictsweep.cli.bars import follow
    from ictsweep.data.manifest import MANIFEST, read_manifest
    from ictsweep.data.prepare import prepare

    ready = (to / MANIFEST).is_file()
    follow(prepare(source, to), f"prepare {to.name}")
    if ready:
        typer.echo(f"{to}: was ready; its pictures are verified and unchanged")
    typer.echo(summary(read_manifest(to), to))


def summary(manifest: "Manifest", to: Path) -> str:
    """What was prepared, where it lies, what was left out or changed, and the line that uses it."""
    c, h, w = manifest.shape
    lines = [
        f"{to}: {manifest.count:,} images of {c}x{h}x{w}, {_labels(manifest, to)}, "
        f"digest {manifest.digest}",
        f"  resize: {manifest.resize}",
    ]
    if manifest.converted:
        modes = ", ".join(f"{count:,} {mode}" for mode, count in manifest.converted.items())
        lines.append(f"  converted: {modes}")
    if others := manifest.source.get("other files"):
        files = "1 other file" if others == 1 else f"{others:,} other files"
        lines.append(f"  not read: {files} (not named as pictures, or links in an archive)")
    if manifest.skipped:
        lines.append(f"  skipped: {len(manifest.skipped):,} (all in manifest.json)")
        lines += [f"    {s.item}: {s.reason}" for s in manifest.skipped[:_SHOWN]]
    return "\n".join([*lines, "use it in a search space with", f"  data: {_line(manifest, to)}"])


def _labels(manifest: "Manifest", to: Path) -> str:
    """The classes in words: how many are known by name, or which labels occur."""
    if not manifest.labelled:
        return "no labels"
    if manifest.classes:
        return f"{len(manifest.classes):,} classes"
    from ictsweep.data.prepared import open_prepared

    labels = open_prepared(to).labels
    assert labels is not None
    present = labels.unique().tolist()
    classes = "1 class" if len(present) == 1 else f"{len(present):,} classes"
    return f"labels {present[0]} to {present[-1]}, {classes}"


def _line(manifest: "Manifest", to: Path) -> str:
    if to == _DATA / manifest.kind and manifest.kind in ("cifar10", "imagenet64"):
        return _block({"name": manifest.kind})
    return _block({"name": "prepared", "path": str(to)})


def _block(values: Mapping[str, str]) -> str:
    """As YAML on one line, quoted where a path needs it."""
    import yaml

    return yaml.safe_dump(
        dict(values), default_flow_style=True, sort_keys=False, allow_unicode=True, width=1 << 20
    ).rstrip()


def _name(path: Path) -> str:
    """A file's or folder's name without its endings."""
    return path.absolute().name.split(".")[0] or "data"
