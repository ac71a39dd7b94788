"""What Inception's features cost, from PNG files to numbers, against clean-fid's and
torch-fidelity's.

All read the same pictures and hold the same weights, drawn at random. Contestants are clean-fid's
own feature function on a folder in each of its modes, ours on pictures that Pillow read from the
same folder, and torch-fidelity's network on the same pictures (which is the TensorFlow mode). First
their features have to agree to 1e-4: if not, there is no number.

    python -m tests.benchmarks.features [--images 64] [--repeats 3] [--device cpu] [--out FILE]

Time is the process's own CPU time on one thread, or the device's; the contestants take turns.
"""

import argparse
import tempfile
import warnings
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from cleanfid import fid
from PIL import Image
from sklearn.datasets import load_sample_image
from torch import Tensor
from torch_fidelity.feature_extractor_inceptionv3 import FeatureExtractorInceptionV3

from ictsweep.evaluation.feature_config import (
    INCEPTION,
    INCEPTION_PORT,
    InceptionFeatures,
    InceptionMode,
)
from ictsweep.evaluation.features import Extractor, prepare_extractor
from tests.benchmarks.measuring import (
    conditions,
    default_device,
    middle,
    publish,
    take_turns,
)
from tests.evaluation.inception_files import (
    cleanfid_model,
    random_inception,
    write_port,
    write_scripted,
)

TOLERANCE = 1e-4
MODES: tuple[InceptionMode, ...] = ("legacy_tensorflow", "clean", "legacy_pytorch")
PEER = "torch-fidelity legacy_tensorflow"

Contestants = dict[str, Callable[[], Tensor]]


def cut_photographs(folder: Path, n: int, side: int) -> None:
    """`n` pieces of a photograph as PNG files of `side` pixels."""
    folder.mkdir()
    photograph = load_sample_image("china.jpg")
    generator = np.random.default_rng(0)
    for i in range(n):
        top = generator.integers(photograph.shape[0] - side)
        left = generator.integers(photograph.shape[1] - side)
        piece = photograph[top : top + side, left : left + side]
        Image.fromarray(piece).save(folder / f"{i:05d}.png")


def read(folder: Path) -> Tensor:
    """The pictures of a folder, uint8 [n, 3, h, w], in order of their names."""
    pictures = [np.array(Image.open(path).convert("RGB")) for path in sorted(folder.iterdir())]
    return torch.from_numpy(np.stack(pictures)).permute(0, 3, 1, 2)


def ours(
    weights: Path, mode: InceptionMode, pngs: Path, device: torch.device
) -> Callable[[], Tensor]:
    """Our features of a folder."""
    file = weights / (INCEPTION_PORT if mode == "legacy_pytorch" else INCEPTION)
    config = InceptionFeatures(mode=mode, path=str(file))
    extractor: Extractor = prepare_extractor(config, read(pngs), None, "x", weights, device)
    return lambda: extractor(read(pngs))


def cleanfids(
    weights: Path, network: torch.nn.Module, mode: InceptionMode, pngs: Path, device: torch.device
) -> Callable[[], Tensor]:
    """clean-fid's features of a folder."""
    model = cleanfid_model(weights, network, mode, device)

    def features() -> Tensor:
        found = fid.get_folder_features(
            str(pngs), model, num_workers=0, batch_size=32, device=device, mode=mode, verbose=False
        )
        return torch.from_numpy(found)

    return features


def torch_fidelitys(weights: Path, pngs: Path, device: torch.device) -> Callable[[], Tensor]:
    """torch-fidelity's features of a folder, in batches of 32."""
    network = FeatureExtractorInceptionV3(
        "inception-v3-compat",
        ["2048"],
        feature_extractor_weights_path=str(weights / INCEPTION_PORT),
    ).to(device)

    def features() -> Tensor:
        with torch.no_grad():
            parts = [network(x.to(device))[0].cpu() for x in read(pngs).split(32)]
        return torch.cat(parts)

    return features


def contestants(folder: Path, images: int, side: int, device: torch.device) -> Contestants:
    """Every way to the features, by name."""
    network, pngs = random_inception(), folder / "pngs"
    write_port(network, folder / INCEPTION_PORT)
    write_scripted(network, folder / INCEPTION)
    cut_photographs(pngs, images, side)
    found = {}
    for mode in MODES:
        found[f"ictsweep {mode}"] = ours(folder, mode, pngs, device)
        found[f"clean-fid {mode}"] = cleanfids(folder, network, mode, pngs, device)
    found[PEER] = torch_fidelitys(folder, pngs, device)
    return found


def differences(found: Contestants) -> dict[str, float]:
    """The largest difference of a feature from ours, by peer; stops above the tolerance."""
    features = {name: action() for name, action in found.items()}
    gaps = {}
    for name, values in features.items():
        gaps[name] = float((values - features[f"ictsweep {name.split()[1]}"]).abs().max())
        if gaps[name] > TOLERANCE:
            raise SystemExit(f"{name}: features differ from ours by {gaps[name]:.1e}; no numbers")
    return {name: gap for name, gap in gaps.items() if not name.startswith("ictsweep")}


def measure(images: int, side: int, repeats: int, device: torch.device) -> dict[str, object]:
    """The record: differences, images per second (median, quartiles) and ratios of CPU time."""
    with tempfile.TemporaryDirectory() as folder:
        found = contestants(Path(folder), images, side, device)
        gaps = differences(found)
        times = take_turns(found, device, repeats, warmup=1)
    rates = {name: middle([images / t for t in values], 2) for name, values in times.items()}
    ratios = {
        name: round(rates[f"ictsweep {name.split()[1]}"][0] / rates[name][0], 2) for name in gaps
    }
    return {
        "benchmark": "features",
        "images": images,
        "side": side,
        "largest_difference": gaps,
        "images_per_second": rates,
        "faster_than": ratios,
        "versions": {name: version(name) for name in ("clean-fid", "torch-fidelity")},
        **conditions(device),
    }


def main(arguments: list[str] | None = None) -> None:
    """Measure, print, write; stops without a number where features differ."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--images", type=int, default=64)
    parser.add_argument("--side", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--device", type=torch.device, default=default_device())
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    if options.device.type == "cpu":
        torch.set_num_threads(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        record = measure(options.images, options.side, options.repeats, options.device)
    publish(record, options.out)


if __name__ == "__main__":
    main()
