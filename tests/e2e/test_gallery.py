"""Every script of the gallery runs, and what its text concludes is true of the numbers that it made.

The quick ones run by default; those that run the embedded model many times or train one are `slow`.
"""

import os
import re
import runpy
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("matplotlib", reason="the gallery draws")

ROOT = next(p for p in Path(__file__).parents if (p / "pyproject.toml").is_file())
GALLERY = ROOT / "examples" / "gallery"
SCRIPTS = sorted(path.stem for path in GALLERY.glob("plot_*.py"))


@pytest.fixture
def run(monkeypatch, tmp_path):
    """The names that a script leaves behind, and how many figures it drew."""
    import matplotlib
    import matplotlib.pyplot as plt
    import torch

    matplotlib.use("Agg", force=True)
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    monkeypatch.chdir(tmp_path)  # a script finds its own data and leaves nothing behind

    def go(name, figures):
        plt.close("all")
        names = runpy.run_path(str(GALLERY / f"{name}.py"), run_name="__main__")
        assert len(plt.get_fignums()) == figures
        assert [path.name for path in tmp_path.iterdir() if path.name != ".hypothesis"] == []
        return names

    yield go
    plt.close("all")
    torch.set_num_threads(threads)


@pytest.mark.parametrize("name", SCRIPTS)
def test_a_script_teaches(name):
    """A title, text cells, links that lead somewhere, and a row in the table of examples."""
    text = (GALLERY / f"{name}.py").read_text()
    title, rule = re.match(r'"""\n(.+)\n(=+)\n', text).groups()
    assert len(title) == len(rule)
    assert len(re.findall(r"^# %%$", text, re.MULTILINE)) >= 4
    pages = [*re.findall(r":doc:`(\w+)`", text)]
    assert set(pages) <= set(SCRIPTS) - {name}
    assert f"`gallery/{name}.py`" in (ROOT / "examples" / "README.md").read_text()
    assert f":doc:`{name}`" in (GALLERY / "GALLERY_HEADER.rst").read_text()


def test_a_script_runs_from_anywhere_as_a_plain_script(tmp_path):
    environment = {**os.environ, "MPLBACKEND": "Agg", "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, str(GALLERY / "plot_paper_tables.py")],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "distances up to 1: 1 of 80 cells impossible" in done.stdout


def test_paper_tables(run):
    names = run("plot_paper_tables", figures=1)
    assert len(names["entry"]) == 36
    assert len(names["leave"]) == 44
    next_7b = [c for c in names["at_four"] if c["model"] == "LLaVA NeXT 7B"]
    others = [c for c in names["at_four"] if c["model"] != "LLaVA NeXT 7B"]
    # The counterexample, with the numbers of the text.
    assert sorted(c["change"] for c in next_7b) == [-16.3, -13.6, -8.8, -4.9]
    assert all(abs(c["change"]) <= 1.5 for c in others)
    farthest = max(c["mean_cosine_distance_vision"] for c in next_7b)
    assert farthest <= 0.012 < min(c["mean_cosine_distance_vision"] for c in names["entry"] if c not in next_7b)
    assert min(c["fraction_below_0.05_vision"] for c in next_7b) >= 0.939
    ratios = [
        o["mean_cosine_distance_vision"] / n["mean_cosine_distance_vision"]
        for n in next_7b
        for o in others
        if o["task"] == n["task"]
    ]
    assert 1.7 <= min(ratios) <= max(ratios) <= 4.2
    assert names["pooled"] > 0.5  # the wrong sign
    assert names["impossible"][2.0] == []
    assert [(c["model"], c["task"], c["layer"]) for c in names["impossible"][1.0]] == [
        ("LLaVA NeXT 7B", "General VQA", 28)
    ]
    general = [c for c in names["leave"] if (c["model"], c["task"]) == ("LLaVA NeXT 7B", "General VQA")]
    assert {c["accuracy"] for c in general} == {0.647}


def test_prove_inequality(run):
    names = run("plot_prove_inequality", figures=1)
    from proofs_check.shannon import verify

    assert names["by_entropy"].proved
    assert not verify(names["by_entropy"])
    assert verify(names["forged"])
    # The law of the text: fair coins A and C, Z whether they differ, B constant.
    law = names["law"].masses
    assert {tuple(atom[i] for i in (0, 2)) for atom in law} == {(0, 0), (0, 1), (1, 0), (1, 1)}
    assert len({atom[1] for atom in law}) == 1
    assert len({(atom[3] ^ atom[0] ^ atom[2]) for atom in law}) == 1
    assert names["saved"].proved
    assert names["path"][0] == pytest.approx([1.0, 0.0])
    drawn = names["drawn"]
    assert 0 < names["broken"] < len(drawn) / 4
    assert np.max(drawn[:, 0] - drawn[:, 1]) < 0.5


def test_vision_encoder(run):
    names = run("plot_vision_encoder", figures=1)
    clip, siglip = names["statistics"].values()
    assert clip.token_counts("vision")[0] == 36 == siglip.token_counts("vision")[0]
    assert clip.token_counts("sink")[0] == 1
    assert siglip.token_counts("sink")[0] == 0
    assert names["certificate"].recheck(clip).ok


@pytest.mark.slow
def test_test_theorem(run):
    names = run("plot_test_theorem", figures=1)
    assert "is false, 11/24 > 3/8" in names["refutation"]
    assert [line.partition(":")[0] for line in names["shown"].splitlines()] == [
        "holds",
        "attained",
        "necessary",
        "coherent",
    ]
    assert "is false" in names["objection"]
    assert "a valid bound does so with probability" in names["undercover"]
    assert names["misses"] <= 50
    chain = np.array(names["seen"]["chain Y - X - Z"])
    free = np.array(names["seen"]["any law"])
    assert np.allclose(chain[:, 0], chain[:, 1])
    assert np.mean(free[:, 0] <= free[:, 1] + 1e-9) > 0.9
    assert names["gain_of_found"] == pytest.approx(11 / 24)
    assert names["gap_of_found"] == pytest.approx(3 / 8)


@pytest.mark.slow
def test_certify_pair(run):
    names = run("plot_certify_pair", figures=1)
    certificate = names["certificate"]
    assert certificate.recheck().ok
    assert names["cosine"].mean() < certificate.distance_upper
    uppers = [upper for _, upper in names["certified"]]
    assert uppers == sorted(uppers, reverse=True)
    assert names["hits"] / names["repeats"] < 0.6  # far from the 95 % that the token interval claims
    assert "altered" in names["refused"]


@pytest.mark.slow
def test_profile_model(run):
    names = run("plot_profile_model", figures=2)
    statistics = names["statistics"]
    assert (statistics.mean_distance("vision")[2:] < 0.05).all()
    assert names["close"] == list(range(3, 13))
    assert names["certificate"].recheck(statistics).ok
    var = statistics.answer_var().mean(axis=(0, 2))
    assert var[2:].mean() > 2 * var[0]  # the answer looks at the image where its tokens stand still
    assert names["entry"][-1] > 0.5


@pytest.mark.slow
def test_entry_exit(run):
    names = run("plot_entry_exit", figures=2)
    from extraction.skip import late_entry, vision_exit

    results, plain = names["results"], names["plain"]
    assert plain > 0.85
    assert plain - results[late_entry(4)].accuracy > 0.4
    assert plain - results[vision_exit(9)].accuracy < 0.1
    assert names["order_adjacent"] < -0.7  # backwards
    assert names["order_from_start"] > 0.9


@pytest.mark.slow
def test_probe_activations(run):
    names = run("plot_probe_activations", figures=1)
    assert not names["greedy"].usable
    assert [w.category.__name__ for w in names["caught"]] == ["EstimateWarning"]
    assert names["modest"].usable
    assert sum((names["task"] == k).sum() for k in range(6)) == names["store"].n_tokens
    errors = [r.error_next for r in names["found"]]
    assert errors[:5] == sorted(errors[:5], reverse=True)
    gaps = [r.estimate for r in names["found"]]
    assert min(gaps[:2]) > 20 * max(gaps[4:])
    assert all(r.certified_upper.interval.upper > r.estimate for r in names["found"])


@pytest.mark.slow
def test_pid_layers(run):
    names = run("plot_pid_layers", figures=1)
    result, pairs = names["result"], names["pairs"]
    assert result.recheck().ok
    assert result.gap < 1e-9
    assert names["table"].sum() == pytest.approx(1.0)
    assert pairs[1, 2].intervals["unique_next"].lower > 0.1  # layer 2 brings something
    for pair in ((2, 3), (7, 8), (10, 11)):
        atoms = pairs[pair].atoms
        assert atoms["redundant"] > 5 * max(atoms["unique_next"], atoms["unique_prev"])
    assert names["far"].intervals["unique_next"].lower > 0.0


@pytest.mark.slow
def test_risk_control(run):
    names = run("plot_risk_control", figures=1)
    choice = names["choice"]
    assert choice.recheck().ok
    assert choice.n_tested == 4
    assert str(choice.chosen) == "vision_exit(9)"
    assert [test.is_certified for test in choice.tests] == [True, True, True, False]
    assert names["received"] == choice
    assert names["check"].losses("accuracy").mean() <= 0.05
    assert "altered" in names["refused"]


@pytest.mark.slow
def test_shards(run):
    names = run("plot_shards", figures=1)
    assert names["killed"]
    assert names["resumed"].digest() == names["uninterrupted"].digest()
    assert sum(part.n_samples for part in names["parts"]) == names["merged"].n_samples == 60
    assert names["equal"] == [True] * 4
    assert names["difference"] < 1e-12
    assert all(names["same"])
    assert "disjoint" in names["refusals"][0]
    assert "very run" in names["refusals"][1]


@pytest.mark.slow
def test_checkpoints(run):
    names = run("plot_checkpoints", figures=1)
    accuracy, leave, last = names["accuracy"], names["leave"], names["N_STEPS"]
    assert accuracy[0] < 0.2
    assert accuracy[last] > 0.9
    assert 1.0 < names["factor"] < 2.0
    assert names["first"][0] > names["first"][-1]  # the profile falls before the first step
    assert names["first"][-1] == pytest.approx(names["last"][-1], rel=0.3)
    assert leave[0][-1] < 0.75
    assert leave[last][-1] >= 0.9
