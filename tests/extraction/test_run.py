"""Long harvests: resumed equals uninterrupted to the last bit, bad samples are named and never stop a run."""

import shutil
from dataclasses import replace

import numpy as np
import pytest
import torch

from extraction import default_model, harvest
from extraction.data import as_sample, settle_units
from extraction.run import HarvestFolder, Question, harvest_to
from extraction.run.question import Watch
from redundancy.errors import InvalidInputError, StoreError
from redundancy.sampling import DEFAULT_SALT, hash_order
from redundancy.statistics.harvest_statistics import HarvestStatistics


@pytest.fixture(scope="module")
def parts():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    samples = [as_sample(s, i) for i, s in enumerate(default_model.load_samples(40))]
    yield default_model.load_model(), default_model.load_processor(), samples
    torch.set_num_threads(before)


def go(parts, out, samples=None, **options):
    model, processor, everything = parts
    options = {"batch_size": 4, "name": "m", "progress": False, **options}
    return harvest_to(model, everything if samples is None else samples, out, processor=processor, **options)


def in_order(samples):
    """Samples in the order of the bets, which is that of the batches."""
    settled, _ = settle_units(samples)
    return [samples[i] for i in hash_order([s.unit for s in settled], DEFAULT_SALT)]


@pytest.fixture(scope="module")
def whole(parts, tmp_path_factory):
    out = tmp_path_factory.mktemp("run") / "whole"
    return go(parts, out), out


def test_the_folder_holds_what_one_harvest_gives(parts, whole):
    model, processor, samples = parts
    run, out = whole
    shift = run.statistics.shift  # the means of the first batch of the data, whatever the order of the batches
    options = {"batch_size": 4, "name": "m", "progress": False, "shift": shift}
    plain = harvest(model, in_order(samples), processor=processor, **options)
    assert run.statistics.sample_ids == plain.sample_ids
    for name, array in plain.arrays().items():
        np.testing.assert_allclose(run.statistics.arrays()[name], array, rtol=1e-12, atol=1e-12, err_msg=name)
    assert HarvestStatistics.load(out / "statistics.safetensors").digest() == run.statistics.digest()
    names = sorted(p.name for p in out.glob("part-*"))
    assert names == [  # ten batches: eight merged, two to come
        "part-00000000-00000008.safetensors",
        "part-00000008-00000009.safetensors",
        "part-00000009-00000010.safetensors",
    ]


class Stop(Exception):
    """Stands for a kill at the worst moment."""


@pytest.mark.parametrize("moment", [0, 1, 4, 8, 9, 11])
def test_a_run_stopped_before_any_write_resumes_to_the_same_bits(parts, whole, tmp_path, monkeypatch, moment):
    """The n-th file that is written never comes into being; what the folder then holds is all a resumed run has."""
    import redundancy.statistics.state as module

    original, count = module.save_tensors, [0]

    def counted(path, *args):
        if count[0] == moment:
            raise Stop
        count[0] += 1
        return original(path, *args)

    monkeypatch.setattr(module, "save_tensors", counted)
    with pytest.raises(Stop):
        go(parts, tmp_path / "run")
    monkeypatch.undo()
    (tmp_path / "run" / ".part-00000003-00000004.safetensors.x.tmp").write_bytes(b"torn")
    with pytest.raises(InvalidInputError, match="resume it or choose another"):
        go(parts, tmp_path / "run")
    resumed = go(parts, tmp_path / "run", resume=True)
    assert resumed.statistics.digest() == whole[0].statistics.digest()
    assert not list((tmp_path / "run").glob(".*.tmp"))


def test_a_merge_that_was_cut_short_is_repeated(parts, whole, tmp_path):
    """Killed between writing a merged part and deleting what it holds, or with eight parts not merged yet."""
    _, out = whole
    copy = tmp_path / "run"
    shutil.copytree(out, copy)
    shutil.copy(copy / "part-00000008-00000009.safetensors", copy / "part-00000003-00000004.safetensors")
    assert go(parts, copy, resume=True).statistics.digest() == whole[0].statistics.digest()
    assert not (copy / "part-00000003-00000004.safetensors").exists()


def test_resuming_a_finished_run_changes_nothing_and_more_is_another_run(parts, whole, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(whole[1], copy)
    assert go(parts, copy, resume=True).statistics.digest() == whole[0].statistics.digest()
    with pytest.raises(StoreError, match=r"differs in the samples .* and the number of samples"):
        go(parts, copy, parts[2][:20], resume=True)
    with pytest.raises(StoreError, match="differs in batch_size, model"):
        go(parts, copy, resume=True, batch_size=5, name="other")
    (copy / "part-00000008-00000009.safetensors").unlink()
    with pytest.raises(StoreError, match="lacks those from 8 to 9"):
        go(parts, copy, resume=True)


def test_an_altered_part_is_found(parts, whole, tmp_path):
    copy = tmp_path / "run"
    shutil.copytree(whole[1], copy)
    path = copy / "part-00000009-00000010.safetensors"
    raw = bytearray(path.read_bytes())
    raw[-3] ^= 1
    path.write_bytes(bytes(raw))
    with pytest.raises(StoreError):
        go(parts, copy, resume=True)


def test_shards_are_disjoint_and_merge_to_the_whole(parts, whole, tmp_path):
    shards = [go(parts, tmp_path / str(i), shard=(i, 3)).statistics for i in range(3)]
    assert sum(s.n_samples for s in shards) == 40
    merged = HarvestStatistics.merge_all(shards)
    assert merged.sample_ids == whole[0].statistics.sample_ids
    np.testing.assert_allclose(
        merged.distance_sums("all"), whole[0].statistics.distance_sums("all"), rtol=1e-5, atol=1e-5
    )  # other batches: fp32 sums in another order
    np.testing.assert_allclose(
        merged.centred_distance("vision"), whole[0].statistics.centred_distance("vision"), atol=1e-5
    )


def test_bad_samples_are_recorded_with_their_reason_and_the_rest_is_unmoved(parts, whole, tmp_path):
    _, _, samples = parts
    torn = tmp_path / "torn.png"
    samples[3].load_image().save(torn)
    torn.write_bytes(torn.read_bytes()[:200])
    bad = list(samples)
    bad[5] = replace(bad[5], image=tmp_path / "nowhere.png")
    bad[6] = replace(bad[6], image=torn)
    bad[9] = replace(bad[9], question="   ")
    bad[13] = replace(bad[13], question="word " * 600)
    whole_batch = {s.sample_id for s in in_order(bad)[20:24]}
    bad = [replace(s, question="") if s.sample_id in whole_batch else s for s in bad]
    run = go(parts, tmp_path / "run", bad)
    places = sorted({5, 6, 9, 13, *(i for i, s in enumerate(bad) if s.sample_id in whole_batch)})
    order = [s.sample_id for s in in_order(bad)]
    assert sorted(f.sample_id for f in run.faults) == [samples[i].sample_id for i in places]
    assert all(f.batch == order.index(f.sample_id) // 4 for f in run.faults)
    reasons = {int(f.sample_id[1:]): f.reason for f in run.faults}
    assert "nowhere.png" in reasons[5]
    assert "need a readable image" in reasons[6]
    assert "is empty" in reasons[9]
    assert "at most 512 tokens, the model's context, got 7" in reasons[13]
    assert run.n_left == 0
    kept = [whole[0].statistics.sample_ids.index(name) for name in run.statistics.sample_ids]
    assert len(kept) == 40 - len(places)
    np.testing.assert_allclose(
        run.statistics.sample_distances("vision"), whole[0].statistics.sample_distances("vision")[kept], atol=1e-5
    )


def test_a_run_without_one_good_sample_says_why(parts, tmp_path):
    bad = [replace(s, question="") for s in parts[2][:6]]
    with pytest.raises(InvalidInputError, match=r"all failed, the first so: .* is empty"):
        go(parts, tmp_path / "run", bad)


def test_faults_of_a_lost_batch_are_not_counted_twice(parts, tmp_path, monkeypatch):
    bad = in_order(parts[2][:12])
    bad[5] = replace(bad[5], question="")
    original = HarvestStatistics.save

    def save(self, path):
        if "part-00000001" in str(path):
            raise Stop
        return original(self, path)

    monkeypatch.setattr(HarvestStatistics, "save", save)
    with pytest.raises(Stop):
        go(parts, tmp_path / "run", bad)
    monkeypatch.undo()
    assert (tmp_path / "run" / "faults.jsonl").read_text().count("\n") == 1
    assert len(go(parts, tmp_path / "run", bad, resume=True).faults) == 1


def test_one_process_at_a_time(parts, whole, tmp_path):
    import json

    copy = tmp_path / "run"
    shutil.copytree(whole[1], copy)
    header = json.loads((copy / "run.json").read_text())
    header.pop("schema")
    with HarvestFolder(copy, header, resume=True), pytest.raises(InvalidInputError, match="another is at work"):
        go(parts, copy, resume=True)
    assert go(parts, copy, resume=True).statistics.n_samples == 40


def test_the_file_of_faults_is_read_once_and_damage_is_named(parts, tmp_path, monkeypatch):
    bad = [replace(s, question="") if i % 2 else s for i, s in enumerate(parts[2])]
    run = go(parts, tmp_path / "run", bad)
    file = tmp_path / "run" / "faults.jsonl"
    assert len(run.faults) == file.read_text().count("\n") == 20
    whole, rows = file.read_bytes(), file.read_text().splitlines()
    with file.open("ab") as opened:
        opened.write(b'{"batch": 3, "samp')  # a kill in the middle of a line
    assert go(parts, tmp_path / "run", bad, resume=True).faults == run.faults
    assert file.read_bytes() == whole
    for damage in ("{", "[]", '{"batch": "x", "sample_id": "s", "reason": "r"}', '{"batch": 1}', "\x1b[31m"):
        file.write_text("\n".join([*rows[:3], damage, *rows[4:]]) + "\n")
        with pytest.raises(StoreError, match=r"line 4 of .*faults\.jsonl"):
            go(parts, tmp_path / "run", bad, resume=True)
    reads = []
    original = HarvestFolder._read_faults
    monkeypatch.setattr(HarvestFolder, "_read_faults", lambda self: reads.append(1) or original(self))
    go(parts, tmp_path / "other", bad)
    assert len(reads) == 1


def test_only_the_very_run_resumes(parts, whole, tmp_path):
    """Weights, processor, template and pixels are part of a run; versions of libraries are recorded and warn."""
    import json

    model, processor, samples = parts

    def resumed(model=model, processor=processor, samples=samples):
        copy = tmp_path / "run"
        shutil.rmtree(copy, ignore_errors=True)
        shutil.copytree(whole[1], copy)
        return go((model, processor, samples), copy, resume=True)

    assert resumed().statistics.digest() == whole[0].statistics.digest()
    changed = default_model.load_model()
    weight = dict(changed.named_parameters())["model.language_model.layers.7.mlp.up_proj.weight"]
    with torch.no_grad():
        weight[100, 60] += 1e-3
    with pytest.raises(StoreError, match="differs in the weights; choose another folder"):
        resumed(model=changed)
    other = default_model.load_processor()
    other.image_processor.image_std = [0.2, 0.3, 0.3]
    other.chat_template += "."
    with pytest.raises(StoreError, match="differs in the processor and the chat template;"):
        resumed(processor=other)
    pixels = np.array(samples[7].load_image())
    pixels[3, 3] ^= 255
    with pytest.raises(StoreError, match="differs in the samples"):
        resumed(samples=[*samples[:7], replace(samples[7], image=pixels), *samples[8:]])
    header = json.loads((whole[1] / "run.json").read_text())
    for damage in ("", "{", "[]", json.dumps(header | {"identity": 3}), json.dumps(header | {"identity": None})):
        shutil.rmtree(tmp_path / "torn", ignore_errors=True)
        shutil.copytree(whole[1], tmp_path / "torn")
        (tmp_path / "torn" / "run.json").write_text(damage)
        with pytest.raises(StoreError, match=r"run\.json"):
            go(parts, tmp_path / "torn", resume=True)


def test_other_versions_of_libraries_warn(parts, whole, tmp_path, caplog):
    import json

    shutil.copytree(whole[1], tmp_path / "run")
    header = json.loads((whole[1] / "run.json").read_text())
    header["identity"]["versions"]["torch"] = "1.0"
    (tmp_path / "run" / "run.json").write_text(json.dumps(header))
    assert go(parts, tmp_path / "run", resume=True).statistics.digest() == whole[0].statistics.digest()
    assert "other versions of torch (1.0, now" in caplog.text


def test_a_unit_is_one_bet_wherever_batches_end(parts, tmp_path):
    """Three questions about each of ten images: ten bets, the same with batches of two, four and thirty."""
    _, _, samples = parts
    asked = [replace(samples[3 * i + k], image=samples[i].image, group="") for i in range(10) for k in range(3)]
    mean = go(parts, tmp_path / "whole", asked).statistics.sample_distances("vision")[:, 1].mean()
    question = f"D_vision[2] < {mean:.6f}"  # nobody can decide it
    decisions = [go(parts, tmp_path / str(n), asked, batch_size=n, until=question).decision for n in (2, 4, 30)]
    for decision in decisions:
        assert (decision["answer"], decision["n_units"]) == (None, 10)
        assert decision["lower"] == pytest.approx(decisions[0]["lower"], abs=1e-5)
        assert decision["upper"] == pytest.approx(decisions[0]["upper"], abs=1e-5)


def test_bets_are_placed_on_unit_means_in_the_order_of_the_hash():
    watch = Watch(Question.parse("D_vision[1] < 0.5"), confidence_level=0.9)
    watch.add(np.array([0.1, 0.2]), ["a", "b"])
    assert watch.n_units == 1
    watch.add(np.array([0.4, 0.3]), ["b", "c"])
    assert watch.n_units == 2
    watch.add(np.array([]), [], is_last=True)
    other = Watch(watch.question, confidence_level=0.9)
    other.add(np.array([0.1, 0.3, 0.3]), ["a", "b", "c"], is_last=True)
    assert watch.to_dict() == other.to_dict()
    assert watch.n_units == 3
    with pytest.raises(InvalidInputError, match="those of 'a' are not"):
        other.add(np.array([0.1, 0.2]), ["a", "d"])


def test_a_decided_question_stops_the_run(parts, whole, tmp_path):
    true_mean = whole[0].statistics.sample_distances("vision")[:, 1].mean()
    run = go(parts, tmp_path / "a", until="D_vision[2] < 1.2")
    assert run.decision["answer"] is True
    assert run.decision["lower"] <= true_mean <= run.decision["upper"] < 1.2
    assert run.n_left == 40 - run.statistics.n_samples > 0
    assert run.decision["n_units"] == run.statistics.n_samples - 1  # whether the last is whole is not known yet
    again = go(parts, tmp_path / "a", until="D_vision[2] < 1.2", resume=True)
    assert again.statistics.digest() == run.statistics.digest()
    other = go(parts, tmp_path / "b", until="P_vision[2](0.05) < 0.4")
    assert other.decision["answer"] is False  # nearly all tokens move by more than 0.05 there
    on = go(parts, tmp_path / "a", resume=True)  # without the question it goes on to the end
    assert on.statistics.digest() == whole[0].statistics.digest()
    open_still = go(parts, tmp_path / "c", parts[2][:8], until="D_vision[2] < 0.5")
    assert open_still.decision["answer"] is None


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("D_vision[3]", "need a question like"),
        ("D_vision[three] < 0.1", "need a question like"),
        ("D_vision[3](0.05) < 0.1", "a radius for P and none for D"),
        ("P_vision[3] < 0.1", "a radius for P and none for D"),
        ("D_vision[3] < 2.5", r"a limit inside \(0, 2\)"),
        ("D_vision[13] < 0.1", r"need a layer in 1\.\.12, got 13"),
        ("D_voice[3] < 0.1", "need a group among"),
        ("P_vision[3](0.2) < 0.1", "need a radius among the harvested"),
    ],
)
def test_questions_that_cannot_be_answered_fail_before_anything_is_made(parts, tmp_path, text, words):
    with pytest.raises(InvalidInputError, match=words):
        go(parts, tmp_path / "run", until=text)
    assert not (tmp_path / "run").exists()


def test_questions_read_back():
    for text in ("D_vision[3] < 0.05", "P_text[1](0.05) > 0.1"):
        assert str(Question.parse(text)) == text
        assert Question.parse(str(Question.parse(text))) == Question.parse(text)


def test_a_sample_that_the_processor_or_the_model_refuses_is_left_out(parts, whole, tmp_path):
    """One picture too flat for patches, one prompt that the model cannot take: the other 38 are as ever."""
    model, processor, samples = parts
    flat, odd = samples[6], samples[17]
    tokens = processor(images=odd.load_image(), text="<image>", return_tensors="pt")["pixel_values"]

    class Fussy:
        """The processor, but pictures of one pixel are refused as image libraries do."""

        def __getattr__(self, name):
            return getattr(processor, name)

        def __call__(self, *, images, **options):
            if any(image.size == (1, 1) for image in images):
                raise ZeroDivisionError("the picture has no patches")
            return processor(images=images, **options)

    def refuse(module, args, kwargs):
        pixels = kwargs["pixel_values"]
        if any(torch.equal(one, tokens[0]) for one in pixels):
            raise ValueError("image features and image tokens do not match\nsecond line")

    bad = list(samples)
    bad[6] = replace(flat, image=np.zeros((1, 1, 3), dtype=np.uint8))
    handle = model.register_forward_pre_hook(refuse, with_kwargs=True)
    try:
        run = go((model, Fussy(), bad), tmp_path / "run")
    finally:
        handle.remove()
    assert [(f.sample_id, f.cause) for f in run.faults] == [(flat.sample_id, "processor"), (odd.sample_id, "model")]
    assert "has no patches" in run.faults[0].reason
    assert "image tokens do not match" in run.faults[1].reason
    assert run.statistics.provenance.failed == {flat.sample_id: "processor", odd.sample_id: "model"}
    kept = [i for i, s in enumerate(whole[0].statistics.sample_ids) if s in set(run.statistics.sample_ids)]
    assert len(kept) == 38
    np.testing.assert_allclose(
        run.statistics.sample_distances("vision"), whole[0].statistics.sample_distances("vision")[kept], atol=1e-5
    )


def test_ids_that_occur_twice_are_refused(parts, tmp_path):
    with pytest.raises(InvalidInputError, match="need unique sample ids"):
        go(parts, tmp_path / "run", [*parts[2][:3], parts[2][0]])
    assert not (tmp_path / "run").exists()
