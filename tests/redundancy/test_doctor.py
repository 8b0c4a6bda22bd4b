"""`skip-it doctor`: what it finds of a healthy installation, and of three that are not."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest
import typer

from redundancy.commands import doctor as doctor_module
from redundancy.commands.doctor import PACKAGES, doctor, examine


def test_a_healthy_installation_has_no_problems(capsys):
    findings = examine()
    assert findings["problems"] == []
    assert set(findings["packages"]) == set(PACKAGES)
    assert all(home.endswith(name) for name, home in findings["packages"].items())
    doctor(as_json=False)
    text = capsys.readouterr().out
    assert "No problems found." in text
    assert all(name in text for name in (*PACKAGES, "numpy", "scipy", findings["version"]))


def test_json_is_what_was_examined(capsys):
    doctor(as_json=True)
    assert json.loads(capsys.readouterr().out) == examine()


def test_versions_are_those_of_the_libraries():
    import numpy
    import scipy

    libraries = examine()["libraries"]
    assert libraries["numpy"] == numpy.__version__
    assert libraries["scipy"] == scipy.__version__


@pytest.mark.parametrize("name", ["estimators", "extraction"])
def test_a_stranger_of_the_same_name_is_a_problem(name, tmp_path):
    """A user's own file beside the script wins the import; doctor says which file, in a real process, exit code 1."""
    (tmp_path / f"{name}.py").write_text("raise RuntimeError('doctor must not run this')\n")
    code = "import sys; sys.argv = ['skip-it', 'doctor', '--json']; from redundancy.commands.cli import main; main()"
    run = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert run.returncode == 1, run.stderr
    problems = json.loads(run.stdout)["problems"]
    assert any(str(tmp_path / f"{name}.py") in p and "rename that file" in p for p in problems)


def test_doctor_and_certify_load_no_torch():
    code = (
        "import sys; from redundancy.commands.doctor import examine; examine(); import redundancy.commands.certify;"
        "print([m for m in ('torch', 'sklearn', 'matplotlib', 'transformers') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"


def test_another_distribution_with_our_package_is_a_problem(monkeypatch):
    claims = {"estimators": ["skip-it", "Estimators"], "redundancy": ["skip_it"]}
    monkeypatch.setattr(doctor_module, "packages_distributions", lambda: claims)
    problems = examine()["problems"]
    assert len(problems) == 1
    assert "Estimators installs a package 'estimators', too" in problems[0]


def test_missing_libraries_are_named_with_the_command_that_brings_them(monkeypatch):
    real = doctor_module.find_spec
    gone = ("sympy", "matplotlib", "scipy")
    monkeypatch.setattr(doctor_module, "find_spec", lambda name: None if name in gone else real(name))
    findings = examine()
    assert findings["missing_extras"]["proofs"] == {"needs": ["sympy"], "command": 'pip install "skip-it[proofs]"'}
    assert findings["missing_extras"]["report"]["needs"] == ["matplotlib"]
    assert findings["problems"] == ["scipy is needed and not there: pip install scipy"]
    with pytest.raises(typer.Exit) as end:
        doctor(as_json=True)
    assert end.value.exit_code == 1


def test_a_missing_package_is_a_problem(monkeypatch):
    real = doctor_module.find_spec
    monkeypatch.setattr(doctor_module, "find_spec", lambda name: None if name == "extraction" else real(name))
    assert "the package 'extraction' of skip-it is not there: install skip-it again" in examine()["problems"]


def test_families_are_those_that_were_measured():
    """The list that doctor prints, against the tiny models and the measured table of the docs."""
    from pathlib import Path

    from extraction.commands.doctor import FAMILIES

    pytest.importorskip("torch", reason="the tiny models need torch")
    from extraction.tiny import TINY_FAMILIES

    assert list(FAMILIES) == list(TINY_FAMILIES)
    page = (Path(__file__).parents[2] / "docs" / "model_support.md").read_text(encoding="utf-8")
    rows = {
        cells[0]: set(cells[1:])
        for line in page.split("## Skipping")[1].splitlines()
        if (cells := [c.strip() for c in line.strip("|").split("|")])[0] in FAMILIES
    }
    says = {
        "yes": "harvest and skip",
        "prefill": "harvest and skip in a forward pass",
        "refused": "harvest of text only",
    }
    for name, (_, does) in FAMILIES.items():
        is_mixed = len(rows[name]) > 1
        assert does.startswith("harvest, and skip with some plans" if is_mixed else says[rows[name].pop()])


def test_doctor_tells_devices_and_survives_a_broken_torch(monkeypatch):
    from extraction.commands import doctor as extraction_doctor

    pytest.importorskip("torch", reason="devices are those that torch sees")
    assert examine()["more"]["Devices"][0].startswith("cpu: ")
    monkeypatch.setattr(extraction_doctor, "_DEVICES", "raise OSError('libcudart is missing')")
    assert extraction_doctor.probe()["Devices"] == ["torch cannot be used: OSError: libcudart is missing"]
