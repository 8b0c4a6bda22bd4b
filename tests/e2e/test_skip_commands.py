"""`skip-it validate` and `skip-it select` as a user runs them, killed and resumed."""

import json
import os
import signal
import subprocess
import sys
import tempfile
import time

import pytest

from extraction.study import PlanChoice

RUN = [sys.executable, "-m", "redundancy"]
ENVIRONMENT = {**os.environ, "SKIP_IT_STATE": tempfile.mkdtemp(), "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}


def skip_it(*arguments):
    return subprocess.run([*RUN, *map(str, arguments)], capture_output=True, text=True, env=ENVIRONMENT, timeout=600)


def test_validate_prints_and_writes_a_row_per_plan(tmp_path):
    out = tmp_path / "v"
    plans = ["--plan", "vision_exit(12)", "--plan", "late_entry(12)", "--plan", "fastv(3, 0.5)"]
    done = skip_it("validate", "embedded", *plans, "--limit", 24, "--rounds", 0, "--out", out)
    assert done.returncode == 0, done.stderr
    rows = json.loads((out / "validation.json").read_text())
    assert [row["plan"] for row in rows] == ["vision_exit(12)", "late_entry(12)", "fastv(3, 0.5)"]
    same, blind, pruned = rows
    assert same["agreement"] == 1.0
    assert same["mean_kl"] == 0.0
    assert blind["accuracy"] < same["accuracy"]
    assert blind["kv_share"] < pruned["kv_share"] < same["kv_share"] == 1.0
    assert "fastv(3, 0.5)" in done.stdout
    assert (out / "validation.csv").read_text().startswith("plan,n_samples,agreement,agreement_interval_lower")
    again = skip_it("validate", "embedded", *plans, "--limit", 24, "--rounds", 0, "--out", out)
    assert again.returncode == 2
    assert "does not exist yet" in again.stderr


def test_a_sweep_writes_the_papers_tables(tmp_path):
    out = tmp_path / "s"
    options = ["--sweep", "vision_exit", "--layers", "0,11-12", "--limit", 7, "--rounds", 0]
    done = skip_it("validate", "embedded", *options, "--out", out)
    assert done.returncode == 0, done.stderr
    records = json.loads((out / "tables.json").read_text())
    assert {(r["table"], r["layer"]) for r in records} == {(2, 0), (2, 11), (2, 12)}
    assert all(r["mean_cosine_distance_text"] > 0 for r in records if r["layer"] > 0)
    assert r"\toprule" in (out / "table_2.tex").read_text()
    rows = json.loads((out / "validation.json").read_text())
    assert [row["plan"] for row in rows] == ["vision_exit(0)", "vision_exit(11)", "identity"]
    assert all(row["measured_kv_share"] == row["predicted_kv_share"] for row in rows)
    assert rows[2]["accuracy_change_interval"] == [0.0, 0.0]
    again = skip_it("validate", "embedded", *options, "--resume", "--out", out)
    assert again.returncode == 0, again.stderr
    assert json.loads((out / "tables.json").read_text()) == records


def test_a_killed_selection_resumes_to_the_same_choice(tmp_path):
    """SIGKILL in the middle of the sweep; the resumed run's choice is that of a run nobody touched."""
    options = ["--limit", "48", "--batch-size", "4", "--risk", "0.2", "--min-speedup", "1.1"]
    straight = skip_it("select", "embedded", *options, "--out", tmp_path / "straight")
    assert straight.returncode == 0, straight.stderr
    broken = tmp_path / "broken"
    process = subprocess.Popen(
        [*RUN, "select", "embedded", *options, "--out", str(broken)],
        env=ENVIRONMENT,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    log, deadline = broken / "outcomes.jsonl", time.monotonic() + 300
    while not (log.exists() and log.read_bytes().count(b"\n") >= 4):
        assert process.poll() is None, "it ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.05)
    process.send_signal(signal.SIGKILL)
    process.wait()
    n_before = log.read_bytes().count(b"\n")
    assert not (broken / "choice.json").exists()
    refused = skip_it("select", "embedded", *options, "--out", broken)
    assert refused.returncode == 2
    resumed = skip_it("select", "embedded", *options, "--out", broken, "--resume")
    assert resumed.returncode == 0, resumed.stderr
    assert log.read_bytes().count(b"\n") == 13 > n_before
    first, second = (PlanChoice.from_json((tmp_path / d / "choice.json").read_text()) for d in ("straight", "broken"))
    # Alike but for where the log lies, and for the other choice that the same data served.
    assert first.control == second.control
    assert first.record.about["weights"] == second.record.about["weights"]
    assert "The same data served 1 choice before" in second.summary
    assert first.recheck().ok
    bolder = skip_it("select", "embedded", *options, "--risk", "0.5", "--out", broken, "--resume")
    assert bolder.returncode == 2
    assert "differs in its risk (0.2, now 0.5)" in bolder.stderr
    assert PlanChoice.from_json((broken / "choice.json").read_text()) == second
    assert first.guarantee in resumed.stdout
    checked = skip_it("recheck", broken / "choice.json")
    assert checked.returncode == 0, checked.stderr
    stored = json.loads((broken / "choice.json").read_text())
    stored["control"]["risk"] = 0.1
    (broken / "altered.json").write_text(json.dumps(stored))
    assert skip_it("recheck", broken / "altered.json").returncode == 1


def test_data_without_answers_are_judged_by_agreement(tmp_path):
    """The field `answer` is absent: validate reports agreement, select tests changed answers, and neither accuracy."""
    from extraction import default_model

    with (tmp_path / "asked.jsonl").open("w") as file:
        for sample in default_model.load_samples(12):
            sample.image.save(tmp_path / f"{sample.sample_id}.png")
            file.write(json.dumps({"image": f"{sample.sample_id}.png", "question": sample.question}) + "\n")
    options = ["embedded", "--data", tmp_path / "asked.jsonl"]
    done = skip_it("validate", *options, "--plan", "vision_exit(11)", "--rounds", 0, "--out", tmp_path / "v")
    assert done.returncode == 0, done.stderr
    (row,) = json.loads((tmp_path / "v" / "validation.json").read_text())
    assert row["accuracy"] is None
    assert 0.0 <= row["agreement"] <= 1.0
    few = ["--risk", 0.5, "--min-speedup", 1.2]
    done = skip_it("select", *options, *few, "--loss", "answer", "--out", tmp_path / "s")
    assert done.returncode == 0, done.stderr
    choice = PlanChoice.from_json((tmp_path / "s" / "choice.json").read_text())
    assert choice.recheck().ok
    refused = skip_it("select", *options, *few, "--out", tmp_path / "a")
    assert refused.returncode == 2
    assert "need an answer for every sample to control accuracy" in refused.stderr
    assert not (tmp_path / "a").exists()


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["validate", "embedded", "--plan", "late_entry(13)"], "for a decoder of 12 layers, got 13"),
        (["validate", "embedded", "--plan", "sometimes(3)"], "got 'sometimes(3)'"),
        (["validate", "embedded", "--rounds", "3"], "at least 6 timing rounds"),
        (["validate", "nowhere"], "need --data"),
        (["validate", "embedded", "--layers", "3"], "add --sweep both"),
        (["validate", "embedded", "--sweep", "both", "--layers", "4-2"], "got '4-2'"),
        (["validate", "embedded", "--sweep", "sideways"], "need a sweep among"),
        (["validate", "embedded", "--sweep", "both", "--layers", "13"], "got [13]"),
        (["select", "embedded", "--limit", "1"], "at least 2 samples"),
        (["select", "embedded", "--limit", "8", "--loss", "taste"], "need a loss among"),
        (["select", "embedded", "--limit", "8", "--risk", "1.5"], "need risk"),
        (["select", "embedded", "--limit", "8", "--min-speedup", "50"], "lower min_speedup"),
    ],
)
def test_wrong_use_is_one_sentence_and_leaves_nothing(tmp_path, arguments, words):
    out = tmp_path / "out"
    done = skip_it(*arguments, "--out", out)
    assert done.returncode == 2, done.stdout
    assert words in done.stderr
    assert done.stderr.strip().count("\n") <= 1 or "Loading weights" in done.stderr
    assert "Traceback" not in done.stderr
    assert not out.exists()
