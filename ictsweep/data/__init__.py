"""The pictures a model learns: where they come from, what identifies them, in which order."""

from ictsweep.data.catalog import DataConfig, load
from ictsweep.data.images import Images, digest_of, to_model, to_pixels
from ictsweep.data.loader import Loader

__all__ = ["DataConfig", "Images", "Loader", "digest_of", "load", "to_model", "to_pixels"]
