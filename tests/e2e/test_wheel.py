"""The wheel holds the four packages, their data, and nothing else at the top level."""

import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PACKAGES = {"redundancy", "estimators", "extraction", "proofs_check"}


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    out = tmp_path_factory.mktemp("wheel")
    command = [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--outdir", str(out), str(ROOT)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (path,) = out.glob("skip_it-*.whl")
    return zipfile.ZipFile(path)


def test_top_level_is_the_four_packages(wheel):
    tops = {name.split("/")[0] for name in wheel.namelist()}
    assert {t for t in tops if not t.endswith(".dist-info")} == PACKAGES


def test_typed_licensed_and_with_the_embedded_model(wheel):
    names = set(wheel.namelist())
    assert {f"{p}/py.typed" for p in PACKAGES} <= names
    assert any(n.endswith("licenses/LICENSE") for n in names)
    for needed in ("weights/model.safetensors", "weights/tokenizer.json", "weights/MODEL_CARD.md", "questions.jsonl"):
        assert f"extraction/default_model/{needed}" in names
    assert any(n.startswith("redundancy/report/templates/") for n in names)


def test_no_pickles_or_caches(wheel):
    assert not [n for n in wheel.namelist() if n.endswith((".pkl", ".pickle", ".bin", ".pt", ".pyc"))]


def test_entry_points_name_importable_commands(wheel):
    from importlib.metadata import entry_points

    commands = entry_points(group="skip_it.commands")
    assert {"demo", "profile", "certify", "recheck", "theorems"} <= {c.name for c in commands}
    for command in commands:
        assert callable(command.load()), command
