"""`skip-it harvest` on data as they are: broken samples are counted and named, broken runs refused in a sentence."""

import json
import os
import shutil

import numpy as np
import pytest
import torch

from estimators.store import ActivationStore
from extraction import default_model
from extraction.tiny import tiny_llava
from redundancy.statistics.harvest_statistics import HarvestStatistics

FEW = ["--batch-size", "4", "--no-matrix", "--no-attention", "--quiet"]


@pytest.fixture(autouse=True)
def one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def pictures(tmp_path_factory):
    """Eight good samples, their images as files."""
    folder = tmp_path_factory.mktemp("pictures")
    records = []
    for i, sample in enumerate(default_model.load_samples(8)):
        image = default_model_image(sample, i)
        image.save(folder / f"{i}.png")
        records.append({"id": f"s{i}", "image": f"{i}.png", "question": sample.question, "answer": sample.answer})
    return folder, records


def default_model_image(sample, i):
    from extraction.data import as_sample

    return as_sample(sample, i).load_image()


def write(tmp_path, pictures, change, name="data.jsonl"):
    folder, records = pictures
    shutil.copytree(folder, tmp_path, dirs_exist_ok=True)
    records = [dict(record) for record in records]
    change(records)
    (tmp_path / name).write_text("".join(json.dumps(record) + "\n" for record in records))
    return tmp_path / name


def broken(tmp_path):
    def change(records):
        records[0]["image"] = "nowhere.png"
        records[1]["image"] = None
        records[2]["question"] = "  "
        records[3]["question"] = "word " * 600
        (tmp_path / "torn.png").write_bytes((tmp_path / "4.png").read_bytes()[:60])
        records[4]["image"] = "torn.png"

    return change


def test_broken_samples_are_counted_by_cause_and_certify_says_so(skip_it, tmp_path, pictures):
    data = write(tmp_path, pictures, broken(tmp_path))
    done = skip_it("harvest", "embedded", "--data", data, "--out", "run", "--store", "acts", *FEW)
    assert done.code == 0, done.err
    assert "3 samples harvested, 5 left out with a reason (image 3, length 1, question 1)" in done.out
    assert "nowhere.png" in done.out
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["n_samples"] == 3
    assert summary["n_faults"] == 5, "what a script reads in place of the exit code"
    assert summary["faults_by_cause"] == {"image": 3, "length": 1, "question": 1}
    state = HarvestStatistics.load(tmp_path / "run" / "statistics.safetensors")
    assert state.provenance.failed == {"s0": "image", "s1": "image", "s2": "question", "s3": "length", "s4": "image"}
    assert set(ActivationStore(tmp_path / "acts").faults) == set(state.provenance.failed)
    certified = skip_it("certify", "run/statistics.safetensors")
    assert certified.code == 0, certified.err
    assert "Limitation: 5 of 8 samples (62.5 %) failed and are left out (image 3, length 1, question 1)" in (
        certified.out
    )
    # The good ones are what a run without the others gives.
    good = write(tmp_path, pictures, lambda records: records.__delitem__(slice(0, 5)), "good.jsonl")
    skip_it("harvest", "embedded", "--data", good, "--out", "clean", *FEW)
    clean = HarvestStatistics.load(tmp_path / "clean" / "statistics.safetensors")
    assert clean.sample_ids == state.sample_ids
    np.testing.assert_allclose(clean.sample_distances("vision"), state.sample_distances("vision"), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (lambda records: records.clear(), "need at least one sample"),
        (lambda records: records[1].update(id="s0"), "need unique ids"),
        (lambda records: records.__delitem__(slice(1, None)), "need at least 2 samples"),
        (lambda records: [r.update(question="") for r in records], "all failed, the first so: need a text"),
        (lambda records: [r.update(image=7) for r in records], "all failed, the first so: need an image"),
    ],
)
def test_data_without_use_are_a_sentence(skip_it, tmp_path, pictures, change, words):
    done = skip_it("harvest", "embedded", "--data", write(tmp_path, pictures, change), "--out", "run", *FEW)
    assert done.code == 2
    assert words in done.err


def test_a_run_that_was_stopped_by_looking_cannot_be_certified_until_it_is_finished(skip_it, tmp_path):
    options = ["--limit", "32", "--out", "run", *FEW]
    done = skip_it("harvest", "embedded", *options, "--until", "D_vision[2] < 1.5")
    assert "Decided after" in done.out
    assert "not needed" in done.out
    refused = skip_it("certify", "run/statistics.safetensors")
    assert refused.code == 2
    assert "stopped when D_vision[2] < 1.5 was decided; resume it without --until" in refused.err
    assert skip_it("harvest", "embedded", *options, "--resume").code == 0
    assert skip_it("certify", "run/statistics.safetensors").code == 0


def test_an_interrupt_says_what_there_is_to_go_on_with(skip_it, tmp_path, monkeypatch):
    import extraction.commands.harvest as cli
    import extraction.run.loop as loop

    def stop(*_, **__):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(cli, "_read_here", stop)
        early = skip_it("harvest", "embedded", "--limit", "8", "--out", "run", *FEW)
    assert early.code == 130
    assert "Nothing was done yet" in early.out
    assert not (tmp_path / "run").exists()
    with monkeypatch.context() as patch:
        patch.setattr(loop.HarvestJob, "work", stop)
        late = skip_it("harvest", "embedded", "--limit", "8", "--out", "run", *FEW)
    assert late.code == 130
    assert "What is done is in run; go on with --resume" in late.out
    assert skip_it("harvest", "embedded", "--limit", "8", "--out", "run", "--resume", *FEW).code == 0


def test_folders_that_cannot_be_used_are_a_sentence(skip_it, tmp_path):
    (tmp_path / "file").write_text("")
    inside = skip_it("harvest", "embedded", "--limit", "4", "--out", "file/run", *FEW)
    assert inside.code == 2
    assert "need a folder that can" in inside.err
    on_it = skip_it("harvest", "embedded", "--limit", "4", "--out", "run", "--store", "file/acts", *FEW)
    assert on_it.code == 2
    assert "need a folder" in on_it.err
    if os.getuid() != 0:
        (tmp_path / "shut").mkdir(mode=0o500)
        closed = skip_it("harvest", "embedded", "--limit", "4", "--out", "shut/run", *FEW)
        assert closed.code == 2
        assert "Permission" in closed.err


def test_cut_files_and_other_states_are_a_sentence(skip_it, tmp_path):
    one = ["harvest", "embedded", "--limit", "8", *FEW]
    for i in range(2):
        assert skip_it(*one, "--out", f"run{i}", "--shard", f"{i}/2").code == 0
    part = next((tmp_path / "run0").glob("part-*"))
    whole = part.read_bytes()
    part.write_bytes(whole[: len(whole) // 2])
    cut = skip_it(*one, "--out", "run0", "--shard", "0/2", "--resume")
    assert cut.code == 2
    assert part.name in cut.err
    (tmp_path / "cut.safetensors").write_bytes((tmp_path / "run1" / "statistics.safetensors").read_bytes()[:-9])
    merged = skip_it("merge", "run0", "cut.safetensors", "--out", "all.safetensors")
    assert merged.code == 2
    assert "cut.safetensors" in merged.err
    other = HarvestStatistics.load(tmp_path / "run1" / "statistics.safetensors")
    other.spec.to_json()
    from dataclasses import replace

    arrays = other.arrays()
    for what, spec in {
        "revision": replace(other.spec, revision="weights:other"),
        "model": replace(other.spec, model="other"),
    }.items():
        HarvestStatistics(spec, sample_ids=other.sample_ids, arrays=arrays).save(tmp_path / "other.safetensors")
        refused = skip_it("merge", "run0", "other.safetensors", "--out", "all.safetensors")
        assert refused.code == 2
        assert f"they differ in {what}" in refused.err
    assert not (tmp_path / "all.safetensors").exists()


def test_what_is_no_harvest_does_not_merge_and_is_called_what_it_is(skip_it, tmp_path):
    one = ["harvest", "embedded", "--limit", "8", "--shard", "0/4", "--store", "acts", "--store-tokens", "2", *FEW]
    done = skip_it(*one, "--out", "run")
    assert done.code == 0, done.err
    assert "embedded: 1 sample harvested, 0 left out" in done.out
    np.save(tmp_path / "states.npy", np.zeros((3, 3)))
    np.savez(tmp_path / "states.npz", x=np.zeros((3, 3)))
    (tmp_path / "begun").mkdir()
    shutil.copy(tmp_path / "run" / "run.json", tmp_path / "begun")
    (tmp_path / "empty").mkdir()
    shard = next((tmp_path / "acts").glob("shard-*")).relative_to(tmp_path)
    for source, words in {
        "states.npy": "states.npy is a NumPy array; give statistics.safetensors",
        "states.npz": "states.npz is an archive of arrays",
        "acts": "acts is of an activation store, whose shards need no merge",
        str(shard): "is of an activation store",
        "begun": "finish it with skip-it harvest --resume",
        "empty": "empty has no statistics.safetensors; give the --out of a skip-it harvest",
    }.items():
        refused = skip_it("merge", "run", source, "--out", "all.safetensors")
        assert refused.code == 2
        assert words in refused.err
        assert "torn" not in refused.err
    assert not (tmp_path / "all.safetensors").exists()
    merged = skip_it("merge", "run", "--out", "all.safetensors")
    assert "1 sample of 1 file, 12 layers" in merged.out


def test_resuming_with_other_weights_of_the_same_name_is_refused(tmp_path):
    from extraction.data import as_sample
    from extraction.run import harvest_to
    from redundancy.errors import StoreError

    model, processor = default_model.load_model(), default_model.load_processor()
    samples = [as_sample(s, i) for i, s in enumerate(default_model.load_samples(4))]
    options = {"processor": processor, "progress": False, "name": "m", "matrix": False, "attention": False}
    harvest_to(model, samples, tmp_path / "run", **options)
    with torch.no_grad():
        next(p for n, p in model.named_parameters() if "layers.3" in n and "mlp" in n).mul_(1.5)
    with pytest.raises(StoreError, match="differs in revision"):
        harvest_to(model, samples, tmp_path / "run", resume=True, **options)


def test_states_that_overflow_are_counted_and_said(skip_it, tmp_path, monkeypatch):
    """The states of one sample become infinite in a layer: they have no distance, and the run says how many."""
    original = default_model.load_model

    def overflowing():
        model = original()

        def hook(module, args, output):
            scale = torch.ones(len(output), 1, 1)
            scale[0] = 1e38
            return output * scale * scale

        model.get_decoder().layers[8].register_forward_hook(hook)
        return model

    monkeypatch.setattr(default_model, "load_model", overflowing)
    done = skip_it("harvest", "embedded", "--limit", "4", "--out", "run", "--store", "acts", *FEW)
    assert done.code == 0, done.err
    state = HarvestStatistics.load(tmp_path / "run" / "statistics.safetensors")
    hit = state.token_counts("all")[(state.pair_counts("all") < state.token_counts("all")[:, None]).any(axis=1)]
    assert len(hit) == 1
    assert f"NaN or infinite states in {hit[0]} tokens of 1 sample, from layer 9 on" in done.out
    assert (state.anomalies()["nonfinite_states"] == [0] * 9 + [hit[0]] * 4).all()
    assert np.isfinite(state.mean_distance("vision")).all()  # of the other three
    summary = json.loads((tmp_path / "run" / "summary.json").read_text())
    assert summary["non_finite"] == {"samples": 1, "tokens": hit[0], "first_layer": 9}
    assert list(ActivationStore(tmp_path / "acts").faults.values()) == ["states are not finite"]
    certified = skip_it("certify", "run/statistics.safetensors")
    assert certified.code == 2
    assert "has none with a distance at layer 9" in certified.err


def test_a_model_without_vision_tokens_says_so(tmp_path):
    """Images enter by cross-attention: statistics of text only, and no question about vision."""
    from extraction.run.job import HarvestJob
    from extraction.run.loop import collect
    from redundancy.errors import InvalidInputError

    plan = HarvestJob(tiny_llava(n_layers=2), [{"image": "a.png", "question": "?"}], processor=None, batch_size=1).plan
    from dataclasses import replace

    with pytest.raises(InvalidInputError, match="need a model with vision tokens in its stream for 'D_vision"):
        collect(replace(plan, has_vision=False), None, tmp_path / "run", until="D_vision[1] < 0.5")
    assert not (tmp_path / "run").exists()
