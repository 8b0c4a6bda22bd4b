"""The main job, run as a user runs it: the demo writes a whole, sound and re-checkable study."""

import json
import re
import shutil
import subprocess
import sys
import tomllib

import numpy as np
import pytest

from extraction.study import PlanChoice
from redundancy.certificates.profile import ProfileCertificate
from redundancy.files.digested import seal
from redundancy.report import load_report
from redundancy.statistics.harvest_statistics import HarvestStatistics

QUESTIONS = 84


def skip_it(*arguments, **options):
    command = [sys.executable, "-m", "redundancy", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, **options)


@pytest.fixture(scope="module")
def study(tmp_path_factory):
    out = tmp_path_factory.mktemp("demo") / "report"
    done = skip_it("demo", "--out", out, "--questions", QUESTIONS, "--risk", "0.2")
    assert done.returncode == 0, done.stderr
    return out, done.stdout


@pytest.fixture(scope="module")
def report(study):
    return load_report(study[0] / "report.json")


def test_prints_profile_certificates_plan_and_measurements(study, report):
    text = study[1]
    assert "Profile" in text
    assert report["chosen_plan"]["guarantee"] in text
    measured = r"Measured accuracy change [+-]\d+\.\d points \[.*\] \(joint over all plans\); prefill \d+\.\d\d times"
    assert re.search(measured, text)


def test_unmodified_rows_equal_the_unmodified_model(report):
    """Late entry at 0 and vision exit at L are the model as it came, evaluated by plain transformers."""
    import torch

    from extraction.default_model import load_model, load_processor, load_samples

    model, processor, samples = load_model(), load_processor(), load_samples(QUESTIONS)
    text = [f"USER: <image> {s.question} ASSISTANT:" for s in samples]
    inputs = processor(text=text, images=[s.image for s in samples], padding=True, return_tensors="pt")
    with torch.no_grad():
        guesses = model(**inputs).logits[:, -1].argmax(-1)
    words = processor.tokenizer.convert_ids_to_tokens(guesses.tolist())
    accuracy = float(np.mean([w == s.answer for w, s in zip(words, samples, strict=True)]))
    assert report["baseline_accuracy"] == accuracy
    n_layers = report["model"]["n_layers"]
    for section, plain in (("late_entry", 0), ("vision_exit", n_layers)):
        rows = {row["layer"]: row for row in report[section]}
        assert set(rows) == set(range(n_layers + 1))
        assert rows[plain]["accuracy"] == accuracy
        assert rows[plain]["agreement"] == 1.0
        assert rows[n_layers - plain]["accuracy"] < accuracy - 0.2  # without vision it must be near the prior


def test_report_has_every_field_that_is_promised(report):
    assert report["n_samples"] == QUESTIONS
    profile = report["profile"]
    groups = {row["group"] for row in profile}
    assert {"vision", "text"} <= groups
    assert len(profile) == report["model"]["n_layers"] * len(groups)
    needed = {"layer", "group", "mean_distance", "fraction_below_0.05", "var"}
    assert all(needed <= set(row) for row in profile)
    assert report["certificates"]
    assert report["chosen_plan"]["n_calibration"] == QUESTIONS


def test_profile_is_that_of_the_saved_statistics(study, report):
    statistics = HarvestStatistics.load(study[0] / "statistics.safetensors")
    for row in report["profile"]:
        column = row["layer"] - 1
        assert row["mean_distance"] == statistics.mean_distance(row["group"])[column]
        assert row["fraction_below_0.05"] == statistics.fraction_below(row["group"], 0.05)[column]
        assert row["var"] == pytest.approx(statistics.answer_var().sum(2).mean(0)[column])
        if row["distance_upper"] is not None:
            assert row["image_mean_distance"] <= row["distance_upper"]


def test_certificates_recheck_and_an_altered_one_does_not(study, tmp_path):
    path = study[0] / "certificates.json"
    certificate = ProfileCertificate.from_json(path.read_text())
    assert certificate.recheck().ok
    assert PlanChoice.from_json((study[0] / "choice.json").read_text()).recheck().ok
    assert skip_it("recheck", path).returncode == 0
    altered = tmp_path / "altered.json"
    number = re.search(r"0\.\d{6,}", path.read_text()).group()
    altered.write_text(path.read_text().replace(number, f"0.9{number[3:]}", 1))
    done = skip_it("recheck", altered)
    assert done.returncode == 1
    assert "altered" in done.stdout


def test_a_tamperer_who_renews_the_digest_is_found_by_recomputation(study, tmp_path):
    body = json.loads((study[0] / "certificates.json").read_text())
    del body["digest"]
    statement = body["pairs"][3]["statements"][0]
    statement["interval"][1] *= 0.9
    (tmp_path / "altered.json").write_text(seal(body))
    done = skip_it("recheck", tmp_path / "altered.json")
    assert done.returncode == 1
    assert statement["theorem"] in done.stdout


def test_files_are_whole_and_self_contained(study):
    out = study[0]
    page = (out / "report.html").read_text()
    assert page.count("<svg") >= 5
    assert not re.search(r"""(?:src|href)=["']https?://""", page)
    for kind in ("svg", "png"):
        assert len(list((out / "figures").glob(f"*.{kind}"))) >= 5
    assert not list(out.rglob("*.tmp"))


def test_the_report_is_made_again_from_its_parts_without_the_model(study, report, tmp_path):
    out = study[0]
    parts = [out / name for name in ("statistics.safetensors", "certificates.json", "choice.json")]
    done = skip_it("report", *parts, "--out", tmp_path / "page.html", "--data", tmp_path / "data.json")
    assert done.returncode == 0, done.stderr
    again = load_report(tmp_path / "data.json")
    for part in ("profile", "distance_matrix", "certificates", "n_samples"):
        assert again[part] == report[part], part
    same = ("plan", "late_entry", "vision_exit", "risk", "guarantee", "n_calibration", "n_tested_plans", "loss_upper")
    for name in same:
        if name in again["chosen_plan"]:
            assert again["chosen_plan"][name] == report["chosen_plan"][name], name
    losses = {row["layer"]: row["loss_share"] for row in again["vision_exit"]}
    assert losses == {row["layer"]: row["loss_share"] for row in report["vision_exit"] if "loss_share" in row}
    whole = skip_it("report", out, "--out", tmp_path / "whole.html")
    assert whole.returncode == 0, whole.stderr
    assert (tmp_path / "whole.html").read_text().count("<svg") == (out / "report.html").read_text().count("<svg")


@pytest.mark.parametrize(
    ("old", "new", "words"),
    [
        ('"guarantee": "With', '"guarantee": "Always, with', "states another plan or guarantee"),
        (
            '"theorem": "concentration.betting_upper"',
            '"theorem": "concentration.hoeffding_upper"',
            "shows other bounds",
        ),
    ],
)
def test_a_report_that_says_other_than_its_files_is_refused(old, new, words, study, tmp_path):
    folder = tmp_path / "report"
    shutil.copytree(study[0], folder)
    done = skip_it("report", folder, "--out", tmp_path / "sound.html")
    assert "the certificates in certificates.json recomputed, the choice checked against choice.json" in done.stdout
    text = (folder / "report.json").read_text()
    assert old in text
    (folder / "report.json").write_text(text.replace(old, new, 1))
    done = skip_it("report", folder, "--out", tmp_path / "page.html")
    assert done.returncode == 2
    assert words in done.stderr
    assert not (tmp_path / "page.html").exists()


def test_existing_folder_is_one_sentence_and_nothing_is_touched(study):
    out = study[0]
    before = {p: p.stat().st_mtime_ns for p in out.rglob("*")}
    done = skip_it("demo", "--out", out)
    assert done.returncode == 2
    assert "Traceback" not in done.stderr
    assert len(done.stderr.strip().splitlines()) <= 3
    assert {p: p.stat().st_mtime_ns for p in out.rglob("*")} == before


@pytest.fixture(scope="module")
def own_data(tmp_path_factory):
    """The embedded model as a user's folder, with a JSONL of images on disk."""
    from extraction.default_model import load_samples

    folder = tmp_path_factory.mktemp("own")
    lines = []
    for sample in load_samples(24):
        sample.image.save(folder / f"{sample.sample_id}.png")
        row = {"image": f"{sample.sample_id}.png", "question": sample.question, "answer": sample.answer}
        lines.append(json.dumps(row))
    (folder / "data.jsonl").write_text("\n".join(lines))
    return folder


def test_profile_of_an_own_model_equals_the_demo_harvest(own_data, tmp_path):
    from extraction.data import as_sample
    from extraction.default_model import PATH, load_model, load_processor, load_samples
    from extraction.harvesting.stream import harvest

    out = tmp_path / "profile"
    done = skip_it(
        "profile",
        PATH,
        "--data",
        own_data / "data.jsonl",
        "--out",
        out,
        "--dtype",
        "float32",
        "--batch-size",
        12,
        "--json",
    )
    assert done.returncode == 0, done.stderr
    report = load_report(out / "report.json")
    assert json.loads(done.stdout)["n_samples"] == 24 == report["n_samples"], "JSON alone on standard output"
    assert "%|" not in done.stderr, "no progress bar in a pipe"
    saved = tomllib.loads((out / "config.toml").read_text(encoding="utf-8"))["profile"]
    assert (saved["batch-size"], saved["dtype"]) == (12, "float32")
    samples = [as_sample(s, i) for i, s in enumerate(load_samples(24))]
    direct = harvest(load_model(), samples, processor=load_processor(), batch_size=12)
    for group in ("vision", "text"):
        rows = [row["mean_distance"] for row in report["profile"] if row["group"] == group]
        np.testing.assert_allclose(rows, direct.mean_distance(group), rtol=1e-6)
    assert report["late_entry"] == []
    assert report["chosen_plan"] is None


def test_profile_takes_the_embedded_model_with_its_questions_or_data_without_answers(own_data, tmp_path):
    few = ["--limit", 6, "--batch-size", 6, "--json"]
    done = skip_it("profile", "embedded", *few, "--out", tmp_path / "own")
    assert done.returncode == 0, done.stderr
    own = load_report(tmp_path / "own" / "report.json")
    rows = [json.loads(line) for line in (own_data / "data.jsonl").read_text().splitlines()]
    for row in rows:
        del row["answer"]
    (own_data / "asked.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    done = skip_it("profile", "embedded", "--data", own_data / "asked.jsonl", *few, "--out", tmp_path / "asked")
    assert done.returncode == 0, done.stderr
    asked = load_report(tmp_path / "asked" / "report.json")
    assert own["model"]["name"] == asked["model"]["name"] == "skip-it-default"
    assert own["model"]["sha256"] == asked["model"]["sha256"] is not None
    assert own["n_samples"] == asked["n_samples"] == 6
    distances = [[row["mean_distance"] for row in found["profile"]] for found in (own, asked)]
    np.testing.assert_allclose(*distances, rtol=1e-6)
    done = skip_it(
        "profile", "embedded", "--data", own_data / "asked.jsonl", *few, "--validate", "--out", tmp_path / "v"
    )
    assert done.returncode == 2
    assert "need an answer for every sample" in done.stderr
    assert not (tmp_path / "v" / "report.json").exists()


def _bad_image(folder):
    (folder / "bad.jsonl").write_text('{"image": "missing.png", "question": "what ?", "answer": "red"}\n')
    return ["bad.jsonl"], "missing.png"


def _bad_line(folder):
    (folder / "bad.jsonl").write_text('{"image": "q0000.png", "question"\n')
    return ["bad.jsonl"], "line 1"


def _no_file(folder):
    return ["absent.jsonl"], "absent.jsonl"


@pytest.mark.parametrize("fault", [_bad_image, _bad_line, _no_file])
def test_bad_data_is_one_sentence_and_leaves_nothing(fault, own_data, tmp_path):
    from extraction.default_model import PATH

    (name,), expected = fault(own_data)
    out = tmp_path / "out"
    done = skip_it("profile", PATH, "--data", own_data / name, "--out", out)
    assert done.returncode == 2
    assert expected in done.stderr.replace("\n", "")
    assert "Traceback" not in done.stderr
    assert not out.exists()


@pytest.mark.parametrize(
    ("config", "expected"),
    [
        ('{"model_type": "no_such_model"}', "no_such_model"),
        ('{"model_type": "llama"}', "image-text-to-text"),
        ("{", "config"),
    ],
)
def test_unknown_model_is_one_sentence(config, expected, own_data, tmp_path):
    (tmp_path / "model").mkdir()
    (tmp_path / "model" / "config.json").write_text(config)
    done = skip_it("profile", tmp_path / "model", "--data", own_data / "data.jsonl", "--out", tmp_path / "out")
    assert done.returncode == 2
    assert expected in done.stderr
    assert "Traceback" not in done.stderr
    assert not (tmp_path / "out").exists()
