import fcntl
import os
import resource
import threading
import time
from typing import Any

import pytest
import torch

from ictsweep.errors import UserError
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


def test_a_full_disk_is_one_error_and_what_was_there_stays(tmp_path):
    cached(tmp_path, "a", build(1, []))
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, hard))  # no file may grow beyond 100 bytes
    try:
        with pytest.raises(
            UserError, match=r"b\.pt: [\d,]+ bytes cannot be written \(File too large"
        ):
            cached(tmp_path, "b", build(2, []))
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
    assert cached(tmp_path, "a", build(3, []))[1] == {"value": 1}
    assert cached(tmp_path, "b", build(2, []))[1] == {"value": 2}
    assert not [path for path in tmp_path.iterdir() if path.name.startswith(".")]


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
