"""ictsweep: distributed hyperparameter studies of consistency models."""

__version__ = "0.2.0"
