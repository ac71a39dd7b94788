"""A headless Chromium driven over WebDriver's plain HTTP: what the tests need of it, with the
standard library alone.
"""

import base64
import json
import shutil
import subprocess
import tempfile
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = (
    shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
)
DRIVER = shutil.which("chromedriver")
MISSING = ", ".join(
    name for name, found in (("chromium", CHROMIUM), ("chromedriver", DRIVER)) if found is None
)

_FLAGS = [
    "--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run",
    "--disable-background-networking", "--disable-component-update", "--disable-sync",
    "--disable-dev-shm-usage", "--hide-scrollbars", "--enable-unsafe-swiftshader", "about:blank",
]  # fmt: skip


class Browser:
    """One tab."""

    def __init__(self, address: str, profile: str) -> None:
        self._session = address + "/session"
        options = {"binary": CHROMIUM, "args": [*_FLAGS, f"--user-data-dir={profile}"]}
        wanted = {
            "goog:chromeOptions": options,
            "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        }
        answer = self._post("", {"capabilities": {"alwaysMatch": wanted}})
        self._session += "/" + answer["sessionId"]

    def open(self, page: Path) -> None:
        """Load a page from disk and wait until its figures are drawn."""
        self._post("/url", {"url": page.resolve().as_uri()})
        deadline = time.monotonic() + 20
        while self.run("return document.documentElement.dataset.ready") != "yes":
            assert time.monotonic() < deadline, f"not ready: {self.log('browser')}"
            time.sleep(0.05)

    def run(self, script: str, *arguments: Any) -> Any:
        """The value that JavaScript returns (awaited if it is a promise)."""
        return self._post("/execute/sync", {"script": script, "args": list(arguments)})

    def drag(self, start: tuple[float, float], end: tuple[float, float]) -> None:
        """Press the mouse at a point of the window, move, and let go."""
        moves = [{"type": "pointerMove", "x": round(x), "y": round(y)} for x, y in (start, end)]
        down, up = {"type": "pointerDown", "button": 0}, {"type": "pointerUp", "button": 0}
        pause = {"type": "pause", "duration": 60}
        steps = [moves[0], pause, down, pause, {**moves[1], "duration": 120}, pause, up]
        mouse = {"type": "pointer", "id": "mouse", "actions": steps}
        self._post("/actions", {"actions": [mouse]})

    def press(self, key: str) -> None:
        """One key, as a keyboard sends it: a name of DevTools ("Tab", "Enter", "ArrowLeft")."""
        code = {"Tab": 9, "Enter": 13, "ArrowLeft": 37, "ArrowRight": 39}[key]
        what = {"key": key, "code": key, "windowsVirtualKeyCode": code}
        text = {"text": "\r"} if key == "Enter" else {}
        self._devtools("Input.dispatchKeyEvent", {"type": "keyDown", **what, **text})
        self._devtools("Input.dispatchKeyEvent", {"type": "keyUp", **what})

    def look(self, *, width: int = 1280, height: int = 900, dark: bool = False) -> None:
        """The size and colour scheme that the page sees."""
        metrics = {"width": width, "height": height, "deviceScaleFactor": 1, "mobile": width < 600}
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self._devtools("Emulation.setEmulatedMedia", {"media": "", "features": [scheme]})

    def paper(self, width: int) -> None:
        """As if it were printed on a sheet so wide (pixels, without margins), until `look`."""
        metrics = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": False}
        self._devtools("Emulation.setDeviceMetricsOverride", metrics)
        self._devtools("Emulation.setEmulatedMedia", {"media": "print", "features": []})
        self.run("dispatchEvent(new Event('beforeprint'))")

    def picture(self, path: Path, *, whole: bool = True) -> None:
        """A PNG of the whole page, or of what is in sight."""
        shot = self._devtools("Page.captureScreenshot", {"captureBeyondViewport": whole})
        path.write_bytes(base64.b64decode(shot["data"]))

    def log(self, kind: str) -> list[dict[str, Any]]:
        """New entries of the console ("browser") or of DevTools events ("performance")."""
        return self._post("/se/log", {"type": kind})

    def requests(self) -> list[str]:
        """Every address asked for since the last call, those inside the page or the browser left
        out.
        """
        messages = [json.loads(entry["message"])["message"] for entry in self.log("performance")]
        asked = [
            m["params"]["request"]["url"]
            for m in messages
            if m["method"] == "Network.requestWillBeSent"
        ]
        return [
            address for address in asked if not address.startswith(("data:", "blob:", "chrome:"))
        ]

    def busy(self) -> float:
        """CPU seconds that the page's main thread has worked since the first call."""
        self._devtools("Performance.enable", {"timeDomain": "threadTicks"})
        found = self._devtools("Performance.getMetrics", {})["metrics"]
        return next(metric["value"] for metric in found if metric["name"] == "TaskDuration")

    def close(self) -> None:
        """End the session and its processes."""
        self._send("DELETE", "", None)

    def _devtools(self, command: str, parameters: dict[str, Any]) -> Any:
        return self._post("/goog/cdp/execute", {"cmd": command, "params": parameters})

    def _post(self, path: str, body: dict[str, Any]) -> Any:
        return self._send("POST", path, json.dumps(body).encode())

    def _send(self, method: str, path: str, body: bytes | None) -> Any:
        request = urllib.request.Request(
            self._session + path,
            data=body,
            method=method,
            headers={"Content-Type": "application/json"},
        )
        with urllib.request.urlopen(request, timeout=60) as answer:
            return json.load(answer)["value"]


@contextmanager
def browser() -> Iterator[Browser]:
    """A browser with an empty profile, gone afterwards."""
    assert DRIVER is not None
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as profile:
        process = subprocess.Popen(
            [DRIVER, "--port=0"], stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
        )
        try:
            tab = Browser(f"http://127.0.0.1:{_port(process)}", profile)
            try:
                yield tab
            finally:
                tab.close()
        finally:
            process.terminate()
            process.wait(timeout=10)


def _port(process: subprocess.Popen[str]) -> int:
    assert process.stdout is not None
    for line in process.stdout:
        if "started successfully on port" in line:
            return int(line.rstrip().rstrip(".").rsplit(" ", 1)[1])
    raise AssertionError("chromedriver did not start")
