"""What an installed wheel must do, extra by extra: run by `.ci/packaging` in environments that hold nothing else.

python smoke.py base estimators proofs report extract
"""

from __future__ import annotations

import importlib
import importlib.metadata
import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np


def skip_it(*arguments: str, code: int = 0) -> str:
    """Run the installed console script; the exit code must be `code`."""
    script = Path(sys.executable).with_name("skip-it")
    done = subprocess.run([str(script), *arguments], capture_output=True, text=True, check=False)
    assert done.returncode == code, f"skip-it {' '.join(arguments)}: {done.returncode}\n{done.stdout}\n{done.stderr}"
    return done.stdout + done.stderr


def base() -> None:
    """numpy and scipy are enough to certify, to decompose, to recheck, and for the command line."""
    from redundancy import LayerPairCertificate
    from redundancy.pid import broja

    home = Path(importlib.import_module("redundancy").__file__ or "").resolve()
    assert Path(sys.prefix).resolve() in home.parents, f"redundancy comes from {home}, not from the wheel"
    files = importlib.metadata.files("skip-it") or []
    tops = {file.parts[0] for file in files if not file.parts[0].startswith((".", "skip_it-"))}
    assert tops == {"redundancy", "estimators", "extraction", "proofs_check"}, tops

    xor = broja([[[0.25, 0.0], [0.0, 0.25]], [[0.0, 0.25], [0.25, 0.0]]])
    assert xor.synergistic is not None
    assert abs(xor.synergistic.lower - 1.0) < 1e-8

    rng = np.random.default_rng(0)
    x = rng.standard_normal((400, 8))
    y = x + 0.1 * rng.standard_normal((400, 8))
    certificate = LayerPairCertificate.from_arrays(x, y, ids=np.arange(400) // 2)
    assert certificate.recheck().ok
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "pair.json"
        path.write_text(certificate.to_json(), encoding="utf-8")
        skip_it("recheck", str(path))
        tree = json.loads(certificate.to_json())
        tree["pair"]["statements"][0]["interval"][1] *= 0.5
        path.write_text(json.dumps(tree), encoding="utf-8")
        skip_it("recheck", str(path), code=1)
    assert "fano" in skip_it("theorems")
    assert json.loads(skip_it("doctor", "--json"))["problems"] == []
    assert "Traceback" not in skip_it("--help")
    if importlib.util.find_spec("torch") is None:
        assert 'pip install "skip-it[' in skip_it("demo", "--out", "nowhere", code=2)
        assert not Path("nowhere").exists()


def estimators() -> None:
    """scikit-learn: a probe's functional redundancy of two layers."""
    from estimators import functional_redundancy

    rng = np.random.default_rng(0)
    x = rng.standard_normal((600, 6))
    z = x[:, :1] + 0.1 * rng.standard_normal((600, 1))
    result = functional_redundancy(x, x + 0.01 * rng.standard_normal(x.shape), z, ids=np.arange(600) // 3)
    assert result.interval.lower <= result.estimate <= result.interval.upper
    assert result.estimate < 0.05


def proofs() -> None:
    """sympy, mpmath, hypothesis: an inequality of information theory with its certificate."""
    from proofs_check.shannon import NotProvable, ShannonProof, prove

    assert isinstance(prove("I(X;Y) <= H(X)"), ShannonProof)
    assert isinstance(prove("H(X) <= I(X;Y)"), NotProvable)


def report() -> None:
    """matplotlib and jinja2: a figure without a display, templates that load."""
    from redundancy import figures
    from redundancy.report.html import render_html

    rng = np.random.default_rng(0)
    states = rng.standard_normal((3, 4, 6, 8))
    from redundancy.statistics.from_states import statistics_from_states

    statistics = statistics_from_states(list(states), [["vision"] * 4 + ["words"] * 2] * 3)
    axes = figures.distance_per_layer(statistics)
    assert axes.lines
    assert render_html


def extract() -> None:
    """torch and transformers: the embedded model, harvested and skipped for real."""
    from extraction import default_model, harvest
    from extraction.skip import apply, vision_exit

    model, processor = default_model.load_model(), default_model.load_processor()
    samples = default_model.load_samples(4)
    statistics = harvest(model, samples, processor=processor)
    assert statistics.n_samples == 4
    assert 0.0 < statistics.mean_distance("vision").min() < 1.0
    with apply(model, vision_exit(9)):
        statistics.validate()


def engine() -> None:
    """Whatever release of transformers comes first: families skip as the masked model does, and harvests agree."""
    import torch
    import transformers

    from extraction.skip import Plan, apply
    from extraction.tiny import tiny_family
    from extraction.tiny.invariants import INVARIANTS
    from extraction.tiny.plans import PLANS, check_plan

    transformers.logging.set_verbosity_error()
    for name in ("llava", "qwen2_5_vl", "gemma3", "qwen3_5", "kimi_k25"):
        exact = tiny_family(name, dtype=torch.float64)
        verdicts = [check_plan(exact, plan) for plan in PLANS[:3]]
        assert verdicts == ["yes"] * 3, (transformers.__version__, name, verdicts)
        family = tiny_family(name)
        with torch.no_grad():
            stock = family.model(**family.batch()).logits
            with apply(family.model, Plan()):
                assert torch.equal(family.model(**family.batch()).logits, stock), name
        failed = [one.name for one in INVARIANTS if not one.holds(family)]
        assert not failed, (transformers.__version__, name, failed)


if __name__ == "__main__":
    for name in sys.argv[1:]:
        globals()[name]()
        print(f"{name}: works")
