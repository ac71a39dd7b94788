"""How long a report takes and how large it is, against optuna.visualization on the same study.

The peer's page: every plot of optuna.visualization that one study of one objective has (history,
intermediate values, parallel coordinates, slices, empirical distribution, timeline, importances) in
one HTML file with one copy of plotly. Contours and ranks are left out: at 1,000 trials of ten
parameters they alone are hundreds of megabytes. Ours is the whole report: those plots and the rest.

There is no number where either page has not all trials.

    python -m tests.benchmarks.report --trials 100 1000 10000 --out FILE
"""

import argparse
import re
import tempfile
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import optuna
import plotly
import plotly.io as pio
import torch
from optuna.distributions import CategoricalDistribution, FloatDistribution
from optuna.trial import FrozenTrial, TrialState
from plotly.offline import get_plotlyjs

from ictsweep.records import State
from ictsweep.report import build
from ictsweep.study.store import StudyFolder
from tests.benchmarks.measuring import conditions, middle, publish, take_turns
from tests.report.many import write_many
from tests.report.reading import data_of

CPU = torch.device("cpu")
STATES = {State.COMPLETE: TrialState.COMPLETE, State.PRUNED: TrialState.PRUNED}


def as_optuna(folder: StudyFolder) -> optuna.Study:
    """The same trials, values and states in a study of Optuna's, in memory."""
    distributions = {
        axis.path: CategoricalDistribution(axis.choices)
        if axis.choices is not None
        else FloatDistribution(float(axis.low or 0), float(axis.high or 1), log=axis.log)
        for axis in folder.spec().search
    }
    study = optuna.create_study()
    study.add_trials([_frozen(record, distributions) for record in folder.trials()])
    return study


def _frozen(record: Any, distributions: dict[str, Any]) -> FrozenTrial:
    values = {m.kimg: m.values["fd"] for m in record.measurements}
    begun = datetime.fromtimestamp(record.asked, UTC).replace(tzinfo=None)
    ended = datetime.fromtimestamp(record.ended, UTC).replace(tzinfo=None)
    return FrozenTrial(
        number=record.number, state=STATES[record.state], value=list(values.values())[-1],
        datetime_start=begun, datetime_complete=ended, params=dict(record.params),
        distributions=distributions, user_attrs={}, system_attrs={}, intermediate_values=values,
        trial_id=record.number,
    )  # fmt: skip


def peer_page(study: optuna.Study, path: Path) -> None:
    """Their plots of the study in one file."""
    shown = optuna.visualization
    figures = [
        shown.plot_optimization_history(study), shown.plot_intermediate_values(study),
        shown.plot_parallel_coordinate(study), shown.plot_slice(study), shown.plot_edf(study),
        shown.plot_timeline(study), shown.plot_param_importances(study),
    ]  # fmt: skip
    parts = [pio.to_html(figure, include_plotlyjs=False, full_html=False) for figure in figures]
    path.write_text(f"<script>{get_plotlyjs()}</script>" + "".join(parts))


def complete(page: Path, peer: Path, trials: int) -> bool:
    """Whether ours has every trial, and theirs a curve of every one."""
    ours = data_of(page.read_text())["table"]["numbers"]
    curves = set(re.findall(r'"name":"Trial(\d+)"', peer.read_text()))
    return sorted(ours) == list(range(trials)) and len(curves) == trials


def measured(trials: int, repeats: int, folder: Path) -> dict[str, object] | None:
    """One row of the record; None where a page is not complete."""
    made = write_many(folder / "study", trials)
    study, page, peer = as_optuna(made), folder / "reports/digits/index.html", folder / "peer.html"
    actions: dict[str, Callable[[], object]] = {
        "ours": lambda: build(made.path, folder / "reports"),
        "optuna": lambda: peer_page(study, peer),
    }
    times = take_turns(actions, CPU, repeats, warmup=1 if trials <= 1000 else 0)
    if not complete(page, peer, trials):
        return None
    ours = sum(p.stat().st_size for p in (folder / "reports").rglob("*") if p.is_file())
    row: dict[str, object] = {"trials": trials}
    for name, size in (("ours", ours), ("optuna", peer.stat().st_size)):
        seconds, spread = middle(times[name], 2)
        row[name] = {"seconds": seconds, "spread": spread, "megabytes": round(size / 1e6, 1)}
    return row


def line(row: dict[str, Any]) -> str:
    """A row for people."""
    ours, peer = row["ours"], row["optuna"]
    return (
        f"report: {row['trials']:,} trials: {ours['seconds']} s, {ours['megabytes']} MB; "
        f"optuna.visualization (7 plots) {peer['seconds']} s, {peer['megabytes']} MB: "
        f"{peer['seconds'] / ours['seconds']:.1f} times as long"
    )


def main(arguments: list[str] | None = None) -> int:
    """The command line: 1 where a page was not complete."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--trials", type=int, nargs="+", default=[100, 1000])
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--out", type=Path)
    options = parser.parse_args(arguments)
    optuna.logging.set_verbosity(optuna.logging.ERROR)
    rows = []
    for trials in options.trials:
        with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
            warnings.simplefilter("ignore")
            row = measured(trials, options.repeats, Path(folder))
        if row is None:
            print(f"report: {trials:,} trials: a page lacks trials; no number")
            return 1
        print(line(row))
        rows.append(row)
    versions = {"optuna": optuna.__version__, "plotly": plotly.__version__}
    publish({"benchmark": "report", **conditions(CPU), **versions, "rows": rows}, options.out)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
