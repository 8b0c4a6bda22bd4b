"""Several workers give the bits of one process, also when they are killed; ranks, staged batches and merges by file."""

import functools
import os
import signal
import threading
import time
from dataclasses import replace

import numpy as np
import pytest
import torch

from extraction.commands.support import read_input
from extraction.run import HarvestFolder, harvest_to
from extraction.run.distributed import default_shard, harvest_with_workers, local_device, rank_and_world
from extraction.run.distributed.batch_queue import BatchQueue, ResultBuffer
from extraction.run.distributed.processes import ProcessPool
from extraction.run.distributed.work import BatchWorker, WorkerSetup
from extraction.run.folder import Fault
from extraction.run.job import HarvestJob
from redundancy.errors import InvalidInputError, SkipItError
from redundancy.statistics.harvest_statistics import HarvestStatistics
from redundancy.statistics.merging import merge_files

N_SAMPLES, OPTIONS = 44, {"batch_size": 4, "name": "m"}
LOAD = functools.partial(
    read_input, "embedded", None, limit=N_SAMPLES, dtype="auto", device="cpu", allow_download=False,
    trust_remote_code=False,
)  # fmt: skip
SETUP = WorkerSetup(load=LOAD, options=OPTIONS, threads=1)


@pytest.fixture(scope="module")
def parts():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield LOAD()[:3]
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def whole(parts, tmp_path_factory):
    """One process, undisturbed."""
    model, processor, samples = parts
    out = tmp_path_factory.mktemp("run") / "whole"
    return harvest_to(model, samples, out, processor=processor, progress=False, **OPTIONS), out


def files(folder):
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir()) if p.name != ".lock"}


def test_a_killed_worker_costs_no_bit(parts, whole, tmp_path, monkeypatch):
    """Two workers go on with a run that one process began, one is killed at work: the same folder, byte for byte."""
    model, processor, samples = parts
    job = HarvestJob(model, samples, processor=processor, **OPTIONS)
    job.prepare()
    with HarvestFolder(tmp_path / "run", job.plan.run) as folder:
        folder.add(*job.work(0))
    killed, left = [], []
    original = ProcessPool.batches

    def batches(pool, start, folder):
        assert start == 1
        for finished in original(pool, start, folder):
            if not killed:
                busy = next(w for w in pool._workers if w.state == "busy")
                os.kill(busy.process.pid, signal.SIGKILL)
                killed.append(busy.process.pid)
            yield finished
        left.extend(pool.pids)

    monkeypatch.setattr(ProcessPool, "batches", batches)
    run = harvest_with_workers(LOAD, tmp_path / "run", workers=2, threads=1, resume=True, progress=False, **OPTIONS)
    assert killed[0] not in left
    assert len(left) == 2
    assert run.statistics.digest() == whole[0].statistics.digest()
    assert files(tmp_path / "run") == files(whole[1])


def test_a_killed_run_is_resumed_with_what_its_workers_had_done(parts, whole, tmp_path):
    """Batches that were done before their turn wait on disk; any number of workers goes on, also none but this one."""
    model, processor, samples = parts
    job = HarvestJob(model, samples, processor=processor, **OPTIONS)
    empty = job.prepare()
    out = tmp_path / "run"
    with HarvestFolder(out, job.plan.run) as folder:
        folder.add(*job.work(0))
        results = ResultBuffer(out / "ahead")
        results.put_pilot(empty)
        for k in (2, 3, 7):
            results.put(k, *job.work(k))
        torn = out / "ahead" / "batch-00000007.safetensors"
        torn.write_bytes(torn.read_bytes()[:-5])
        queue = BatchQueue(folder, n_batches=11, start=1, n_workers=1)
        assert [queue.take() for _ in range(6)] == [1, 4, 5, 6, 7, 8]
        assert queue.take() is None, "the work must not run ahead of what is missing without bound"
        assert queue.collect(1) is None
        assert queue.collect(2)[0].digest() == job.work(2)[0].digest()
    run = harvest_to(model, samples, out, processor=processor, progress=False, resume=True, **OPTIONS)
    assert run.statistics.digest() == whole[0].statistics.digest()


@pytest.mark.skipif(not hasattr(signal, "pthread_sigmask"), reason="signals cannot be held back on this system")
def test_an_interrupt_does_not_reach_workers_not_even_while_they_start(capfd):
    """Ctrl-C goes to every process of a terminal; a worker that has just begun to import must not print its own end."""
    with ProcessPool(SETUP, n_workers=1) as pool:
        started = pool.pids
        os.kill(started[0], signal.SIGINT)
        assert pool.plan().n_samples == N_SAMPLES
        assert pool.pids == started, "the worker was lost and replaced"
    assert signal.SIGINT not in signal.pthread_sigmask(signal.SIG_BLOCK, ())
    assert "Traceback" not in capfd.readouterr().err


@pytest.mark.slow
def test_workers_resume_a_run_and_decide_after_the_same_batch(parts, tmp_path):
    """The question is decided after the same batch as by one process, from a folder that one process began."""
    model, processor, samples = parts
    until = "D_vision[2] < 1.2"
    alone = harvest_to(model, samples, tmp_path / "a", processor=processor, progress=False, until=until, **OPTIONS)
    job = HarvestJob(model, samples, processor=processor, **OPTIONS)
    with HarvestFolder(tmp_path / "b", job.plan.run) as folder:
        job.prepare()
        folder.add(*job.work(0))
    shared = harvest_with_workers(
        LOAD, tmp_path / "b", workers=1, threads=1, until=until, resume=True, progress=False, **OPTIONS
    )
    assert shared.decision == alone.decision
    assert shared.n_left == alone.n_left > 0
    assert shared.statistics.digest() == alone.statistics.digest()


def test_an_error_of_a_worker_is_the_sentence_of_one_process():
    load = functools.partial(read_input, *LOAD.args, **{**LOAD.keywords, "limit": 1})
    with (
        ProcessPool(WorkerSetup(load=load, options={}), n_workers=1) as pool,
        pytest.raises(InvalidInputError, match="need at least 2 samples"),
    ):
        pool.plan()


def test_a_batch_that_ends_workers_is_named(parts, tmp_path):
    plan = HarvestJob(*parts[::2], processor=parts[1], **OPTIONS).plan
    with HarvestFolder(tmp_path / "run", plan.run) as folder:
        queue = BatchQueue(folder, n_batches=11, start=0, n_workers=2)
        assert queue.take() == 0
        queue.give_back(0, "by SIGKILL")
        assert queue.take() == 0, "what a lost worker leaves is done first"
        queue.give_back(0, "by SIGKILL")
        with pytest.raises(SkipItError, match=r"batch 0 has ended 3 of them \(by SIGKILL\)"):
            queue.give_back(0, "by SIGKILL")


def test_a_worker_uses_the_means_it_is_given(parts):
    """On another kind of machine the first batch has other bits: all workers centre at the means of the first."""
    worker = object.__new__(BatchWorker)
    worker._job, worker._is_ready = HarvestJob(*parts[::2], processor=parts[1], **OPTIONS), False
    own = worker.prepare(None)
    given = own.shift + np.float32(1e-3)
    statistics, faults = worker.work(3, given)
    assert faults == []
    assert np.array_equal(statistics.shift, given)
    assert statistics.spec.shift_digest != own.spec.shift_digest


def test_staged_faults_come_back(parts, tmp_path):
    job = HarvestJob(*parts[::2], processor=parts[1], **OPTIONS)
    empty = job.prepare()
    results = ResultBuffer(tmp_path / "ahead")
    results.put(5, empty, [Fault(5, "a", "torn")])
    statistics, faults = results.get(5, empty.shift)
    assert faults == [Fault(5, "a", "torn")]
    assert statistics.n_samples == 0
    assert results.get(5, empty.shift + 1) is None, "a batch that was centred elsewhere does not belong to this run"
    assert results.done(empty.shift, 6, 9) == set()
    assert list((tmp_path / "ahead").iterdir()) == []


def test_files_merge_to_the_same_bits_in_any_order(whole, tmp_path):
    names = sorted(whole[1].glob("part-*"))
    assert len(names) == 4
    merged = merge_files(names)
    assert merged.digest() == merge_files(names[::-1]).digest()
    assert merged.sample_ids == whole[0].statistics.sample_ids
    np.testing.assert_allclose(merged.mean_norm("all"), whole[0].statistics.mean_norm("all"), rtol=1e-12)
    raw = bytearray(names[2].read_bytes())
    raw[-3] ^= 1
    (tmp_path / "altered.safetensors").write_bytes(raw)
    with pytest.raises(OSError, match="SHA-256"):
        merge_files([names[0], tmp_path / "altered.safetensors"])
    with pytest.raises(InvalidInputError, match="need disjoint samples"):
        merge_files([names[0], names[1], names[0]])
    other = HarvestStatistics.load(names[1])
    HarvestStatistics(replace(other.spec, dtype="bfloat16"), sample_ids=other.sample_ids, arrays=other.arrays()).save(
        tmp_path / "other.safetensors"
    )
    with pytest.raises(InvalidInputError, match="they differ in dtype"):
        merge_files([names[0], tmp_path / "other.safetensors"])


def test_large_files_are_read_side_by_side_to_the_same_bits(whole, monkeypatch):
    import redundancy.statistics.merging as module

    names = sorted(whole[1].glob("part-*"))
    plain = merge_files(names).digest()
    seen = set()
    original = HarvestStatistics.load

    def load(path):
        seen.add(threading.get_ident())
        time.sleep(0.05)
        return original(path)

    monkeypatch.setattr(module, "_LARGE", 1)
    monkeypatch.setattr(HarvestStatistics, "load", load)
    assert merge_files(names).digest() == plain
    assert len(seen) > 1


@pytest.mark.parametrize(
    ("environment", "shard"),
    [({}, "0/1"), ({"RANK": "3", "WORLD_SIZE": "8"}, "3/8"), ({"RANK": "0", "WORLD_SIZE": "1"}, "0/1")],
)
def test_the_rank_is_the_default_shard(environment, shard):
    assert default_shard(environment) == shard


@pytest.mark.parametrize(
    "environment",
    [{"RANK": "8", "WORLD_SIZE": "8"}, {"RANK": "1"}, {"WORLD_SIZE": "4"}, {"RANK": "x", "WORLD_SIZE": "4"}],
)
def test_half_a_rank_is_refused(environment):
    with pytest.raises(InvalidInputError, match="need RANK and WORLD_SIZE"):
        rank_and_world(environment)


def test_neighbours_get_devices_of_their_own():
    assert [local_device("cuda", 4, {"LOCAL_RANK": str(i)}) for i in range(5)] == [
        "cuda:0", "cuda:1", "cuda:2", "cuda:3", "cuda:0",
    ]  # fmt: skip
    assert local_device("cuda:1", 4, {"LOCAL_RANK": "3"}) == "cuda:1"
    assert local_device("cuda", 0, {"LOCAL_RANK": "3"}) == "cuda"


def test_a_loader_that_cannot_travel_is_refused(tmp_path):
    with pytest.raises(InvalidInputError, match="that other processes can import"):
        harvest_with_workers(lambda: None, tmp_path / "run", workers=2)


@pytest.mark.parametrize(
    ("options", "words"), [({"workers": 0}, "workers"), ({"workers": 2, "engine": "dask"}, "engine")]
)
def test_wrong_use_is_refused_before_anything_starts(tmp_path, options, words):
    with pytest.raises(InvalidInputError, match=words):
        harvest_with_workers(LOAD, tmp_path / "run", **options)
    assert not (tmp_path / "run").exists()
