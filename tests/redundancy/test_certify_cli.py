"""`skip-it certify` and `skip-it recheck`: what they print and write; bad input gets one sentence, exit code 2."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

from redundancy.certificates.pair import LayerPairCertificate
from redundancy.certificates.profile import ProfileCertificate
from redundancy.files.digested import seal
from redundancy.files.tensors import save_tensors
from redundancy.statistics.from_states import statistics_from_states
from redundancy.statistics.harvest_statistics import HarvestStatistics

FIELDS = {"theorem", "quantity", "lower", "upper", "base", "evidence", "assumptions", "vacuous"}


@pytest.fixture
def files(tmp_path):
    """States of 40 images of 5 tokens in every format, ids, labels, real targets, and the statistics of a harvest."""
    rng = np.random.default_rng(0)
    x = rng.standard_normal((200, 6)).astype(np.float32)
    y = (x + 0.2 * rng.standard_normal(x.shape)).astype(np.float32)
    ids = np.repeat(np.arange(40), 5)
    np.save(tmp_path / "x.npy", x)
    np.save(tmp_path / "y.npy", y)
    np.save(tmp_path / "ids.npy", ids)
    np.save(tmp_path / "labels.npy", rng.integers(0, 2, 200))
    np.save(tmp_path / "reals.npy", rng.uniform(-1, 1, 200))
    np.savez(tmp_path / "all.npz", x=x, y=y, ids=ids)
    save_tensors(tmp_path / "all.safetensors", {"x": x, "y": y, "ids": ids}, {})
    (tmp_path / "ids.txt").write_text("".join(f"image {i}\n" for i in ids))
    moves = rng.normal(size=(30, 4, 6, 5)) * np.array([1.0, 0.05, 0.4, 1.5])[:, None, None]
    groups = ["sink", "vision", "vision", "vision", "words", "words"]
    statistics_from_states(list(moves.cumsum(axis=1)), [groups] * 30).save(tmp_path / "statistics.safetensors")
    return tmp_path


def no_constants(text):
    raise AssertionError(f"{text} is no JSON")


# ------------------------------------------------------------------ arrays


@pytest.mark.parametrize(
    "places",
    [
        ("x.npy", "y.npy", "ids.npy"),
        ("x.npy", "y.npy", "ids.txt"),
        ("all.npz:x", "all.npz:y", "all.npz:ids"),
        ("all.safetensors:x", "all.safetensors:y", "all.safetensors:ids"),
    ],
)
def test_arrays_as_json(skip_it, files, places):
    code, out, err = skip_it("certify", places[0], places[1], "--ids", places[2], "--json")
    assert (code, err) == (0, "")
    record = json.loads(out, parse_constant=no_constants)
    assert (record["n_images"], record["n_tokens"]) == (40, 200)
    ids = [f"image {i}" for i in range(40)] if places[2] == "ids.txt" else np.arange(40)  # names decide the order
    expected = LayerPairCertificate.from_arrays(np.load("x.npy"), np.load("y.npy"), np.repeat(ids, 5)).to_records()
    assert len(record["statements"]) == len(expected)
    for shown, own in zip(record["statements"], expected, strict=True):
        assert set(shown) == FIELDS
        for key in FIELDS - {"lower", "upper"}:
            assert shown[key] == own[key]
        for end in ("lower", "upper"):
            assert shown[end] == (own[end] if np.isfinite(own[end]) else None)
    assert {s["evidence"][0] for s in record["statements"]} == {"C", "V"}


def test_a_target_adds_certified_bounds_on_the_gap(skip_it, files):
    base = ("certify", "x.npy", "y.npy", "--ids", "ids.npy", "--json")
    plain = {s["theorem"] for s in json.loads(skip_it(*base)[1])["statements"]}
    labels = json.loads(skip_it(*base, "--target", "labels.npy")[1])["statements"]
    assert {s["theorem"] for s in labels} - plain >= {"lipschitz.probe_errors_cap"}
    assert any(s["quantity"] == "functional_gap" and s["evidence"][0] in "CV" for s in labels)
    reals = skip_it(*base, "--target", "reals.npy", "--target-range", "-1", "1")
    assert reals[0] == 0


def test_base_and_estimand_reach_the_statements(skip_it, files):
    base = ("certify", "x.npy", "y.npy", "--ids", "ids.npy", "--json")
    nats = json.loads(skip_it(*base, "--base", "2.718281828459045")[1])["statements"]
    bits = json.loads(skip_it(*base)[1])["statements"]
    pair = [next(s for s in rows if s["quantity"] == "mutual_information") for rows in (nats, bits)]
    assert pair[0]["lower"] == pytest.approx(pair[1]["lower"] * np.log(2), abs=1e-12)
    pooled = json.loads(skip_it(*base, "--count-max", "5")[1])["statements"]
    assert any("no image of the population has more than 5 tokens" in a for s in pooled for a in s["assumptions"])


def test_words_say_the_level_the_labels_and_no_more(skip_it, files):
    code, out, _ = skip_it("certify", "x.npy", "y.npy", "--ids", "ids.npy", "--population", "captioned photographs")
    assert code == 0
    assert "40 i.i.d. images from captioned photographs" in out
    assert "V (vacuous)" in out
    assert "Says nothing about" in out
    assert not any(word in out.lower() for word in ("safe to", "can be skipped", "skippable"))


def test_written_certificates_are_confirmed_and_never_overwritten(skip_it, files):
    code, out, _ = skip_it("certify", "x.npy", "y.npy", "--ids", "ids.npy", "--out", "pair.json")
    assert code == 0
    assert "skip-it recheck pair.json" in out
    assert skip_it("recheck", "pair.json")[:2] == (0, "pair.json: every bound was reproduced\n")
    before = (files / "pair.json").read_bytes()
    code, _, err = skip_it("certify", "x.npy", "y.npy", "--ids", "ids.npy", "--out", "pair.json")
    assert (code, (files / "pair.json").read_bytes()) == (2, before)
    assert err.startswith("skip-it: need a file that does not exist yet")
    assert not list(files.glob(".*tmp"))


# ------------------------------------------------------------------ statistics


def test_statistics_as_json(skip_it, files):
    code, out, _ = skip_it("certify", "statistics.safetensors", "--json", "--below", "0.5")
    assert code == 0
    record = json.loads(out, parse_constant=no_constants)
    profile = ProfileCertificate.from_statistics(HarvestStatistics.load("statistics.safetensors"))
    assert record["n_images"] == 30
    assert record["n_tokens"] == 180
    assert record["n_tokens_by_group"] == {"vision": 90, "text": 90}
    assert len(record["statements"]) == len(profile.to_records())
    assert all(set(s) == FIELDS | {"layer", "group"} for s in record["statements"])
    assert {(s["layer"], s["group"]) for s in record["statements"]} == {
        (k, g) for k in (1, 2, 3) for g in ("vision", "text")
    }
    assert record["below"]["pairs"] == profile.below(0.5)
    assert record["sentence"] == profile.sentence()


def test_statistics_in_words_and_rechecked_against_the_harvest(skip_it, files):
    arguments = ("certify", "statistics.safetensors", "--groups", "vision", "--below", "0.5", "--out", "profile.json")
    code, out, _ = skip_it(*arguments)
    assert code == 0
    assert "vision 3" in out
    assert "statements are vacuous" in out
    assert "Mean distance below 0.5 (Holm over 3 hypotheses" in out
    assert skip_it("recheck", "profile.json", "--statistics", "statistics.safetensors")[0] == 0
    other = [np.random.default_rng(k).normal(size=(4, 6, 5)) for k in range(30)]
    groups = ["sink", "vision", "vision", "vision", "words", "words"]
    statistics_from_states(other, [groups] * 30).save(files / "other.safetensors")
    code, out, _ = skip_it("recheck", "profile.json", "--statistics", "other.safetensors", "--json")
    assert code == 1
    assert "digest differs" in json.loads(out)["problems"][0]


# ------------------------------------------------------------------ recheck


def test_recheck_finds_edits_and_forgeries(skip_it, files):
    skip_it("certify", "x.npy", "y.npy", "--ids", "ids.npy", "--out", "pair.json")
    body = json.loads((files / "pair.json").read_text())
    body["pair"]["statements"][0]["interval"][1] *= 0.5
    (files / "edited.json").write_text(json.dumps(body))
    code, out, _ = skip_it("recheck", "edited.json")
    assert code == 1
    assert "altered" in out
    del body["digest"]
    (files / "forged.json").write_text(seal(body))
    code, out, _ = skip_it("recheck", "forged.json", "--json")
    assert code == 1
    assert json.loads(out)["ok"] is False


@pytest.mark.parametrize(
    ("path", "value", "message"),
    [
        (("evidence",), "Cx", "does not fit it: tuple.index(x)"),
        (("interval", 1), "infx", "could not convert string to float: 'infx'"),
        (("arrays", "shape"), 21, "need an array of numbers with its shape"),
        (("quantity",), 5, "need str, got 5"),
        (("failures", 0), ["key", "x"], "need float, got 'x'"),
    ],
)
def test_recheck_of_misshapen_content_under_a_new_digest(skip_it, files, path, value, message):
    skip_it("certify", "x.npy", "y.npy", "--ids", "ids.npy", "--out", "pair.json")
    body = json.loads((files / "pair.json").read_text())
    del body["digest"]
    place = body["pair"]["statements"][0]
    if path[0] == "arrays":
        place, path = next(iter(body["arrays"].values())), path[1:]
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = value
    (files / "edited.json").write_text(seal(body))
    code, out, err = skip_it("recheck", "edited.json")
    assert (code, err) == (1, "")
    assert message in out
    assert out.endswith("edited.json: 1 problem\n")


def test_the_folder_of_a_harvest_is_its_statistics(skip_it, files):
    folder = skip_it("certify", ".", "--groups", "vision", "--json")
    assert folder == skip_it("certify", "statistics.safetensors", "--groups", "vision", "--json")
    assert folder[0] == 0


def test_ids_come_from_a_column_that_is_named_and_from_no_other(skip_it, files):
    ids = Path("ids.txt").read_text().splitlines()
    Path("ids.csv").write_text("\ufeffrow,image\r\n" + "".join(f"{i},{name}\r\n" for i, name in enumerate(ids)))
    _, wanted, _ = skip_it("certify", "x.npy", "y.npy", "--ids", "ids.txt", "--json")
    for chosen in (["--ids", "ids.csv", "--column", "image"], ["--ids", "ids.csv:image"]):
        code, out, err = skip_it("certify", "x.npy", "y.npy", *chosen, "--json")
        assert (code, out) == (0, wanted), err
    code, out, err = skip_it("certify", "x.npy", "y.npy", "--ids", "ids.csv", "--json")
    assert (code, out) == (2, "")
    assert "need one column, ids.csv has 2" in err


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "need a readable certificate"),
        ("{", "does not parse"),
        ("[]", "holds a list"),
        ("7", "holds the int 7"),
        ("[" * 100_000, "does not parse"),
        ('{"schema": ["x"]}', "has ['x']"),
        ('{"schema": "x/1"}', "has 'x/1'"),
    ],
)
def test_recheck_of_no_certificate(skip_it, files, content, message):
    if content is not None:
        (files / "none.json").write_text(content)
    code, _, err = skip_it("recheck", "none.json")
    assert code == 2
    assert message in err


# ------------------------------------------------------------------ bad input: one sentence, exit code 2


def states(change):
    array = np.load("x.npy")
    change(array)
    return array


def zero(a):
    a[7] = 0.0


def nan(a):
    a[7, 2] = np.nan


PAIR = ["x.npy", "y.npy", "--ids", "ids.npy"]
BAD = {
    "no ids": (["x.npy", "y.npy"], None, "need --ids"),
    "zero vector": (["bad.npy", "y.npy", "--ids", "ids.npy"], lambda: states(zero), "zero vectors in row 7"),
    "nan": (["x.npy", "bad.npy", "--ids", "ids.npy"], lambda: states(nan), "NaN or infinity in row 7"),
    "shape": (["x.npy", "bad.npy", "--ids", "ids.npy"], lambda: np.ones((200, 5)), "of one shape"),
    "fewer ids": (["x.npy", "y.npy", "--ids", "bad.npy"], lambda: np.arange(10), "need ids, one per row"),
    "one image": (["x.npy", "y.npy", "--ids", "bad.npy"], lambda: np.zeros(200, int), "need at least 2 images"),
    "t": (["x.npy", "y.npy", "--ids", "ids.npy", "--t", "2.5"], None, "need t inside [0, 2], got 2.5"),
    "level": (["x.npy", "y.npy", "--ids", "ids.npy", "--confidence", "1"], None, "need confidence_level"),
    "alpha": (["x.npy", "y.npy", "--ids", "ids.npy", "--alpha", "-1"], None, "need alpha inside"),
    "base": (["x.npy", "y.npy", "--ids", "ids.npy", "--base", "1"], None, "base"),
    "target": (["x.npy", "y.npy", "--ids", "ids.npy", "--target", "reals.npy"], None, "need target_range"),
    "no file": (["x.npy", "missing.npy", "--ids", "ids.npy"], None, "need a readable array file"),
    "kind": (["x.npy", "ids.txt", "--ids", "ids.npy"], None, "need x_next of shape"),
    "name": (["all.npz", "y.npy", "--ids", "ids.npy"], None, "need the name of one array"),
    "no arrays": (["stats.safetensors", "--ids", "ids.npy"], None, "need two arrays, PREV and NEXT with --ids"),
    "no seed": (["stats.safetensors", "--seed", "1"], None, "need two arrays, PREV and NEXT with --seed"),
    "no groups": (["x.npy", "y.npy", "--ids", "ids.npy", "--groups", "text"], None, "need STATISTICS with --groups"),
    "no below": (["x.npy", "y.npy", "--ids", "ids.npy", "--below", "0.1"], None, "need STATISTICS with --below"),
    "group": (["stats.safetensors", "--groups", "audio"], None, "need a group out of"),
    "threshold": (["stats.safetensors", "--t", "0.3"], None, "need a threshold that was harvested"),
    "below": (["stats.safetensors", "--below", "3"], None, "need threshold inside [0, 2], got 3.0"),
    "no next": (["x.npy"], None, "need two arrays, PREV and NEXT, and --ids, or the statistics of a harvest alone"),
    "no next, ids": (["x.npy", "--ids", "ids.npy"], None, "got the array file x.npy alone"),
    "no harvest": (["."], None, "need a finished harvest, . has no statistics.safetensors"),
    "statistics and next": (["stats.safetensors", "y.npy"], None, "STATISTICS takes no NEXT"),
    "statistics as next": (["x.npy", "stats.safetensors", "--ids", "ids.npy"], None, "STATISTICS takes no NEXT"),
    "folder and next": ([".", "y.npy"], None, "got a folder, ., with y.npy"),
    "range of nothing": ([*PAIR, "--target-range", "0", "1"], None, "need --target with --target-range"),
    "range reversed": ([*PAIR, "--target", "reals.npy", "--target-range", "1", "-1"], None, "LOW < HIGH, got 1 -1"),
    "range of labels": ([*PAIR, "--target", "labels.npy", "--target-range", "1", "0"], None, "LOW < HIGH, got 1 0"),
    "no layer": (["x.npy", "y.npy", "--ids", "ids.npy", "--layer", "-1"], None, "Invalid value for '--layer'"),
}


@pytest.mark.parametrize("name", BAD)
@pytest.mark.parametrize("as_json", [False, True])
def test_bad_input_gets_one_sentence_and_exit_code_2(skip_it, files, name, as_json):
    arguments, make, message = BAD[name]
    (files / "statistics.safetensors").rename(files / "stats.safetensors")
    if make is not None:
        np.save("bad.npy", make())
    code, out, err = skip_it("certify", *arguments, "--out", "never.json", *(["--json"] if as_json else []))
    assert (code, out) == (2, "")
    assert message in " ".join(err.replace("│", " ").split())
    assert "Traceback" not in err
    if not message.startswith("Invalid"):
        assert err.count("\n") == 1
    assert not (files / "never.json").exists()


def test_empty_harvest(skip_it, files):
    spec = HarvestStatistics.load("statistics.safetensors").spec
    HarvestStatistics(spec, sample_ids=["a", "b"]).save("empty.safetensors")
    code, _, err = skip_it("certify", "empty.safetensors")
    assert code == 2
    assert "need tokens of group 'vision' in every image, 'a' has none" in err


def test_torn_statistics(skip_it, files):
    content = (files / "statistics.safetensors").read_bytes()
    (files / "torn.safetensors").write_bytes(content[:-100])
    code, _, err = skip_it("certify", "torn.safetensors")
    assert code == 2
    assert err.startswith("skip-it: need")
