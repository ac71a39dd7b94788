"""Seeds are derived, never global: one integer per (study seed, purpose, position)."""

import hashlib


def derive_seed(seed: int, purpose: str, *position: int) -> int:
    """A 63-bit seed that depends on every argument and on nothing else.

    `purpose` names the stream ("noise", "order", "latents"); `position` places the draw in it
    (images seen, epoch, rank, trial). Resuming at a position therefore replays nothing and skips
    nothing. SHA-256 keeps neighbouring positions independent.
    """
    text = ":".join([str(seed), purpose, *map(str, position)])
    return int.from_bytes(hashlib.sha256(text.encode()).digest()[:8], "big") >> 1
