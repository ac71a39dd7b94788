"""The mirror in the real optuna-dashboard: what its page is told is what the log says, while the
study runs.
"""

import time
from collections import Counter
from pathlib import Path

import pytest
from sqlalchemy import URL

from ictsweep.mirror.mirror import Mirror
from ictsweep.study.store import StudyFolder
from tests.mirror.logs import NAME, counts, grow, started
from tests.mirror.servers import Dashboard

pytest.importorskip("optuna_dashboard", reason="optuna-dashboard is not installed")


def test_counts_per_state_are_the_logs_while_the_study_runs(
    whole: StudyFolder, url: URL, tmp_path: Path
) -> None:
    events = whole.events()
    growing = started(tmp_path / "growing", whole)
    grow(growing, events[:60])
    following = Mirror(growing, url)
    following.catch_up()
    dashboard = Dashboard(url, tmp_path / "dashboard.log")
    try:
        assert _counted(dashboard) == counts(events[:60])
        assert counts(events[:60])["RUNNING"]
        grow(growing, events[60:])
        following.catch_up()
        deadline = time.monotonic() + 30  # it keeps what it read for some seconds
        while _counted(dashboard) != counts(events):
            assert time.monotonic() < deadline, (_counted(dashboard), counts(events))
            time.sleep(0.2)
        shown = dashboard.trials(NAME)
    finally:
        following.close()
        dashboard.stop()
    assert set(counts(events)) == {"COMPLETE", "PRUNED", "FAIL"}
    for record, trial in zip(whole.trials(), shown, strict=True):
        assert trial["number"] == record.number
        steps = {v["step"]: v["value"] for v in trial["intermediate_values"]}
        assert steps == {c.rung_kimg: c.value for c in record.cards if c.value is not None}
        said = {attribute["key"]: attribute["value"] for attribute in trial["user_attrs"]}
        assert record.reason in said["reason"]


def _counted(dashboard: Dashboard) -> Counter[str]:
    return Counter(trial["state"].upper() for trial in dashboard.trials(NAME))
