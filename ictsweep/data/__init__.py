"""The pictures a model learns: where they come from, what identifies them, in which order."""

from ictsweep.data.augment import Augmentation, augmented, draw_augmentation
from ictsweep.data.catalog import DataConfig, load, location
from ictsweep.data.images import Images, digest_of, to_model, to_pixels
from ictsweep.data.loader import Loader
from ictsweep.data.manifest import Manifest, read_manifest
from ictsweep.data.prepare import prepare
from ictsweep.data.prepared import open_prepared, verify
from ictsweep.data.stand_in import stand_in

__all__ = [
    "Augmentation",
    "DataConfig",
    "Images",
    "Loader",
    "Manifest",
    "augmented",
    "digest_of",
    "draw_augmentation",
    "load",
    "location",
    "open_prepared",
    "prepare",
    "read_manifest",
    "stand_in",
    "to_model",
    "to_pixels",
    "verify",
]
