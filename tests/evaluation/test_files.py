import fcntl
import os
import threading
import time
from typing import Any

import pytest
import torch

from ictsweep.evaluation.files import cached
from ictsweep.files import write_atomic


def build(value, calls, wait_s=0.0):
    def run():
        calls.append(value)
        time.sleep(wait_s)
        return {"x": torch.full((3,), value)}, {"value": value}

    return run


def test_built_once_then_read(tmp_path):
    calls = []
    for value in (1, 2):
        tensors, facts = cached(tmp_path / "new", "a", build(value, calls))
        assert tensors["x"].tolist() == [1, 1, 1]
        assert facts == {"value": 1}
    assert calls == [1]
    assert cached(tmp_path / "new", "b", build(2, calls))[1] == {"value": 2}


def at_once(count, run):
    results: list[Any] = [None] * count

    def call(i):
        results[i] = run(i)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(count)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return results


def test_at_once_one_builds_and_the_others_wait(tmp_path):
    calls = []
    results = at_once(4, lambda _: cached(tmp_path, "a", build(1, calls, 0.1)))
    assert calls == [1]
    assert all(facts == {"value": 1} for _, facts in results)


def test_without_locks_everyone_builds_the_same(tmp_path, monkeypatch):
    def no_locks(*_):
        raise OSError("not supported")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    calls = []
    results = at_once(4, lambda _: cached(tmp_path, "a", build(1, calls, 0.1)))
    assert calls
    assert all(tensors["x"].tolist() == [1, 1, 1] for tensors, _ in results)
    assert cached(tmp_path, "a", build(2, calls))[1] == {"value": 1}


def test_a_failed_build_leaves_nothing(tmp_path):
    def fail():
        raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        cached(tmp_path, "a", fail)
    assert cached(tmp_path, "a", build(1, []))[1] == {"value": 1}


def test_a_failed_write_leaves_the_old_file_and_no_other(tmp_path, monkeypatch):
    path = tmp_path / "a"
    write_atomic(path, b"old")

    def fail(*_):
        raise OSError("disk")

    monkeypatch.setattr(os, "replace", fail)
    with pytest.raises(OSError, match="disk"):
        write_atomic(path, b"new")
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
