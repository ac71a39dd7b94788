"""How fast machines are said to be, by hand."""

import pytest

from ictsweep.errors import UserError
from ictsweep.records import Leave, Measurement, State, TrialRecord
from ictsweep.study.spans import Span
from ictsweep.study.speeds import GPUS, Ran, of_gpu, of_person, of_study


def close(found: Span, *expected: float) -> bool:
    return (found.low, found.likely, found.high) == pytest.approx(expected)


def test_a_gpus_speed_is_a_share_of_its_peak() -> None:
    one = of_gpu("H100", "tf32", 1)
    assert close(one.train_s, 1 / (0.5 * 495e12), 1 / (0.35 * 495e12), 1 / (0.2 * 495e12))
    assert close(one.evaluate_s, 1 / (0.8 * 67e12), 1 / (0.65 * 67e12), 1 / (0.5 * 67e12))
    assert one.source == "assumed: h100 at 35% (20% to 50%) of its peak of 495 TFLOP/s in tf32"
    assert of_gpu("a100", "fp16", 1).train_s == of_gpu("a100", "bf16", 1).train_s
    assert close(of_gpu("a100", "fp32", 1).train_s, *(1 / (s * 19.5e12) for s in (0.8, 0.65, 0.5)))
    eight = of_gpu("h100", "tf32", 8).train_s
    assert close(eight, one.train_s.low / 8, one.train_s.likely / 7.2, one.train_s.high / 5.6)


def test_every_gpu_is_faster_in_fewer_bits() -> None:
    for kind, (fp32, tf32, half) in GPUS.items():
        assert fp32 <= tf32 <= half, kind


def test_an_unknown_gpu_is_told_the_known_ones() -> None:
    with pytest.raises(UserError, match=r"--gpu h10: expected one of t4, .* did you mean h100"):
        of_gpu("h10", "tf32", 1)


def test_a_persons_number_holds_within_a_tenth() -> None:
    found = of_person(100.0, 2e9, "fp32")
    assert close(found.train_s, 1 / 220e9, 1 / 200e9, 1 / 180e9)
    assert found.evaluate_s == found.train_s
    slower = of_person(100.0, 2e9, "tf32")
    assert close(slower.evaluate_s, 0.8 / 220e9, 2 / 200e9, 5 / 180e9)


def measured(run: int, kimg: int, train_s: float, evaluate_s: float) -> Measurement:
    return Measurement(
        run_kimg=run, kimg=kimg, values={"fd": 1.0}, errors={}, passports={}, levels=11, loss=1.0,
        grad_norm=1.0, train_s=train_s, evaluate_s=evaluate_s,
    )  # fmt: skip


def ran(number: int, *measurements: Measurement, phases: dict[str, float] | None = None) -> Ran:
    leaves = () if phases is None else (Leave(time=0.0, seconds=9.0, gpus=1.0, phases=phases),)
    record = TrialRecord(
        number=number, params={}, seed=0, replicate_of=None, state=State.COMPLETE, asked=0.0,
        measurements=measurements, leaves=leaves,
    )  # fmt: skip
    return Ran(record=record, step_flop=1e3, evaluation_flop=1e6)


def test_an_older_study_is_measured_by_its_runs() -> None:
    """Three runs: 4 kimg in 8 s, 4 in 12 s and 8 in 32 s (of which the middle is no run), at 10^6
    operations per kimg: 2, 3 and 4 millionths of a second per operation.
    """
    found = of_study("old", [
        ran(0, measured(4, 2, 3.0, 1.0), measured(4, 4, 8.0, 1.0)),
        ran(1, measured(4, 4, 12.0, 2.0), measured(8, 4, 15.0, 3.0), measured(8, 8, 32.0, 3.0)),
    ], ["a note"])  # fmt: skip
    assert close(found.train_s, 2.1e-6, 3e-6, 3.9e-6)
    assert close(found.evaluate_s, 1e-6, 2e-6, 3e-6)
    assert (found.idle, found.notes) == (Span.exactly(0.0), ("a note",))
    assert found.source == "measured: 3 runs of old"


def test_starting_and_waiting_are_what_trials_said_of_them() -> None:
    one = measured(4, 4, 8.0, 1.0)
    phases = [
        {"startup_s": 10.0, "train_s": 80.0, "evaluate_s": 20.0, "idle_s": 10.0},
        {"startup_s": 20.0, "train_s": 90.0, "evaluate_s": 10.0, "idle_s": 30.0},
    ]
    found = of_study("old", [ran(n, one, phases=p) for n, p in enumerate(phases)])
    assert close(found.launch_s, 10.5, 15.0, 19.5)
    assert close(found.idle, 0.0, 0.2, 0.29)


def test_a_study_without_results_says_nothing() -> None:
    with pytest.raises(UserError, match="--like old: no trial of this study was measured yet"):
        of_study("old", [ran(0)])
