"""`python -m ictsweep` is the console script (torchrun needs a module)."""

from ictsweep.cli import main

main()
