"""`skip-it harvest` killed and resumed, sharded and merged, as a user runs it."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from estimators.store import ActivationStore
from redundancy.statistics.harvest_statistics import HarvestStatistics

RUN = [sys.executable, "-m", "redundancy"]
ENVIRONMENT = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def skip_it(*arguments):
    return subprocess.run([*RUN, *map(str, arguments)], capture_output=True, text=True, env=ENVIRONMENT, timeout=600)


def test_killed_resumed_sharded_and_merged(tmp_path):
    options = ["--limit", "48", "--batch-size", "2"]
    straight, broken = tmp_path / "straight", tmp_path / "broken"
    kept = {d: ["--store", tmp_path / f"{d.name}-states", "--store-tokens", "2"] for d in (straight, broken)}
    done = skip_it("harvest", "embedded", *options, "--out", straight, *kept[straight])
    assert done.returncode == 0, done.stderr
    assert "48 samples harvested, 0 left out" in done.stdout
    process = subprocess.Popen(
        [*RUN, "harvest", "embedded", *options, "--out", str(broken), *map(str, kept[broken])],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    deadline = time.monotonic() + 300
    while not (broken / "part-00000004-00000005.safetensors").exists():
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.01)
    process.send_signal(signal.SIGKILL)
    process.wait()
    assert not (broken / "summary.json").exists()
    resumed = skip_it("harvest", "embedded", *options, "--out", broken, "--resume", "--json", *kept[broken])
    assert resumed.returncode == 0, resumed.stderr
    first, second = (HarvestStatistics.load(d / "statistics.safetensors") for d in (straight, broken))
    assert json.loads(resumed.stdout)["digest"] == first.digest() == second.digest()
    one, other = (ActivationStore(kept[d][1]) for d in (straight, broken))
    assert one.sample_ids == other.sample_ids == first.sample_ids
    assert all(np.array_equal(one.layer(d)[:], other.layer(d)[:]) for d in one.depths)

    shards = [tmp_path / f"shard{i}" for i in range(2)]
    for i, shard in enumerate(shards):
        part = skip_it("harvest", "embedded", *options, "--shard", f"{i}/2", "--out", shard)
        assert part.returncode == 0, part.stderr
    merged = skip_it("merge", *shards, "--out", tmp_path / "merged.safetensors")
    assert merged.returncode == 0, merged.stderr
    whole = HarvestStatistics.load(tmp_path / "merged.safetensors")
    assert whole.sample_ids == first.sample_ids
    np.testing.assert_allclose(whole.mean_distance("vision"), first.mean_distance("vision"), rtol=1e-5)
    twice = skip_it("merge", shards[0], shards[0], "--out", tmp_path / "twice.safetensors")
    assert twice.returncode == 2
    assert "need disjoint samples" in twice.stderr
    assert not (tmp_path / "twice.safetensors").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["harvest", "embedded", "--shard", "2/2"], "i/n with 0 <= i < n"),
        (["harvest", "embedded", "--limit", "8", "--until", "soon"], "need a question like"),
        (["merge", "nothing"], "nothing"),
    ],
)
def test_wrong_use_is_one_sentence(tmp_path, arguments, words):
    out = tmp_path / "out"
    done = skip_it(*arguments, "--out", out)
    assert done.returncode == 2, done.stdout
    assert words in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()
