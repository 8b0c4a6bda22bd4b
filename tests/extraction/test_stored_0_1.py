"""Files that release 0.1.0 wrote stay readable: one of each kind, through the public reader of its kind."""

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from estimators import ActivationStore
from estimators.functional import FunctionalRedundancy
from extraction.skip import parse_plan
from extraction.study import OutcomeLog, PlanChoice
from redundancy import BoundCertificate, HarvestStatistics, LayerPairCertificate, ProfileCertificate
from redundancy.figures.sources import as_report
from redundancy.report import gather_report, load_report
from redundancy.risk import RiskControl

STORED = Path(__file__).parents[1] / "stored_0_1"
PLANS = [
    "late_entry(1)",
    "vision_exit(3) + skip_layers(1-2)",
    "random_keep(0.5, seed=1)",
    "fastv(2, 0.5)",
    "text_exit(4) + skip_attention(3) + skip_mlp(3) + hide_vision(0) + downsample_image(0.25)",
]


def text(name):
    return (STORED / name).read_text(encoding="utf-8")


def test_a_choice_keeps_its_plans_and_its_tests_come_out_the_same():
    choice = PlanChoice.from_json(text("choice.json"))
    assert sorted(str(test.plan) for test in choice.tests) == sorted(PLANS)
    assert str(choice.chosen) == PLANS[1]
    assert choice.recheck().ok
    again = PlanChoice.from_json(choice.to_json())
    assert {test.plan for test in again.tests} == {parse_plan(plan) for plan in PLANS}


def test_an_outcome_log_is_read_and_gone_on_with(tmp_path):
    log = OutcomeLog.load(STORED / "outcomes.jsonl")
    assert [str(plan) for plan in log.plans] == PLANS[:4]
    assert sorted(log.sample_ids) == ["t00", "t01", "t10", "t11", "t20", "t21"]
    shutil.copy(STORED / "outcomes.jsonl", tmp_path / "outcomes.jsonl")
    before = (tmp_path / "outcomes.jsonl").read_bytes()
    (one, *_) = log.evaluations()
    assert one.n_samples == 6
    assert (tmp_path / "outcomes.jsonl").read_bytes() == before


def test_statistics_certificates_and_risk_control():
    statistics = HarvestStatistics.load(STORED / "statistics.safetensors")
    assert statistics.n_samples == 4
    assert np.isfinite(statistics.mean_distance("vision")).all()
    profile = ProfileCertificate.from_json(text("profile.json"))
    assert profile.recheck().ok
    assert LayerPairCertificate.from_json(text("layer_pair.json")).recheck().ok
    assert BoundCertificate.from_json(text("bound.json")).theorem
    control = RiskControl.from_json(text("risk_control.json"))
    assert control.recheck().ok
    tree = json.loads(text("functional.json"))
    assert FunctionalRedundancy.from_dict(tree).estimate == tree["estimate"]


def test_an_activation_store():
    store = ActivationStore(STORED / "store")
    assert store.depths == (0, 2)
    assert len(store.sample_ids) == len(set(store.sample_ids)) > 0


@pytest.mark.parametrize("name", ["validation.json", "choice.json"])
def test_a_report_is_gathered_from_what_old_runs_left(name):
    report = gather_report([STORED / name], n_layers=12)
    rows = report["late_entry"] + report["vision_exit"] + report["other_plans"]
    found = {row["plan"] for row in rows}
    assert found >= ({"late_entry(4)", "late_entry(12)"} if name == "validation.json" else set(PLANS))


def test_a_report_and_the_tables_of_a_sweep():
    report = load_report(STORED / "report.json")
    assert report["chosen_plan"]["plan"] == "vision_exit(3) + skip_layers([1, 2])"  # its second writer of plans
    assert len(as_report(report)["other_plans"]) == 4
    assert {row["layer"] for row in json.loads(text("tables.json"))} == {0, 4, 12}
