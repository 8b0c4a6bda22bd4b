"""A store beside a harvest: the same passes, killed anywhere it holds the samples of the statistics, once each."""

import json
import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from estimators.store import ActivationStore
from extraction import default_model
from extraction.data import as_sample, settle_units
from extraction.run import StoreOptions, harvest_to
from extraction.run.distributed import harvest_with_workers
from extraction.store import harvest_activations
from extraction.store.writer import disk_need
from redundancy.errors import InvalidInputError, StoreError
from redundancy.sampling import DEFAULT_SALT, hash_order
from redundancy.statistics.harvest_statistics import HarvestStatistics


@pytest.fixture(scope="module")
def parts():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    samples = [as_sample(s, i) for i, s in enumerate(default_model.load_samples(12))]
    yield default_model.load_model(), default_model.load_processor(), samples
    torch.set_num_threads(before)


def go(parts, folder, samples=None, *, store=True, tokens=3, groups=("vision", "words"), **options):
    model, processor, everything = parts
    wanted = StoreOptions(path=str(folder / "acts"), tokens_per_group=tokens, groups=groups)
    options = {"batch_size": 2, "name": "m", "progress": False, "matrix": False, "attention": False, **options}
    samples = everything if samples is None else samples
    return harvest_to(model, samples, folder / "run", processor=processor, store=wanted if store else None, **options)


@pytest.fixture(scope="module")
def whole(parts, tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    heard = []
    run = go(parts, folder, announce=heard.append)
    assert len(heard) == 1
    assert heard[0].startswith("the store needs ")
    return folder, run


def rows(folder):
    store = ActivationStore(folder / "acts")
    return store.sample_ids, np.stack([store.layer(d)[:] for d in store.depths]), store.image_ids


def test_one_pass_for_both_gives_what_two_passes_give(parts, whole, tmp_path):
    folder, run = whole
    model, processor, samples = parts
    plain = go(parts, tmp_path, store=False)
    assert plain.statistics.digest() == run.statistics.digest()
    settled, _ = settle_units(samples)
    order = hash_order([s.unit for s in settled], DEFAULT_SALT)  # batches alike, so that bits are, too
    apart = harvest_activations(
        model,
        [samples[i] for i in order],
        tmp_path / "apart",
        processor=processor,
        batch_size=2,
        tokens_per_group=3,
        groups=("vision", "words"),
        progress=False,
    )
    ids, states, _ = rows(folder)
    assert ids == run.statistics.sample_ids == apart.sample_ids
    np.testing.assert_array_equal(states, np.stack([apart.layer(d)[:] for d in apart.depths]))
    assert not list((folder / "acts").glob("pieces-*"))
    answers, names = ActivationStore(folder / "acts").labels("answer")
    assert set(names) == {s.answer for s in samples}
    assert len(answers) == states.shape[1]


def test_distances_of_stored_rows_are_those_of_the_statistics(parts, tmp_path):
    """All vision tokens stored: their mean distance is what the statistics say."""
    run = go(parts, tmp_path, tokens=10_000, groups=("vision",))
    _, states, ids = rows(tmp_path)
    x, y = states[2].astype(float), states[3].astype(float)
    rho = 1 - (x * y).sum(1) / np.linalg.norm(x, axis=1) / np.linalg.norm(y, axis=1)
    means = [rho[ids == name].mean() for name in run.statistics.sample_ids]
    np.testing.assert_allclose(means, run.statistics.sample_distances("vision")[:, 2], atol=1e-5)


class Stop(Exception):
    """Stands for a kill."""


@pytest.mark.parametrize("moment", [0, 1, 2, 3, 6, 11])
@pytest.mark.parametrize("shard_bytes", [1, 1 << 27])
def test_stopped_before_any_write_it_resumes_to_the_same_store(
    parts, whole, tmp_path, monkeypatch, moment, shard_bytes
):
    """The n-th file never comes into being, be it a part of the statistics, a piece or a shard."""
    import extraction.store.writer as writer
    import redundancy.statistics.state as state
    from extraction.run import buffers

    count = [0]
    monkeypatch.setattr(buffers.BufferedStore.__init__, "__kwdefaults__", {"shard_bytes": shard_bytes})
    for module in (buffers, writer, state):
        original = module.save_tensors

        def counted(path, *args, _original=original):
            if count[0] == moment:
                raise Stop
            count[0] += 1
            return _original(path, *args)

        monkeypatch.setattr(module, "save_tensors", counted)
    with pytest.raises(Stop):
        go(parts, tmp_path)
    count[0] = -(10**6)
    resumed = go(parts, tmp_path, resume=True)
    assert resumed.statistics.digest() == whole[1].statistics.digest()
    assert rows(tmp_path)[0] == resumed.statistics.sample_ids
    np.testing.assert_array_equal(rows(tmp_path)[1], rows(whole[0])[1])
    assert not list((tmp_path / "acts").glob("pieces-*"))
    again = go(parts, tmp_path, resume=True)
    assert again.statistics.digest() == whole[1].statistics.digest()


def test_shards_share_a_store(parts, whole, tmp_path):
    ids, heard = [], []
    for i in range(2):
        options = StoreOptions(path=str(tmp_path / "acts"), tokens_per_group=3, groups=("vision", "words"))
        model, processor, samples = parts
        run = harvest_to(
            model, samples, tmp_path / f"run{i}", processor=processor, store=options, shard=(i, 2), batch_size=2,
            name="m", progress=False, matrix=False, attention=False, announce=heard.append,
        )  # fmt: skip
        ids += run.statistics.sample_ids
        # What the other part has stored already is no room for this one: both need what their own samples take.
        spec = json.loads((tmp_path / f"run{i}" / "run.json").read_text())["store"]
        assert heard[-1].startswith(f"the store needs {disk_need(spec, len(run.statistics.sample_ids)) / 1e3:.0f} kB")
    found, states, _ = rows(tmp_path)
    assert sorted(ids) == list(found)
    np.testing.assert_allclose(states, rows(whole[0])[1], atol=1e-4)  # other batches round otherwise


def test_another_store_or_none_is_refused_on_resume(parts, whole, tmp_path):
    shutil.copytree(whole[0], tmp_path / "copy")
    copy = tmp_path / "copy"
    with pytest.raises(StoreError, match="differs in store"):
        go(parts, copy, resume=True, tokens=4)
    with pytest.raises(StoreError, match="differs in store"):
        go(parts, copy, resume=True, store=False)
    shutil.rmtree(copy / "acts")
    with pytest.raises(StoreError, match="need the store that this run began"):
        go(parts, copy, resume=True)


def test_faults_and_samples_without_tokens_are_in_the_store_too(parts, tmp_path):
    bad = list(parts[2][:6])
    bad[1] = replace(bad[1], question=" ")
    bad[4:6] = [replace(s, image=tmp_path / "none.png") for s in bad[4:6]]
    run = go(parts, tmp_path, bad)
    store = ActivationStore(tmp_path / "acts")
    assert set(store.faults) == {f.sample_id for f in run.faults} == {bad[i].sample_id for i in (1, 4, 5)}
    assert store.sample_ids == run.statistics.sample_ids


def test_too_little_disk_is_said_before_anything_is_made(parts, tmp_path, monkeypatch):
    import extraction.store.writer as writer

    monkeypatch.setattr(writer.shutil, "disk_usage", lambda path: type("Usage", (), {"free": 1000})())
    with pytest.raises(StoreError, match="need room on the disk"):
        go(parts, tmp_path)
    assert not (tmp_path / "run").exists()
    assert not (tmp_path / "acts").exists()


@pytest.mark.slow
def test_workers_fill_the_same_store(whole, tmp_path):
    from functools import partial

    from extraction.commands.support import read_input

    read = partial(
        read_input, "embedded", None, limit=12, dtype="auto", device="cpu", allow_download=False,
        trust_remote_code=False,
    )  # fmt: skip
    options = StoreOptions(path=str(tmp_path / "acts"), tokens_per_group=3, groups=("vision", "words"))
    run = harvest_with_workers(
        read, tmp_path / "run", workers=2, threads=1, store=options, batch_size=2, name="m", progress=False,
        matrix=False, attention=False,
    )  # fmt: skip
    assert run.statistics.digest() == whole[1].statistics.digest()
    np.testing.assert_array_equal(rows(tmp_path)[1], rows(whole[0])[1])


def test_batches_by_length_waste_less_and_change_nothing_else(parts, tmp_path):
    samples = [replace(s, question=s.question + " word" * (7 * i % 5)) for i, s in enumerate(parts[2])]
    (tmp_path / "a").mkdir()
    (tmp_path / "b").mkdir()
    plain = go(parts, tmp_path / "a", samples, store=False).statistics
    sorted_ = go(parts, tmp_path / "b", samples, store=False, batch_by_length=True).statistics
    assert sorted_.sample_ids == plain.sample_ids
    np.testing.assert_allclose(sorted_.distance_sums("all"), plain.distance_sums("all"), rtol=1e-4, atol=1e-4)
    header = json.loads((tmp_path / "b" / "run" / "run.json").read_text())
    assert header["batching"] == "by length"
    assert HarvestStatistics.merge_all([plain]).spec == sorted_.spec  # shards of either kind merge
    with pytest.raises(StoreError, match="differs in batching"):
        go(parts, tmp_path / "b", samples, store=False, resume=True)
    with pytest.raises(InvalidInputError, match="need the order of the bets for a question"):
        go(parts, tmp_path / "c", samples, store=False, batch_by_length=True, until="D_vision[1] < 0.5")
