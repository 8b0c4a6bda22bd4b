"""What a harvest left out, and an early stop: kept, merged, and seen by whoever certifies."""

import json
import sys

import numpy as np
import pytest

from redundancy.certificates.pair import LayerPairCertificate
from redundancy.certificates.profile import ProfileCertificate
from redundancy.commands.cli import main
from redundancy.errors import AssumptionError, InvalidInputError, StoreError
from redundancy.files.tensors import load_tensors, save_tensors
from redundancy.statistics.harvest_statistics import HarvestStatistics
from redundancy.statistics.provenance import Provenance
from support.harvests import harvest

STOPPED = Provenance(stopped_by=("D_vision[2] < 0.5",))
FAILED = Provenance(failed={"x1": "image", "x2": "length", "x3": "image"})


@pytest.fixture
def certify(monkeypatch, capsys):
    """Run the command on a file; return exit code, output and error stream."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["skip-it", "certify", *map(str, arguments)])
        code = 0
        try:
            main()
        except SystemExit as end:
            code = end.code or 0
        out, err = capsys.readouterr()
        return code, out, err

    return run


def test_it_survives_the_disk_and_merging_adds_it_up(tmp_path):
    plain = harvest(10)
    state = plain.with_provenance(FAILED)
    state.save(tmp_path / "a")
    back = HarvestStatistics.load(tmp_path / "a")
    assert back.provenance == FAILED
    assert back.digest() == state.digest() != plain.digest()
    more = Provenance(failed={"y": "model"}, stopped_by=STOPPED.stopped_by)
    merged = Provenance.merge_all([FAILED, more])
    assert merged.causes() == {"image": 2, "length": 1, "model": 1}
    assert merged.stopped_by == STOPPED.stopped_by
    assert Provenance.from_json(merged.to_json()) == merged
    assert Provenance.merge_all([more, FAILED]).to_json() == merged.to_json()
    with pytest.raises(InvalidInputError, match="'image 003' is both"):
        plain.with_provenance(Provenance(failed={"image 003": "image"}))


def test_files_without_it_still_load(tmp_path):
    plain = harvest(5)
    plain.save(tmp_path / "new")
    arrays, metadata = load_tensors(tmp_path / "new")
    del metadata["provenance"]
    save_tensors(tmp_path / "old", arrays, metadata)
    old = HarvestStatistics.load(tmp_path / "old")
    assert old.digest() == plain.digest()
    assert not old.provenance
    save_tensors(tmp_path / "odd", arrays, {**metadata, "provenance": '{"failed": 3}'})
    with pytest.raises(StoreError, match="provenance"):
        HarvestStatistics.load(tmp_path / "odd")


def test_a_stop_by_looking_refuses_bounds_for_a_fixed_number(tmp_path, certify):
    state = harvest(20).with_provenance(STOPPED)
    with pytest.raises(AssumptionError, match=r"stopped when D_vision\[2\] < 0.5 was decided; resume it without --unt"):
        ProfileCertificate.from_statistics(state)
    with pytest.raises(AssumptionError, match="hold at any stop"):
        LayerPairCertificate.from_statistics(state, layer=1, group="vision")
    state.save(tmp_path / "s.safetensors")
    code, _, err = certify(tmp_path / "s.safetensors")
    assert code == 2
    assert "resume it without --until" in err
    assert "Traceback" not in err


def test_the_share_of_failed_samples_is_in_the_certificate_and_beside_it(tmp_path, certify):
    state = harvest(97).with_provenance(FAILED)
    certificate = ProfileCertificate.from_statistics(state, population="photos")
    share = "3 of 100 samples (3 %) failed and are left out (image 2, length 1)"
    assert certificate.population == f"photos, restricted to what can be harvested: {share}"
    assert share in certificate.sentence()
    assert ProfileCertificate.from_json(certificate.to_json()).recheck(state).ok
    pair = LayerPairCertificate.from_statistics(state, layer=2, group="vision")
    assert share in pair.population
    state.save(tmp_path / "s.safetensors")
    assert f"Limitation: {share}" in certify(tmp_path / "s.safetensors")[1]
    record = json.loads(certify(tmp_path / "s.safetensors", "--json")[1])
    assert share in record["limitations"][0]
    harvest(97).save(tmp_path / "clean.safetensors")
    assert json.loads(certify(tmp_path / "clean.safetensors", "--json")[1])["limitations"] == []


def test_why_stopping_by_looking_needs_other_bounds():
    """Stopping when a fixed-sample mean looks small enough biases it: what the refusal is for."""
    rng = np.random.default_rng(0)
    draws = (rng.random((2000, 60)) < 0.5).astype(float)
    means = draws.cumsum(axis=1) / np.arange(1, 61)
    stop = np.where((means[:, 9:] < 0.4).any(axis=1), (means[:, 9:] < 0.4).argmax(axis=1) + 9, 59)
    biased = means[np.arange(2000), stop].mean()
    assert biased < 0.45
    assert abs(means[:, -1].mean() - 0.5) < 0.01
