"""What happened, line by line, with the seconds since the beginning."""

import threading
import time


class Transcript:
    """Lines of a story, printed as they are told."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self._began = time.monotonic()
        self._lock = threading.Lock()

    def tell(self, text: str) -> None:
        """Something happened."""
        with self._lock:
            line = f"{time.monotonic() - self._began:7.1f} {text}"
            self.lines.append(line)
            print(line, flush=True)
