"""Ray actors give the bits of one process, also when one is killed in the middle of a batch."""

import functools
import os
import signal
import threading
import time

import pytest
import torch

from extraction.cli_support import read_input
from extraction.distributed import harvest_with_workers
from extraction.run import harvest_to

ray = pytest.importorskip("ray", reason="the extra ray (a wheel of 75 MB) is not installed; no part of the test extra")

LOAD = functools.partial(
    read_input, "embedded", None, limit=64, dtype="auto", device="cpu", allow_download=False, trust_remote_code=False
)
OPTIONS = {"batch_size": 4, "name": "m", "progress": False}


def test_a_killed_actor_costs_no_bit(tmp_path):
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    model, processor, samples, _ = LOAD()
    whole = harvest_to(model, samples, tmp_path / "whole", processor=processor, **OPTIONS)
    torch.set_num_threads(before)
    ray.init(num_cpus=2, log_to_driver=False, include_dashboard=False)
    killed = []

    def kill():
        """As soon as the first batch is stored, end one of the actors."""
        from ray.util.state import list_actors

        while not list((tmp_path / "run").glob("part-*")):
            time.sleep(0.02)
        actor = next(a for a in list_actors(detail=True) if a.state == "ALIVE")
        os.kill(actor.pid, signal.SIGKILL)
        killed.append(actor.pid)

    thread = threading.Thread(target=kill, daemon=True)
    thread.start()
    try:
        run = harvest_with_workers(LOAD, tmp_path / "run", workers=2, threads=1, engine="ray", **OPTIONS)
    finally:
        ray.shutdown()
    thread.join(timeout=10)
    assert killed
    assert run.statistics.digest() == whole.statistics.digest()
    parts = [{p.name: p.read_bytes() for p in (tmp_path / d).glob("*.safetensors")} for d in ("whole", "run")]
    assert parts[0] == parts[1]
