"""The activation store: the right tokens, whatever the batches; nothing lost, doubled or altered unseen."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import torch

from estimators.store import ActivationStore
from extraction.default_model import load_model, load_processor, load_samples
from extraction.store import ActivationWriter, choose_tokens, disk_need, harvest_activations, in_part
from extraction.store.writer import make_spec
from extraction.tiny import tiny_batch, tiny_llava
from redundancy.errors import InvalidInputError, StoreError
from redundancy.statistics.harvest_statistics import BASE_GROUPS

N = 12
NAMES = [f"s{i:02d}" for i in range(N)]


@pytest.fixture(scope="module")
def model():
    return tiny_llava(n_layers=3)


@pytest.fixture(scope="module")
def whole(model):
    """One padded batch of rows of different length."""
    return tiny_batch(model, N, text_lengths=[3 + i % 5 for i in range(N)]) | {"sample_ids": NAMES}


@pytest.fixture(scope="module")
def trained():
    return load_model(), load_processor()


def rows_of(batch, keep):
    return {
        key: value[keep] if isinstance(value, torch.Tensor) else [value[i] for i in keep]
        for key, value in batch.items()
    }


def harvest(model, batches, out, **options):
    return harvest_activations(model, batches, out, **{"tokens_per_group": 4, "groups": ("vision", "words"), **options})


def tables(store):
    return [store.layer(depth)[:] for depth in store.depths]


# ---------------------------------------------------------------- what is stored


def test_states_are_those_of_the_model(model, whole, tmp_path):
    store = harvest(model, [whole], tmp_path / "store")
    with torch.inference_mode():
        inputs = {key: value for key, value in whole.items() if key != "sample_ids"}
        reference = model(**inputs, output_hidden_states=True).hidden_states
    assert store.depths == (0, 1, 2, 3)
    assert store.sample_ids == tuple(NAMES)
    safetensors = pytest.importorskip("safetensors.numpy")
    raw = safetensors.load_file(next((tmp_path / "store").glob("*.safetensors")))
    first = np.asarray(whole["attention_mask"]).argmax(axis=1)
    offsets = raw["offsets"]
    for i in range(N):
        part = slice(offsets[i], offsets[i + 1])
        positions = raw["token_index"][part] + first[i]
        for depth in range(3):  # the last of transformers is after the final norm
            assert raw[f"layer.{depth}"][part] == pytest.approx(reference[depth][i, positions].numpy(), abs=1e-6)
        groups = raw["group"][part]
        is_vision = np.asarray(whole["input_ids"])[i, positions] == model.config.image_token_id
        assert ((groups == BASE_GROUPS.index("vision")) == is_vision).all()
        assert (is_vision.sum(), (~is_vision).sum()) == (4, min(4, 3 + i % 5))
    vision = ActivationStore(tmp_path / "store", group="vision")
    assert vision.n_tokens == 4 * N
    assert ActivationStore(tmp_path / "store", group="text").n_tokens == store.n_tokens - 4 * N


def test_the_last_depth_is_before_the_final_norm(model, whole, tmp_path):
    store = harvest(model, [whole], tmp_path / "store", groups=("vision",), tokens_per_group=1000)
    seen = []
    handle = model.get_decoder().layers[-1].register_forward_hook(lambda m, a, y: seen.append(y))
    with torch.inference_mode():
        model(**{key: value for key, value in whole.items() if key != "sample_ids"})
    handle.remove()
    is_vision = whole["input_ids"] == model.config.image_token_id
    assert store.layer(3)[:] == pytest.approx(seen[0][is_vision].numpy(), abs=1e-6)


@pytest.mark.parametrize("size", [1, 5])
def test_batches_order_padding_and_parts_do_not_matter(model, whole, tmp_path, size):
    reference = harvest(model, [whole], tmp_path / "one")
    order = np.random.default_rng(size).permutation(N)
    batches = [rows_of(whole, order[i : i + size].tolist()) for i in range(0, N, size)]
    trimmed = []
    for batch in batches:  # drop columns that are padding in all rows of the smaller batch
        keep = batch["attention_mask"].bool().any(dim=0)
        trimmed.append({k: v[:, keep] if k in ("input_ids", "attention_mask") else v for k, v in batch.items()})
    for part in ((1, 2), (0, 2)):
        other = harvest(model, trimmed, tmp_path / "two", part=part, shard_bytes=20_000)
    assert len(list((tmp_path / "two").glob("*.safetensors"))) > 2
    assert other.sample_ids == reference.sample_ids
    assert (other.image_ids == reference.image_ids).all()
    for first, second in zip(tables(reference), tables(other), strict=True):
        assert first == pytest.approx(second, abs=2e-5)


def test_a_larger_sample_only_adds_tokens():
    few, many = choose_tokens("a", range(50), 5), choose_tokens("a", np.arange(50)[::-1], 20)
    assert set(few) < set(many)
    assert (np.diff(many) > 0).all()
    assert set(choose_tokens("a", range(40), 5)) >= set(few) & set(range(40))
    assert set(choose_tokens("a", range(50), 5, seed=1)) != set(few)
    assert choose_tokens("a", range(3), 5).tolist() == [0, 1, 2]


def test_the_choice_is_uniform():
    """Counts of 20 positions over 4000 samples, against a chi-square of 19 degrees (99.9 % below 43.8)."""
    counts = np.zeros(20)
    for i in range(4000):
        counts[choose_tokens(f"sample {i}", range(20), 3)] += 1
    expected = 4000 * 3 / 20
    assert ((counts - expected) ** 2 / expected).sum() < 43.8
    parts = [sum(in_part(f"sample {i}", (j, 3)) for i in range(3000)) for j in range(3)]
    assert sum(parts) == 3000
    assert min(parts) > 900


def test_answers_records_and_labels(trained, tmp_path):
    (model, processor), samples = trained, load_samples(4)
    answers = sorted({s.answer for s in samples})
    store = harvest_activations(
        model, samples, tmp_path / "s", processor=processor, tokens_per_group=2, answer_tokens=answers, batch_size=3
    )
    labels, names = store.labels("answer")
    assert names == tuple(answers)
    by_id = {s.sample_id: s.answer for s in samples}
    assert [names[k] for k in labels] == [by_id[str(i)] for i in store.image_ids]
    table = store.answers()
    assert table.shape == (8, len(answers))
    assert table.sum(axis=1) == pytest.approx(np.ones(8), abs=1e-6)
    from extraction.data.items import as_sample
    from extraction.data.prompts import make_batch
    from extraction.models.adapters import adapt

    sample = as_sample(samples[0], 0)
    batch = make_batch(processor, [sample], vision_ids=adapt(model).vision_ids)
    inputs = {k: v for k, v in batch.items() if k not in ("sample_ids", "special_mask")}
    with torch.inference_mode():
        logits = model(**inputs).logits[0, -1].double()
    ids = [processor.tokenizer(a, add_special_tokens=False)["input_ids"][0] for a in answers]
    mine = np.flatnonzero(store.image_ids == sample.sample_id)[0]
    assert table[mine] == pytest.approx(logits[ids].softmax(dim=0).numpy(), abs=1e-5)
    with pytest.raises(InvalidInputError, match="need the field 'colour'"):
        store.labels("colour")


def test_depths_and_half_precision(model, whole, tmp_path):
    full = harvest(model, [whole], tmp_path / "a")
    half = harvest(model, [whole], tmp_path / "b", depths=(0, 3), dtype="float16")
    assert half.depths == (0, 3)
    assert half.layer(3).dtype == np.float16
    assert half.layer(3)[:] == pytest.approx(full.layer(3)[:], rel=1e-3, abs=1e-3)
    with pytest.raises(InvalidInputError, match="stored depth"):
        half.layer(1)
    with pytest.raises(InvalidInputError, match="need a store with answers"):
        half.answers()


def test_views_are_arrays_on_disk(model, whole, tmp_path):
    store = harvest(model, [whole], tmp_path / "a", shard_bytes=20_000)
    view = store.layer(2)
    table = np.asarray(view)
    assert table.shape == view.shape == (store.n_tokens, store.n_features)
    rng = np.random.default_rng(0)
    for key in (slice(3, 20, 2), rng.permutation(store.n_tokens)[:9], rng.random(store.n_tokens) < 0.3, 5):
        assert (view[key] == table[key]).all()
    assert (view[2:5, 1:3] == table[2:5, 1:3]).all()
    assert len(view) == store.n_tokens


# ---------------------------------------------------------------- resume, append, faults


class Cut(Exception):
    """Stands for whatever stops a run."""


def cut_after(batches, n):
    yield from batches[:n]
    raise Cut


def test_a_resumed_run_equals_an_uninterrupted_one(model, whole, tmp_path):
    batches = [rows_of(whole, [i]) for i in range(N)]
    reference = harvest(model, batches, tmp_path / "a")
    with pytest.raises(Cut):
        harvest(model, cut_after(batches, 5), tmp_path / "b", shard_bytes=10_000)
    # As a kill in the middle of writing would leave it: a shard without its line, and half a line.
    manifest = next((tmp_path / "b").glob("manifest-*.jsonl"))
    lines = manifest.read_bytes().splitlines(keepends=True)
    assert len(lines) > 1
    manifest.write_bytes(b"".join(lines[:-1]) + lines[-1][:40])
    partial = ActivationStore(tmp_path / "b")
    assert 0 < len(partial.sample_ids) < 5
    seen = []
    handle = model.register_forward_pre_hook(lambda m, a, k: seen.append(len(k["input_ids"])), with_kwargs=True)
    resumed = harvest(model, batches, tmp_path / "b", shard_bytes=10_000)
    handle.remove()
    assert sum(seen) == N - len(partial.sample_ids)  # no sample goes through the model twice
    assert resumed.sample_ids == reference.sample_ids
    for first, second in zip(tables(reference), tables(resumed), strict=True):
        assert (first == second).all()
    ActivationStore(tmp_path / "b", verify=True)


WRITER = """
import sys, time
import numpy as np
from extraction.store.writer import ActivationWriter, make_spec
spec = make_spec(model="m", model_type="t", n_layers=1, n_features=64, depths=(0, 1), groups=("vision",),
                 tokens_per_group=8)
with ActivationWriter(sys.argv[1], spec, shard_bytes=40_000) as writer:
    for i in range(100_000):
        if str(i) not in writer.done:
            states = np.random.default_rng(i).standard_normal((2, 8, 64))
            writer.add(str(i), states, token_index=np.arange(8), groups=np.zeros(8, dtype=int))
        print(i, flush=True)
"""


def test_a_killed_writer_leaves_a_store_that_opens_and_goes_on(tmp_path):
    for _ in range(2):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, str(tmp_path / "s")], stdout=subprocess.DEVNULL, cwd=Path.cwd()
        )
        begin, before = time.monotonic(), len(list((tmp_path / "s").glob("*.safetensors")))
        while len(list((tmp_path / "s").glob("*.safetensors"))) < before + 4 and time.monotonic() < begin + 60:
            time.sleep(0.02)
        os.kill(process.pid, signal.SIGKILL)
        process.wait()
        store = ActivationStore(tmp_path / "s", verify=True)
        ids = sorted(map(int, store.sample_ids))
        assert ids == list(range(len(ids)))
    last = store.layer(1)[store.image_ids == str(ids[-1])]
    assert (last == np.random.default_rng(ids[-1]).standard_normal((2, 8, 64))[1].astype(np.float32)).all()


def test_more_data_is_appended(model, whole, tmp_path):
    harvest(model, [rows_of(whole, list(range(5)))], tmp_path / "a")
    store = harvest(model, [whole], tmp_path / "a")
    assert store.sample_ids == tuple(NAMES)


def test_faults_are_recorded_and_do_not_stop_a_run(trained, tmp_path):
    (model, processor), samples = trained, load_samples(2)
    bad = {"sample_id": "broken", "image": tmp_path / "none.png", "question": "what?", "answer": "red"}
    store = harvest_activations(
        model, [samples[0], bad, samples[1]], tmp_path / "s", processor=processor, tokens_per_group=2
    )
    assert len(store.sample_ids) == 2
    assert list(store.faults) == ["broken"]
    assert "readable image" in store.faults["broken"]
    with pytest.raises(InvalidInputError, match="none; broken: need a readable image"):
        harvest_activations(model, [bad], tmp_path / "t", processor=processor)


def test_states_that_do_not_fit_are_faults(tmp_path):
    spec = make_spec(
        model="m", model_type="t", n_layers=1, n_features=2, depths=(0, 1), groups=("vision",), tokens_per_group=1,
        dtype="float16",
    )  # fmt: skip
    one = {"token_index": np.array([0]), "groups": np.array([0])}
    with ActivationWriter(tmp_path / "s", spec) as writer:
        writer.add("fine", np.ones((2, 1, 2)), **one)
        writer.add("large", np.full((2, 1, 2), 1e5), **one)
        writer.add("nan", np.full((2, 1, 2), np.nan), **one)
        with pytest.raises(InvalidInputError, match="every sample once"):
            writer.add("fine", np.ones((2, 1, 2)), **one)
        with pytest.raises(InvalidInputError, match="need states of shape"):
            writer.add("flat", np.ones((2, 2)), **one)
    store = ActivationStore(tmp_path / "s")
    assert store.sample_ids == ("fine",)
    assert store.faults == {"large": "states overflow float16; store float32", "nan": "states are not finite"}


# ---------------------------------------------------------------- what is refused


def test_every_kind_of_damage_is_seen(model, whole, tmp_path):
    def fresh(name):
        harvest(model, [whole], tmp_path / name, shard_bytes=20_000)
        return tmp_path / name, sorted((tmp_path / name).glob("*.safetensors"))

    folder, shards = fresh("flip")
    raw = bytearray(shards[1].read_bytes())
    raw[-5] ^= 4
    shards[1].write_bytes(raw)
    with pytest.raises(StoreError, match="altered"):
        ActivationStore(folder)
    folder, shards = fresh("swap")
    shards[0].write_bytes(shards[1].read_bytes())
    with pytest.raises(StoreError, match=r"cut|SHA-256 differs"):
        ActivationStore(folder)
    folder, shards = fresh("cut")
    shards[0].write_bytes(shards[0].read_bytes()[:-100])
    with pytest.raises(StoreError, match="cut"):
        ActivationStore(folder, verify=False)
    folder, shards = fresh("missing")
    shards[0].unlink()
    with pytest.raises(StoreError, match="missing"):
        ActivationStore(folder, verify=False)
    folder, shards = fresh("line")
    manifest = next(folder.glob("manifest*"))
    manifest.write_bytes(manifest.read_bytes().replace(b"}\n", b"\n", 1))
    with pytest.raises(StoreError, match="line 1"):
        ActivationStore(folder)
    folder, shards = fresh("twice")
    manifest = next(folder.glob("manifest*"))
    (folder / "manifest-00001-of-00002.jsonl").write_bytes(manifest.read_bytes())
    with pytest.raises(StoreError, match="every sample once"):
        ActivationStore(folder)


@pytest.mark.parametrize("name", ["store.json", "manifest-00000-of-00001.jsonl"])
def test_a_pipe_in_a_store_is_refused_and_not_waited_for(tmp_path, name):
    spec = make_spec(
        model="m", model_type="t", n_layers=1, n_features=4, depths=(0, 1), groups=("vision",), tokens_per_group=2
    )
    with ActivationWriter(tmp_path / "s", spec) as writer:
        writer.add("a", np.ones((2, 2, 4)), token_index=np.arange(2), groups=np.zeros(2, dtype=int))
    (tmp_path / "s" / name).unlink(missing_ok=True)
    os.mkfifo(tmp_path / "s" / name)
    with pytest.raises(StoreError, match="neither a file nor a folder"):
        ActivationStore(tmp_path / "s")


def test_another_run_is_refused(model, whole, tmp_path):
    harvest(model, [whole], tmp_path / "a")
    with pytest.raises(StoreError, match="tokens_per_group=4"):
        harvest(model, [whole], tmp_path / "a", tokens_per_group=5)
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "thesis.txt").write_text("keep me")
    with pytest.raises(StoreError, match="holds other files"):
        harvest(model, [whole], tmp_path / "b")
    with pytest.raises(StoreError, match=r"no readable store\.json"):
        ActivationStore(tmp_path / "nowhere")
    spec = json.loads((tmp_path / "a" / "store.json").read_text())
    (tmp_path / "a" / "store.json").write_text(json.dumps({**spec, "model": "other"}))
    with pytest.raises(StoreError, match="written by another"):
        ActivationStore(tmp_path / "a")


def test_bad_requests_are_refused(model, whole, tmp_path):
    for change, words in (
        ({"depths": (0, 7)}, r"depths in 0\.\.3"),
        ({"groups": ("pictures",)}, "groups out of"),
        ({"dtype": "int8"}, "dtype among"),
        ({"answer_tokens": ["yes"]}, "need a processor"),
        ({"part": (2, 2)}, "part"),
    ):
        with pytest.raises(InvalidInputError, match=words):
            harvest(model, [whole], tmp_path / "x", **change)
    with pytest.raises(InvalidInputError, match="need sample_ids"):
        harvest(model, [{k: v for k, v in whole.items() if k != "sample_ids"}], tmp_path / "x")
    with pytest.raises(InvalidInputError, match="'s00' twice"):
        harvest(model, [whole, rows_of(whole, [0])], tmp_path / "y")


def test_the_disk_need_is_said_first_and_is_right(model, whole, tmp_path):
    said = []
    store = harvest(model, [whole], tmp_path / "a", groups=("vision",), announce=said.append)
    assert len(said) == 1
    assert "the store needs" in said[0]
    size = sum(path.stat().st_size for path in (tmp_path / "a").glob("*.safetensors"))
    need = disk_need(store.spec, N)
    assert need <= size <= need + 2000  # the header
    huge = make_spec(
        model="m", model_type="t", n_layers=80, n_features=8192, depths=tuple(range(81)), groups=("vision",),
        tokens_per_group=576,
    )  # fmt: skip
    from extraction.store.writer import check_disk

    with pytest.raises(StoreError, match="need room on the disk"):
        check_disk(tmp_path / "not" / "yet", disk_need(huge, 10**9))


def test_hooks_are_gone_and_logits_unchanged(model, whole, tmp_path):
    inputs = {key: value for key, value in whole.items() if key != "sample_ids"}
    layers = model.get_decoder().layers
    hooks = [dict(layer._forward_hooks) for layer in layers]
    with torch.inference_mode():
        before = model(**inputs).logits
    harvest(model, [whole], tmp_path / "a")
    with torch.inference_mode():
        assert torch.equal(model(**inputs).logits, before)
    assert [dict(layer._forward_hooks) for layer in layers] == hooks


def test_reading_needs_no_torch(model, whole, tmp_path):
    harvest(model, [whole], tmp_path / "a")
    code = (
        "import sys; from estimators.store import ActivationStore; "
        f"print(ActivationStore({str(tmp_path / 'a')!r}).layer(1)[:].shape); assert 'torch' not in sys.modules"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("(")
