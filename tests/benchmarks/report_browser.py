"""How soon a report answers in headless Chromium, and how smoothly it scrolls and brushes.

Of each size of study, on the clock and in CPU time of the page's main thread: seconds from the
address to a page whose first screen is drawn and whose controls work, and to the tab of trials;
milliseconds a frame while the table scrolls (100 pixels a frame, 6,000 a second) and while an axis
of the parallel coordinates is dragged over; seconds to the learning curves of the selection.
Chromium draws in software here, lines of WebGL too: a machine with a GPU is faster. Other work on
the machine lengthens the clock's numbers, not those of CPU time.

There is no number where the table has not all trials or the brush selects none.

    python -m tests.benchmarks.report_browser --trials 1000 10000 --out FILE
"""

import argparse
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch

from ictsweep.report import build
from tests.benchmarks.measuring import conditions, middle, publish
from tests.report.browser import MISSING, Browser, browser
from tests.report.many import write_many
from tests.report.test_browser import GO, MIDDLE, SHOWN

CPU = torch.device("cpu")
WATCH = """
window.frames = []; window.watching = true;
let last = performance.now();
const step = (now) => {
  window.frames.push(now - last); last = now;
  if (window.watching) requestAnimationFrame(step);
};
requestAnimationFrame(step);
"""
FRAMES = "window.watching = false; return window.frames.slice(1)"
SCROLL = """
const view = document.getElementById('rows');
return new Promise((done) => {
  let n = 0;
  const step = () => {
    view.scrollTop += 100; n += 1;
    if (n < 120) requestAnimationFrame(step); else done(1);
  };
  requestAnimationFrame(step);
});
"""
DRAWN = "return new Promise(requestAnimationFrame).then(app.settled).then(() => 1)"


def timed(tab: Browser, action: Callable[[], object]) -> tuple[float, float]:
    """Seconds on the clock and of the page's CPU time."""
    busy, begun = tab.busy(), time.perf_counter()
    action()
    return time.perf_counter() - begun, tab.busy() - busy


def once(page: Path, trials: int) -> dict[str, Any] | None:
    """One fresh browser's numbers; None where the page does not do what it should."""
    with browser() as tab:
        tab.look()
        found: dict[str, Any] = {"interactive": timed(tab, lambda: tab.open(page))}
        found["trials"] = timed(tab, lambda: _shown(tab, "trials"))
        if len(tab.run(SHOWN)) != trials:
            return None
        tab.run(WATCH)
        _, found["scroll_busy"] = timed(tab, lambda: tab.run(SCROLL))
        found["scroll"] = tab.run(FRAMES)
        tab.run("document.getElementById('plot-parallel').scrollIntoView({block: 'center'})")
        tab.run(DRAWN)
        x, top, height = tab.run(MIDDLE, 1)
        tab.run(WATCH)
        ends = (x, top + 0.1 * height), (x, top + 0.3 * height)
        _, found["brush_busy"] = timed(tab, lambda: (tab.drag(*ends), tab.run(DRAWN)))
        found["brush"] = tab.run(FRAMES)
        if not 0 < len(tab.run(SHOWN)) < trials:
            return None
        found["curves"] = timed(tab, lambda: _shown(tab, "curves"))
        return found


def _shown(tab: Browser, name: str) -> None:
    tab.run(GO, f"#{name}")


def measured(trials: int, repeats: int) -> dict[str, object] | None:
    """One row of the record."""
    with tempfile.TemporaryDirectory() as folder:
        made = write_many(Path(folder) / "study", trials, pictures=40)
        page = build(made.path, Path(folder) / "reports")
        runs = [once(page, trials) for _ in range(repeats)]
    if not all(runs):
        return None
    return {"trials": trials, **_row([run for run in runs if run])}


def _row(runs: Sequence[dict[str, Any]]) -> dict[str, object]:
    row: dict[str, object] = {}
    for name in ("interactive", "trials", "curves"):
        for place, unit in enumerate(("s", "cpu_s")):
            value, spread = middle([run[name][place] for run in runs], 2)
            row[f"{name}_{unit}"] = {"middle": value, "spread": spread}
    for name in ("scroll", "brush"):
        frames = sorted(ms for run in runs for ms in run[name])
        busy = sum(run[f"{name}_busy"] for run in runs)
        row[f"{name}_ms"] = {
            "frames": len(frames), "median": round(frames[len(frames) // 2], 1),
            "p95": round(frames[int(0.95 * len(frames))], 1), "worst": round(frames[-1], 1),
            "cpu": round(1000 * busy / len(frames), 1),
        }  # fmt: skip
    return row


def line(row: dict[str, Any]) -> str:
    """A row for people."""
    said = [
        f"{name}s at {row[f'{name}_ms']['median']} ms a frame (95 %: {row[f'{name}_ms']['p95']}, "
        f"CPU {row[f'{name}_ms']['cpu']})"
        for name in ("scroll", "brush")
    ]
    return (
        f"report_browser: {row['trials']:,} trials: answers after "
        f"{row['interactive_s']['middle']} s (CPU {row['interactive_cpu_s']['middle']}), the tab "
        f"of trials after {row['trials_s']['middle']} s; {'; '.join(said)}"
    ).replace("brushs", "brushes")


def main(arguments: list[str] | None = None) -> int:
    """The command line: 1 where a page did not do what it should, or no browser is here."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[1000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    if MISSING:
        print(f"report_browser: no browser here: {MISSING} missing; no number")
        return 1
    rows = []
    for trials in options.trials:
        row = measured(trials, options.repeats)
        if row is None:
            print(f"report_browser: {trials:,} trials: the page lacks trials; no number")
            return 1
        print(line(row))
        rows.append(row)
    publish({"benchmark": "report_browser", **conditions(CPU), "rows": rows}, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
