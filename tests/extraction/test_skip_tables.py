"""Sweeps and their tables: the paper's own numbers come out as it prints them, and ours equal plain loops."""

import csv
import io

import numpy as np
import pytest
import torch

from extraction import default_model, harvest
from extraction.data import as_sample
from extraction.skip import Plan, late_entry, vision_exit
from extraction.study import SWEEPS, SweepTable, sweep_plans
from extraction.study.sweeping import distances, table, write
from extraction.study.sweeps import depth_in_sweep
from extraction.study.validating import run
from redundancy.errors import InvalidInputError
from redundancy.report.tables import DASH

LAYERS, N_SAMPLES = (0, 3, 12), 7
# arXiv 2509.25584v1, Table 1, General VQA, two models, three layers.
PRINTED = [
    ("LLaVA 1.5 7B", 0, None, None, 0.564),
    ("LLaVA 1.5 7B", 4, 0.025, 0.972, 0.553),
    ("LLaVA 1.5 7B", 8, 0.073, 0.267, 0.370),
    ("LLaVA NeXT 7B", 0, None, None, 0.770),
    ("LLaVA NeXT 7B", 4, 0.006, 0.974, 0.721),
    ("LLaVA NeXT 7B", 8, 0.037, 0.791, 0.630),
]


@pytest.fixture(scope="module")
def parts():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    samples = [as_sample(s, i) for i, s in enumerate(default_model.load_samples(N_SAMPLES))]
    yield default_model.load_model(), default_model.load_processor(), samples
    torch.set_num_threads(before)


@pytest.fixture(scope="module")
def statistics(parts):
    model, processor, samples = parts
    return harvest(model, samples, processor=processor, batch_size=7, attention=False, matrix=False, progress=False)


@pytest.fixture(scope="module")
def evaluations(parts, tmp_path_factory):
    model, processor, samples = parts
    plans = sweep_plans("both", 12, LAYERS)
    log = tmp_path_factory.mktemp("log") / "outcomes.jsonl"
    return run(model, processor, samples, plans, log, name="m", batch_size=7, progress=False)


def printed():
    names = ("model", "layer", "mean_cosine_distance_vision", "fraction_below_0.05_vision", "accuracy")
    rows = ({"table": 1, "task": "General VQA", **dict(zip(names, row, strict=True))} for row in PRINTED)
    return SweepTable(tuple(rows))


def test_the_papers_numbers_come_out_as_printed():
    lines = [[c.strip() for c in line.strip("|").split("|")] for line in printed().to_markdown(1).splitlines()]
    assert lines[0][2:] == [f"{model}, {layer}" for model, layer, *_ in PRINTED]
    assert lines[2] == ["General VQA", "\u03c1(V_l, V_l-1)", DASH, "0.025", "0.073", DASH, "0.006", "0.037"]
    assert lines[3] == ["General VQA", "P[D_V < 0.05]", DASH, "0.972", "0.267", DASH, "0.974", "0.791"]
    assert lines[4] == ["General VQA", "Accuracy", "0.564", "0.553", "0.370", "0.770", "0.721", "0.630"]
    latex = printed().to_latex(1, layers=[0, 4])
    assert r"\multicolumn{2}{c}{LLaVA 1.5 7B} & \multicolumn{2}{c}{LLaVA NeXT 7B} \\" in latex
    assert r"\cmidrule(lr){3-4} \cmidrule(lr){5-6}" in latex
    assert r" & Accuracy & 0.564 & 0.553 & 0.770 & 0.721 \\" in latex
    assert latex.count(r"\\") == 5
    assert latex.startswith(r"\begin{tabular}{llrrrr}")


def test_sweeps_are_one_plan_per_layer():
    assert sweep_plans("late_entry", 4, [4, 0, 2]) == [Plan(), late_entry(2), late_entry(4)]
    assert sweep_plans("vision_exit", 2) == [vision_exit(0), vision_exit(1), Plan()]
    assert len(sweep_plans("both", 12)) == 25  # the unmodified model is in both, and is run once
    for name in SWEEPS:
        for plan in sweep_plans(name, 5):
            places = depth_in_sweep(plan, 5)
            assert len(places) == (4 if plan == Plan() else 1)
            if name != "both" and plan != Plan():
                assert sweep_plans(name, 5, [places[0][1]]) == [plan]
    assert depth_in_sweep(late_entry(2) + vision_exit(4), 5) == []


def test_records_equal_a_loop_over_samples(parts, statistics, evaluations):
    _, _, samples = parts
    found = table("embedded", evaluations, samples, statistics)
    assert found.numbers == (1, 2)
    by_plan = {str(e.plan): e for e in evaluations}
    ids = list(statistics.sample_ids)
    tasks = {r["task"] for r in found.records}
    assert tasks == {"All"} | {s.family for s in samples}
    for record in found.to_records():
        chosen = [s for s in samples if record["task"] in ("All", s.family)]
        evaluation = by_plan[record["plan"]]
        hits = [evaluation.correct[evaluation.sample_ids.index(s.sample_id)] for s in chosen]
        assert record["accuracy"] == pytest.approx(np.mean(hits))
        assert record["accuracy_interval"][0] <= record["accuracy"] <= record["accuracy_interval"][1]
        assert record["n_samples"] == len(chosen)
        if record["layer"] == 0:
            assert record["mean_cosine_distance_vision"] is None
            continue
        at = [ids.index(s.sample_id) for s in chosen]
        for group in ("vision", "text"):
            sums, pairs = statistics.distance_sums(group)[at], statistics.pair_counts(group)[at]
            far = statistics.tail_counts(group, 0.05, strict=False)[at]
            column = record["layer"] - 1
            mean = sum(sums[:, column]) / sum(pairs[:, column])
            assert record[f"mean_cosine_distance_{group}"] == pytest.approx(mean)
            share = 1 - sum(far[:, column]) / sum(pairs[:, column])
            assert record[f"fraction_below_0.05_{group}"] == pytest.approx(share)
    whole = [r for r in found.records if r["task"] == "All" and r["layer"] == 3 and r["table"] == 1]
    assert whole[0]["mean_cosine_distance_vision"] == pytest.approx(statistics.mean_distance("vision")[2])
    assert whole[0]["fraction_below_0.05_vision"] == pytest.approx(statistics.fraction_below("vision")[2])


def test_files_hold_every_record(parts, statistics, evaluations, tmp_path):
    pytest.importorskip("matplotlib", reason="curves are drawn with it")
    _, _, samples = parts
    found = table("embedded", evaluations, samples, statistics)
    names = write(tmp_path, found, [e.to_record() for e in evaluations], n_layers=12)
    assert {"tables.json", "tables.csv", "table_1.md", "table_1.tex", "table_2.md", "accuracy.svg"} <= set(names)
    assert all((tmp_path / name).stat().st_size for name in names)
    rows = list(csv.DictReader(io.StringIO((tmp_path / "tables.csv").read_text())))
    assert len(rows) == len(found.records)
    assert float(rows[0]["accuracy_interval_lower"]) == found.records[0]["accuracy_interval"][0]
    assert "P[D_T < 0.05]" in (tmp_path / "table_2.md").read_text()
    assert "P[D_T < 0.05]" not in (tmp_path / "table_1.md").read_text()
    drawn = (tmp_path / "accuracy.svg").read_text()
    assert "late entry" in drawn
    assert "vision exit" in drawn


def test_without_answers_the_tables_show_agreement(parts, statistics, tmp_path):
    model, processor, samples = parts
    mute = [type(s)(s.sample_id, s.image, s.question) for s in samples[:4]]
    plans = sweep_plans("late_entry", 12, (0, 6))
    outcomes = run(model, processor, mute, plans, tmp_path / "o.jsonl", name="m", batch_size=4, progress=False)
    found = table("embedded", outcomes, mute, statistics)
    assert "| Agreement " in found.to_markdown(1)
    assert "Accuracy" not in found.to_markdown(1)
    assert not any(name.startswith("accuracy") for name in write(tmp_path, found, found.to_records(), n_layers=12))


def test_runs_join_side_by_side_but_not_twice():
    other = SweepTable(tuple({**r, "task": "Text/Doc VQA"} for r in printed().records))
    both = printed() + other
    assert len(both.to_markdown(1).splitlines()) == 2 + 6
    with pytest.raises(InvalidInputError, match="comes twice"):
        (both + other).to_markdown(1)


def test_wrong_requests_are_refused(parts, statistics, evaluations, tmp_path):
    model, processor, samples = parts
    with pytest.raises(InvalidInputError, match="need a sweep among"):
        sweep_plans("early", 12)
    with pytest.raises(InvalidInputError, match=r"layers in 0\.\.12"):
        sweep_plans("both", 12, [13])
    with pytest.raises(InvalidInputError, match="table 1"):
        printed().to_markdown(3)
    with pytest.raises(InvalidInputError, match="need records of table 2"):
        printed().to_markdown(2)
    with pytest.raises(InvalidInputError, match="plans of a sweep"):
        SweepTable.of("m", [e for e in evaluations if e.plan == Plan()], n_layers=12)
    statistics.save(tmp_path / "s.safetensors")
    stranger = [type(samples[0])("stranger", samples[0].image, "q", "a", "")]
    with pytest.raises(InvalidInputError, match="lacks 1, as 'stranger'"):
        distances(model, processor, stranger, tmp_path / "new", name="m", known=tmp_path / "s.safetensors")
    again = distances(model, processor, samples, tmp_path / "s.safetensors", name="m")
    assert again.digest() == statistics.digest()
