"""A GPU is taken over when its last user has given its memory back."""

import pytest
import torch

from ictsweep.launch import devices
from ictsweep.launch.devices import wait_until_free


def seen(monkeypatch: pytest.MonkeyPatch, free: list[float]) -> list[float]:
    """A GPU of which these shares are free, look by look; the seconds that were waited."""
    waited: list[float] = []
    monkeypatch.setattr(devices.time, "sleep", waited.append)
    monkeypatch.setattr(devices.time, "monotonic", lambda: sum(waited))
    looks = iter(free)
    monkeypatch.setattr(torch.cuda, "mem_get_info", lambda device: (80e9 * next(looks), 80e9))
    return waited


def test_the_memory_of_an_ended_process_is_waited_for(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = seen(monkeypatch, [0.1, 0.4, 0.97])
    assert wait_until_free(torch.device("cuda", 0))
    assert len(waited) == 2


def test_somebody_else_may_keep_it(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    waited = seen(monkeypatch, [0.25] * 1000)
    assert not wait_until_free(torch.device("cuda", 0), patience_s=5.0)
    assert sum(waited) == pytest.approx(5.0)
    assert "other processes hold 75% of its memory" in caplog.text


def test_a_cpu_is_always_free(monkeypatch: pytest.MonkeyPatch) -> None:
    waited = seen(monkeypatch, [])
    assert wait_until_free(torch.device("cpu"))
    assert waited == []
