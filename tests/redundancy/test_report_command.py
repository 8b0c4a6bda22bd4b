"""`skip-it report` on files that the library really writes: parts join, contradictions are refused in a sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from extraction.skip import late_entry, vision_exit
from extraction.study import choose_plan
from redundancy.certificates.pair import LayerPairCertificate
from redundancy.certificates.profile import ProfileCertificate
from redundancy.errors import InvalidInputError, StoreError
from redundancy.files.digested import seal
from redundancy.report import gather_report, load_report, render_html, report_problems
from redundancy.statistics.harvest_statistics import HarvestStatistics
from support import harvests as HARVESTS
from support import reports as REPORTS

HERE = Path(__file__).parent
HOSTILE = REPORTS.HOSTILE
WITHOUT_TORCH = """
import sys

class Absent:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] == "torch":
            raise ModuleNotFoundError("No module named 'torch'", name="torch")

sys.meta_path.insert(0, Absent())
from redundancy.commands.cli import main
main()
"""


def validation_rows(n_layers: int = 3) -> list[dict[str, Any]]:
    """What `skip-it validate` writes by default: late entry 1..L, vision exit 0..L-1."""
    names = [f"late_entry({k})" for k in range(1, n_layers + 1)] + [f"vision_exit({k})" for k in range(n_layers)]
    return [
        {
            "plan": name,
            "n_samples": 50,
            "agreement": 0.8,
            "agreement_interval": [0.7, 0.9],
            "mean_kl": 0.1,
            "plain_accuracy": 0.9,
            "accuracy": 0.7 + 0.01 * k,
            "accuracy_change": -0.2 + 0.01 * k,
            "accuracy_interval": [0.5, 0.9],
            "accuracy_change_interval": [-0.3, 0.0],
            "flop_speedup": 1.5,
            "kv_share": 0.4,
            "confidence_level": 0.9,
        }
        for k, name in enumerate(names)
    ]


def choice_text(**changes: Any) -> str:
    """A choice from 50 samples: vision exit at 2 certified, late entry at 1 not; changes are sealed in."""
    losses = [[0] * 49 + [1], [1] * 25 + [0] * 25]
    choice = choose_plan(
        [vision_exit(2), late_entry(1)],
        losses,
        costs=[1 / 1.5, 1 / 1.2],
        sample_ids=[str(k) for k in range(50)],
        risk=0.12,
        method="graph",
        chains=["vision exit", "late entry"],
    )
    body = json.loads(choice.to_json())
    del body["digest"]
    body["control"] |= {k: v for k, v in changes.items() if k != "guarantee"}
    return seal({**body, **changes})


@pytest.fixture(scope="module")
def results(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("results")
    statistics = HARVESTS.harvest()
    for name in ("harvest", "validation", "choice"):
        (folder / name).mkdir()
    statistics.save(folder / "harvest" / "statistics.safetensors")
    certificate = ProfileCertificate.from_statistics(statistics)
    (folder / "harvest" / "certificates.json").write_text(certificate.to_json())
    (folder / "validation" / "validation.json").write_text(json.dumps(validation_rows()))
    (folder / "validation" / "config.toml").write_text('[validate]\nmodel = "./my-llava"\nconfidence = 0.5\n')
    (folder / "choice" / "choice.json").write_text(choice_text())
    return folder


def test_no_level_comes_from_settings_that_may_be_of_another_run(results: Path, tmp_path: Path) -> None:
    rows = [{k: v for k, v in row.items() if k != "confidence_level"} for row in validation_rows()]  # of release 0.1.0
    (tmp_path / "validation.json").write_text(json.dumps(rows))
    (tmp_path / "config.toml").write_text("[validate]\nconfidence = 0.999\n")
    assert gather_report([tmp_path], n_layers=3).get("confidence_level") is None
    assert gather_report([results / "validation"]).get("confidence_level") == 0.9


def test_every_part_arrives_where_it_belongs(results: Path) -> None:
    report = gather_report([results / "harvest", results / "validation", results / "choice"])
    assert report_problems(report) == ()
    statistics = HarvestStatistics.load(results / "harvest" / "statistics.safetensors")
    certificate = ProfileCertificate.from_statistics(statistics)
    assert report["n_samples"] == statistics.n_samples
    for group in ("vision", "text"):
        rows = [row for row in report["profile"] if row["group"] == group]
        assert [row["mean_distance"] for row in rows] == list(statistics.mean_distance(group))
        assert [row["distance_upper"] for row in rows] == [certificate.find(k, group).distance_upper for k in (1, 2, 3)]
    n_statements = sum(len(pair.statements) for pair in certificate.pairs)
    assert sum(len(entry["statements"]) for entry in report["certificates"]) == n_statements
    late = {row["layer"]: row for row in report["late_entry"]}
    assert [late[k]["accuracy"] for k in (0, 1, 2, 3)] == [0.9, 0.7, 0.71, 0.72]
    assert late[0]["plan"] == "identity"
    assert late[1]["loss_share"] == 0.5  # the choice's, in the row of the validation
    assert late[1]["is_certified"] is False
    leave = {row["layer"]: row for row in report["vision_exit"]}
    assert leave[2]["is_certified"] is True
    assert leave[3]["accuracy"] == 0.9
    chosen = report["chosen_plan"]
    assert (chosen["plan"], chosen["risk"], chosen["n_losses"]) == ("vision_exit(2)", 0.12, 1)
    assert chosen["accuracy"] == leave[2]["accuracy"]  # measured by the validation
    assert chosen["guarantee"] == json.loads(choice_text())["guarantee"]
    assert "at most 0.12 of inputs" in chosen["guarantee"]
    assert len(report["sources"]) == 4
    assert any("not safe" in s or "safe to skip because" in s for s in report["not_claimed"])


def test_plans_alone_know_their_layers_only_from_whole_families(results: Path, tmp_path: Path) -> None:
    report = gather_report([results / "validation"])
    assert (report["model"]["n_layers"], report["model"]["name"]) == (3, "./my-llava")
    assert report["confidence_level"] == 0.9, "said by the rows; a side file makes no claim"
    part = tmp_path / "validation.json"
    part.write_text(json.dumps(validation_rows()[:2]))
    with pytest.raises(InvalidInputError, match=r"need the number of decoder layers, .*add --layers N"):
        gather_report([part])
    assert gather_report([part], n_layers=7)["model"]["n_layers"] == 7
    with pytest.raises(InvalidInputError, match=r"got \[3, 8\] decoder layers"):
        gather_report([results / "validation"], n_layers=8)


def test_the_unmodified_model_stands_at_the_mild_end_of_each_family(tmp_path: Path) -> None:
    plain = {
        "plan": "identity",
        "accuracy": 0.9,
        "accuracy_interval": [0.8, 0.95],
        "accuracy_change": 0.0,
        "agreement": 1.0,
    }
    rows = [{**row, **(plain if k == 6 else {})} for k, row in enumerate([*validation_rows(), validation_rows()[0]])]
    rows[-1].update(accuracy_change_interval=[0.0, 0.0], agreement_interval=[1.0, 1.0])
    for chosen in (rows, rows[3:]):
        (tmp_path / "validation.json").write_text(json.dumps(chosen))
        report = gather_report([tmp_path / "validation.json"], n_layers=3)
        last = next(row for row in report["vision_exit"] if row["layer"] == 3)
        assert (last["plan"], last["accuracy_interval"]) == ("identity", [0.8, 0.95])
        assert report["other_plans"] == []
    assert report["late_entry"] == []


def test_hostile_plans_and_settings_stay_text(results: Path, tmp_path: Path) -> None:
    rows = [*validation_rows(), {**validation_rows()[0], "plan": HOSTILE}]
    (tmp_path / "validation.json").write_text(json.dumps(rows))
    (tmp_path / "config.toml").write_text(f"[validate]\nmodel = {json.dumps(HOSTILE)}\ndata = {json.dumps(HOSTILE)}\n")
    (tmp_path / "choice.json").write_text(choice_text(guarantee=HOSTILE))
    with pytest.raises(StoreError, match="need the sentence that follows"):
        gather_report([tmp_path], recheck=False)
    (tmp_path / "choice.json").write_text(choice_text())
    report = gather_report([tmp_path], recheck=False)
    assert report["other_plans"][0]["plan"] == report["model"]["name"] == HOSTILE
    page = render_html(report, figures={})
    assert "<img" not in page
    assert page.count("<script") == 2
    assert "&lt;script&gt;alert(&#39;x&#39;)" in page


def test_a_report_without_a_profile_has_no_empty_section(results: Path) -> None:
    page = render_html(gather_report([results / "choice"], n_layers=3))
    assert 'id="profile"' not in page
    assert 'href="#profile"' not in page
    assert 'id="figure-risk"' in page
    assert page.count("Distances alone do not make layer") == 3


def test_a_finished_report_passes_through(tmp_path: Path) -> None:
    report = REPORTS.make_report()
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report))
    gathered = gather_report([tmp_path])
    assert {key: gathered[key] for key in report} == report
    assert gathered["sources"] == ["report.json: a finished report, shown as it stands"]


def test_single_certificates_are_shown_too(tmp_path: Path) -> None:
    pair = LayerPairCertificate.from_law([[0.4, 0.1], [0.1, 0.4]], distances=[[0.0, 1.0], [1.0, 0.0]], layer=2)
    (tmp_path / "pair.json").write_text(pair.to_json())
    report = gather_report([tmp_path / "pair.json"], n_layers=4)
    assert [entry["layer"] for entry in report["certificates"]] == [2]
    assert len(report["certificates"][0]["statements"]) == len(pair.statements)
    (tmp_path / "bound.json").write_text(pair.statements[0].to_json())
    report = gather_report([tmp_path / "bound.json"], n_layers=4)
    assert report["certificates"][0]["statements"][0]["theorem"] == pair.statements[0].theorem


def test_results_that_do_not_belong_together_are_refused(results: Path, tmp_path: Path) -> None:
    other = ProfileCertificate.from_statistics(HARVESTS.harvest(seed=1))
    (tmp_path / "other.json").write_text(other.to_json())
    statistics = results / "harvest" / "statistics.safetensors"
    with pytest.raises(InvalidInputError, match=r"other\.json was made from another one"):
        gather_report([statistics, tmp_path / "other.json"])
    with pytest.raises(InvalidInputError, match="need each kind of result once"):
        gather_report([statistics, statistics])
    (tmp_path / "report.json").write_text(json.dumps(REPORTS.make_report()))
    rows = validation_rows(10)
    (tmp_path / "validation.json").write_text(json.dumps(rows))
    with pytest.raises(InvalidInputError, match=r"need results that agree, .* has accuracy 0\.7 for 1 where another"):
        gather_report([tmp_path / "report.json", tmp_path / "validation.json"])
    rows[0]["n_samples"] = 9
    (tmp_path / "validation.json").write_text(json.dumps(rows))
    with pytest.raises(StoreError, match="need rows of one run"):
        gather_report([tmp_path / "validation.json"])


def test_altered_files_are_refused_and_a_resealed_one_only_with_recheck_off(results: Path, tmp_path: Path) -> None:
    text = (results / "harvest" / "certificates.json").read_text()
    body = json.loads(text)
    del body["digest"]
    body["pairs"][0]["statements"][0]["interval"][1] *= 0.5
    (tmp_path / "altered.json").write_text(seal(body))
    with pytest.raises(StoreError, match="need a certificate that can be reproduced"):
        gather_report([tmp_path / "altered.json"])
    assert gather_report([tmp_path / "altered.json"], recheck=False)["certificates"]
    (tmp_path / "altered.json").write_text(text.replace('"n_images": 40', '"n_images": 41'))
    with pytest.raises(StoreError, match="altered"):
        gather_report([tmp_path / "altered.json"], recheck=False)
    (tmp_path / "choice.json").write_text(choice_text().replace('"risk": 0.12', '"risk": 0.01'))
    with pytest.raises(StoreError, match="altered"):
        gather_report([tmp_path / "choice.json"], n_layers=3)
    for change, words in (
        ({"guarantee": "Nothing is ever lost."}, "need the sentence that follows from the stored tests"),
        ({"confidence_level": 0.999}, "need the sentence|can be reproduced"),
    ):
        (tmp_path / "choice.json").write_text(choice_text(**change))
        with pytest.raises(StoreError, match=words):
            gather_report([tmp_path / "choice.json"], n_layers=3)


@pytest.mark.parametrize(
    ("name", "text", "sentence"),
    [
        ("x.json", "{", "as JSON, .*does not parse"),
        ("x.json", "[1, 2]", "is none of them"),
        ("x.json", '{"schema": "skip-it/layer-scan/1"}', "is of schema 'skip-it/layer-scan/1'"),
        ("x.json", '{"schema": "skip-it/report/1"}', "need model as an object"),
        ("x.safetensors", "no tensors", "x.safetensors"),
    ],
)
def test_other_files_are_named_in_a_sentence(name: str, text: str, sentence: str, tmp_path: Path) -> None:
    (tmp_path / name).write_text(text)
    with pytest.raises((StoreError, InvalidInputError), match=sentence):
        gather_report([tmp_path / name])
    with pytest.raises(StoreError, match=r"the folder .* holds none"):
        gather_report([HERE])
    with pytest.raises(InvalidInputError, match="got no source"):
        gather_report([])


def skip_it(*arguments: Any) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-c", WITHOUT_TORCH, "report", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def test_the_command_writes_a_page_without_torch_and_never_over_a_file(results: Path, tmp_path: Path) -> None:
    out, data = tmp_path / "page.html", tmp_path / "data.json"
    parts = [results / "harvest", results / "validation", results / "choice"]
    done = skip_it(*parts, "--out", out, "--data", data, "--model", HOSTILE)
    assert done.returncode == 0, done.stderr
    assert "every bound recomputed" in done.stdout
    assert "every test repeated" in done.stdout
    report = load_report(data)
    assert report["model"]["name"] == HOSTILE
    page = out.read_text(encoding="utf-8")
    assert "<img src=x" not in page
    assert page.count("<svg") >= 8
    again = skip_it(*parts, "--out", out)
    assert again.returncode == 2
    assert len(again.stderr.strip().splitlines()) == 1
    assert "does not exist yet" in again.stderr
    lost = skip_it(*parts, "--out", tmp_path / "no" / "page.html")
    assert lost.returncode == 2
    assert "make it first" in lost.stderr
