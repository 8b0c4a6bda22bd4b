"""Ray actors give the bits of one process, also when one is killed in the middle of a batch."""

import functools
import os
import signal

import pytest
import torch

from extraction.commands.support import read_input
from extraction.run import harvest_to
from extraction.run.distributed import harvest_with_workers
from extraction.run.distributed.ray_actors import RayPool

ray = pytest.importorskip("ray", reason="the extra ray (a wheel of 75 MB) is not installed; no part of the test extra")

LOAD = functools.partial(
    read_input, "embedded", None, limit=64, dtype="auto", device="cpu", allow_download=False, trust_remote_code=False
)
OPTIONS = {"batch_size": 4, "name": "m", "progress": False}


def test_a_killed_actor_costs_no_bit(tmp_path, monkeypatch):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    model, processor, samples, _ = LOAD()
    whole = harvest_to(model, samples, tmp_path / "whole", processor=processor, **OPTIONS)
    torch.set_num_threads(before)
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    killed = []
    original = RayPool.batches

    def batches(pool, start, folder):
        pids = ray.get([actor.__ray_call__.remote(lambda self: os.getpid()) for actor in pool._actors])
        for finished in original(pool, start, folder):
            if not killed:
                os.kill(pids[0], signal.SIGKILL)
                killed.append(pids[0])
            yield finished
        pids = ray.get([actor.__ray_call__.remote(lambda self: os.getpid()) for actor in pool._actors])
        assert killed[0] not in pids

    monkeypatch.setattr(RayPool, "batches", batches)
    try:
        run = harvest_with_workers(LOAD, tmp_path / "run", workers=2, threads=1, engine="ray", **OPTIONS)
    finally:
        ray.shutdown()
    assert killed
    assert run.statistics.digest() == whole.statistics.digest()
    parts = [{p.name: p.read_bytes() for p in (tmp_path / d).glob("*.safetensors")} for d in ("whole", "run")]
    assert parts[0] == parts[1]
