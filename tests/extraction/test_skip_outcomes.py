"""An interrupted sweep goes on where it stopped, equals an uninterrupted one, and never reads half a batch as whole."""

import json

import pytest
import torch

from extraction import default_model
from extraction.data import as_sample
from extraction.skip import Plan, late_entry, vision_exit
from extraction.study import OutcomeLog, sweep
from extraction.study.validating import labelled_batch, run
from redundancy.errors import InvalidInputError, StoreError

PLANS = [late_entry(2), vision_exit(9), Plan()]


@pytest.fixture(scope="module")
def parts():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    samples = [as_sample(s, i) for i, s in enumerate(default_model.load_samples(12))]
    yield default_model.load_model(), default_model.load_processor(), samples
    torch.set_num_threads(before)


def go(parts, path, **options):
    model, processor, samples = parts
    return run(model, processor, samples, PLANS, path, name="m", batch_size=4, progress=False, **options)


@pytest.fixture(scope="module")
def whole(parts, tmp_path_factory):
    path = tmp_path_factory.mktemp("log") / "outcomes.jsonl"
    return go(parts, path), path.read_bytes()


def test_the_log_reads_back_what_the_sweep_returned(parts, whole, tmp_path):
    evaluations, raw = whole
    model, processor, samples = parts
    batches = [labelled_batch(model, processor, samples[i : i + 4]) for i in (0, 4, 8)]
    for direct, logged in zip(sweep(model, batches, PLANS, progress=False), evaluations, strict=True):
        assert (direct.plain_tokens, direct.plan_tokens, direct.kl) == (
            logged.plain_tokens,
            logged.plan_tokens,
            logged.kl,
        )
        assert direct.accuracy == logged.accuracy
        assert len(set(logged.units)) == 12
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(raw)
    assert go(parts, path, resume=True) == evaluations  # nothing left to run
    assert path.read_bytes() == raw


def test_a_run_cut_at_any_byte_resumes_to_the_same_result(parts, whole, tmp_path):
    evaluations, raw = whole
    ends = [i + 1 for i, byte in enumerate(raw) if byte == 10]
    assert len(ends) == 4  # a header and three batches
    for cut in [0, 5, ends[0] - 1, ends[0], ends[1] - 1, ends[1], ends[2] + 17, len(raw) - 1]:
        path = tmp_path / f"{cut}.jsonl"
        path.write_bytes(raw[:cut])
        assert go(parts, path, resume=True) == evaluations, cut
        assert path.read_bytes() == raw, cut


def test_every_altered_character_is_found(parts, whole, tmp_path):
    _, raw = whole
    path = tmp_path / "outcomes.jsonl"
    last = raw.rindex(b"\n", 0, -1)
    for place in range(0, last, 97):
        altered = bytearray(raw)
        altered[place] = ord("7") if altered[place] != ord("7") else ord("8")
        path.write_bytes(bytes(altered))
        with pytest.raises(StoreError, match=r"was altered|of this very run"):
            go(parts, path, resume=True)


def test_the_log_of_another_run_is_refused(parts, whole, tmp_path):
    model, processor, samples = parts
    path = tmp_path / "outcomes.jsonl"
    path.write_bytes(whole[1])
    options = {"batch_size": 4, "progress": False, "resume": True}
    with pytest.raises(StoreError, match="differs in its samples and n_samples"):
        run(model, processor, samples[:8], PLANS, path, name="m", **options)
    with pytest.raises(StoreError, match="differs in its plans"):
        run(model, processor, samples, PLANS[:2], path, name="m", **options)
    with pytest.raises(InvalidInputError, match="does not exist yet"):
        go(parts, path)
    assert path.read_bytes() == whole[1]


def test_a_sample_counts_once(parts, whole, tmp_path):
    path = tmp_path / "outcomes.jsonl"
    log = OutcomeLog(path, PLANS, {"model": "m"})
    path_of_other = tmp_path / "whole.jsonl"
    path_of_other.write_bytes(whole[1])
    header = json.loads(json.loads(whole[1].splitlines()[0])["body"])
    outcome = OutcomeLog(path_of_other, PLANS, header["run"], resume=True).outcomes[0]
    log.append(outcome)
    with pytest.raises(InvalidInputError, match="not done yet"):
        log.append(outcome)
    assert log.evaluations()[0].n_samples == 4
    with pytest.raises(InvalidInputError, match="these very plans"):
        sweep(parts[0], [], PLANS[:1], log=log)


def test_a_plan_for_another_model_fails_before_a_file_is_made(parts, tmp_path):
    model, processor, samples = parts
    path = tmp_path / "outcomes.jsonl"
    with pytest.raises(InvalidInputError, match="for a decoder of 12 layers, got 13"):
        run(model, processor, samples, [late_entry(13)], path, name="m")
    assert not path.exists()
