"""The clock of a session: what its events are stamped with."""

import time


class Clock:
    """Seconds since the epoch that never run backwards, whatever happens to the system's clock."""

    def __init__(self) -> None:
        self._epoch = time.time() - time.monotonic()

    def __call__(self) -> float:
        return self._epoch + time.monotonic()
